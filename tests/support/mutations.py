"""Damage to the bytes of a file, drawn and then applied, so that each can be repeated."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import nibabel as nib
import numpy as np
from hypothesis import strategies as st

_EXTREMES = tuple(
    value
    for size in (1, 2, 4, 8)
    for value in (
        *(b"\0" * size, b"\xff" * size, b"\xff" * (size - 1) + b"\x7f"),
        b"\0" * (size - 1) + b"\x80",
    )
) + tuple(
    np.array(value, kind).tobytes()
    for kind in ("<f4", ">f4", "<f8")
    for value in (np.nan, np.inf, 1e38, -1e-38, 1e-3)
)


_WORDS = tuple(
    f"{word}".encode()
    for word in ("nan", "inf", "1e308", "-1", "0", "9" * 11, "9" * 400, "A" * 5000, "=", ":", "%s")
)


@dataclass(frozen=True)
class Edit:
    """One change: `kind` at the `place` (share of the length), with `value` or over `count`."""

    kind: str
    place: float
    count: int
    value: bytes

    def apply(self, content: bytes) -> bytes:
        start = min(int(self.place * len(content)), len(content))
        head, tail = content[:start], content[start:]
        if self.kind == "overwrite":
            return head + self.value + tail[len(self.value) :]
        if self.kind == "insert":
            return head + self.value + tail
        if self.kind == "delete":
            return head + tail[self.count :]
        if self.kind == "repeat":
            return head + tail[: self.count] * 2 + tail[self.count :]
        if self.kind == "cut":
            return head
        raise ValueError(self.kind)


def edits(kinds: tuple[str, ...]) -> st.SearchStrategy[list[Edit]]:
    """One to four edits of these kinds."""
    extremes = st.sampled_from(_EXTREMES + _WORDS)
    values = st.one_of(extremes, st.binary(min_size=1, max_size=8))
    places = st.floats(0, 1, exclude_max=True)
    edit = st.builds(Edit, st.sampled_from(kinds), places, st.integers(1, 400), values)
    return st.lists(edit, min_size=1, max_size=4)


def changed(content: bytes, chosen: list[Edit]) -> bytes:
    for edit in chosen:
        content = edit.apply(content)
    return content


def _small_ct() -> np.ndarray:
    tissue = np.random.default_rng(0).choice([-1000, -100, 40, 60, 400], (9, 8, 7))
    return tissue.astype(np.int16)


def _stored(version: int, endianness: str) -> bytes:
    kinds = {1: (nib.Nifti1Image, nib.Nifti1Header), 2: (nib.Nifti2Image, nib.Nifti2Header)}
    image_kind, header_kind = kinds[version]
    header = header_kind(endianness=endianness)
    header.set_data_dtype(np.int16)
    return image_kind(_small_ct(), np.diag([-4.0, -4.0, 5.0, 1.0]), header).to_bytes()


ORIGINALS = tuple(_stored(version, order) for version in (1, 2) for order in "<>")
_HEADER_BYTES = (348, 348, 540, 540)
_ALL = ("overwrite", "insert", "delete", "repeat", "cut")


def _of_header(number: int, chosen: list[Edit], packed: bool) -> bytes:
    content, end = ORIGINALS[number], _HEADER_BYTES[number]
    damaged = changed(content[:end], chosen)[:end] + content[end:]
    return gzip.compress(damaged, 1, mtime=0) if packed else damaged


def _of_everything(number: int, chosen: list[Edit]) -> bytes:
    return changed(ORIGINALS[number], chosen)


def _of_stream(number: int, chosen: list[Edit]) -> bytes:
    return changed(gzip.compress(ORIGINALS[number], 6, mtime=0), chosen)


def damaged_files() -> st.SearchStrategy[bytes]:
    """Damage to the header, to the whole file, or to the gzip stream around it."""
    numbers = st.integers(0, len(ORIGINALS) - 1)
    header: Callable[..., bytes] = _of_header
    return st.one_of(
        st.builds(header, numbers, edits(("overwrite",)), st.booleans()),
        st.builds(_of_everything, numbers, edits(_ALL)),
        st.builds(_of_stream, numbers, edits(_ALL)),
    )


def damaged_versions(originals: Mapping[str, bytes]) -> st.SearchStrategy[tuple[str, bytes]]:
    """Name of one of these files and its damaged content."""
    return st.sampled_from(sorted(originals)).flatmap(
        lambda name: st.tuples(
            st.just(name), st.builds(changed, st.just(originals[name]), edits(_ALL))
        )
    )
