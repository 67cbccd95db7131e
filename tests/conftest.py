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
