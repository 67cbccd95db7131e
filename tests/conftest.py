"""What holds for every test."""

import locale
from collections.abc import Iterator

import pytest

_AT_START = locale.setlocale(locale.LC_CTYPE)


@pytest.fixture(autouse=True)
def same_locale() -> Iterator[None]:
    """Tests and fixtures write DICOM with ITK, which sets the process's locale: not for others."""
    locale.setlocale(locale.LC_CTYPE, _AT_START)
    yield
    locale.setlocale(locale.LC_CTYPE, _AT_START)


@pytest.fixture(scope="session")
def atlas():
    """An atlas made from the phantom, coarse enough for tests."""
    import numpy as np

    from vertseg.phantom import make_phantom
    from vertseg.training.factory.atlas import Atlas

    phantom = make_phantom(("C1", "sacrum"), 5.0, 1, field_mm=(150.0, 150.0), noise_hu=0.0)
    centres = np.array([c.point_lps_mm for c in phantom.centroids])
    return Atlas(phantom.labels, 5.0, np.array(phantom.grid.origin), centres)


@pytest.fixture(scope="session")
def course(atlas):
    """The spine course of that atlas."""
    from vertseg.training.factory.courses import Course

    return Course("phantom", "phantom", atlas.centres_lps_mm)
