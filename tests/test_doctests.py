"""The examples in docstrings are true."""

import doctest
import importlib
from pathlib import Path

import pytest

from tests.support.paths import ROOT


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = sorted(
    name_of(path)
    for folder in ("models", "vertseg")
    for path in (ROOT / folder).rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


def test_the_rooms_that_others_build_on_have_examples() -> None:
    rooms = {name.rpartition(".")[0] for name in MODULES}
    assert {"vertseg.geometry", "vertseg.io"} <= rooms
    assert {"vertseg.labels", "vertseg.errors", "vertseg.io.centroids"} <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    done = doctest.testmod(importlib.import_module(name))
    assert done.attempted and not done.failed
