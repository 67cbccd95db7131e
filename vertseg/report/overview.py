"""Summary and gallery of an output folder; one that is not ours, or was edited, is never replaced.

The page holds a hash of itself and that of the summary beside it, so that a later run can tell.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from vertseg.errors import OutputError
from vertseg.system.atomic import write_text
from vertseg.system.fingerprint import sha256_of

SUMMARY, GALLERY = "summary.csv", "index.html"

_SEAL = re.compile(r'<meta name="page-sha256" content="([0-9a-f]*)">')
_KNOWN = re.compile(r'<meta name="summary-sha256" content="([0-9a-f ]*)">')
_PAGE_OF_VERSION_0_1, _SUMMARY_START = "<title>Vertebrae: ", b"case,status,label,name,region,"
_REMEDY = "Move it away, give another output folder, or let it be replaced with --overwrite."


def check_replaceable(folder: Path, summary: str = SUMMARY) -> None:
    """Raise OutputError if a summary or page is there that this program has not written so.

    Args:
        folder: of the outputs.
        summary: name of the table; beside that of a shard no page is written.
    """
    page = _text_of(folder / GALLERY)
    if summary == SUMMARY and os.path.lexists(folder / GALLERY):
        if page is None or (_SEAL.search(page) is None and _PAGE_OF_VERSION_0_1 not in page):
            raise _kept("was not written by this program", folder / GALLERY)
        if not _is_as_written(page):
            raise _kept("was changed since this program wrote it", folder / GALLERY)
    if os.path.lexists(folder / summary):
        known = _KNOWN.search(page) if page is not None and summary == SUMMARY else None
        _check_summary(folder / summary, known[1].split() if known else [])


def _check_summary(path: Path, known: Iterable[str]) -> None:
    try:
        with path.open("rb") as stream:
            ours = stream.read(len(_SUMMARY_START)) == _SUMMARY_START and not path.is_symlink()
        edited = bool(known) and sha256_of(path) not in known
    except OSError:
        ours, edited = False, False
    if edited:
        raise _kept("was changed since this program wrote it", path)
    if not ours:
        raise _kept("was not written by this program", path)


def write_page(path: Path, page: str, summary: str) -> None:
    """Write the page with the hashes in it; then the summary may be written.

    Args:
        path: of the page.
        page: HTML with both ``meta`` elements, whose content is empty.
        summary: text of the table that is about to be written beside it.

    Raises:
        OutputError: it cannot be written.
    """
    hashes = [hashlib.sha256(summary.encode(errors="backslashreplace")).hexdigest()]
    with suppress(OSError):
        hashes.append(sha256_of(path.with_name(SUMMARY)))  # still there if a kill comes now
    known = f'<meta name="summary-sha256" content="{" ".join(hashes)}">'
    whole = _KNOWN.sub(known, page, count=1).encode(errors="backslashreplace").decode()
    seal = f'<meta name="page-sha256" content="{_hash_of(whole)}">'
    write_text(path, _SEAL.sub(seal, whole, count=1))


def _is_as_written(page: str) -> bool:
    found = _SEAL.search(page)
    return found is None or found[1] == _hash_of(page)


def _hash_of(page: str) -> str:
    blank = _SEAL.sub('<meta name="page-sha256" content="">', page, count=1)
    return hashlib.sha256(blank.encode()).hexdigest()


def _text_of(path: Path) -> str | None:
    try:
        return path.read_bytes().decode() if path.is_file() and not path.is_symlink() else None
    except (OSError, ValueError):
        return None


def _kept(what: str, path: Path) -> OutputError:
    return OutputError(f"{what} and is kept", str(path), remedy=_REMEDY)
