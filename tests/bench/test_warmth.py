"""Warming memory: it ends where memory does."""

from __future__ import annotations

import pytest

from tests.bench import warmth


@pytest.mark.parametrize(("free", "touched"), [(None, 1 << 20), (1 << 30, 1 << 20), (4096, 2048)])
def test_at_most_half_of_what_is_free_is_touched(monkeypatch, free, touched) -> None:
    monkeypatch.setattr(warmth, "free_bytes", lambda: free)
    assert warmth.warm_memory(1 << 20) == touched
