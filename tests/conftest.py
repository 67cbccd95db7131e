"""What holds for every test."""

import locale
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def same_locale() -> Iterator[None]:
    """Reading DICOM with ITK sets the locale of the process; the next test starts without that."""
    before = locale.setlocale(locale.LC_CTYPE)
    yield
    locale.setlocale(locale.LC_CTYPE, before)
