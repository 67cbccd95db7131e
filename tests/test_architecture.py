"""The page that explains the structure is true."""

import re

from tests.support.paths import ROOT

PACKAGE = ROOT / "vertseg"
PAGE = (PACKAGE / "ARCHITECTURE.md").read_text(encoding="utf-8")
TOP_MODULES = {"__init__", "cli", "commands", "errors", "labels", "version"}


def test_the_page_lists_every_room() -> None:
    table = PAGE.partition("## The rooms")[2].partition("## Words")[0]
    listed = {
        n for line in re.findall(r"^\| (`.*?) \|", table, re.M) for n in line.split("`")[1::2]
    }
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert listed == folders | TOP_MODULES - {"__init__"}


def test_no_other_module_stands_in_the_top_folder() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} == TOP_MODULES


def test_every_place_that_the_page_names_exists() -> None:
    for name in re.findall(r"^    ([a-z_]+(?:\.[a-z_]+)*)  ", PAGE, re.M):
        parts = name.split(".")
        module = PACKAGE.joinpath(*parts)
        assert module.is_dir() or module.with_suffix(".py").is_file(), name


def test_every_room_says_what_it_is_for() -> None:
    for face in PACKAGE.rglob("__init__.py"):
        assert face.read_text(encoding="utf-8").startswith('"""'), face


def test_tests_mirror_the_rooms() -> None:
    rooms = {path.parent.relative_to(PACKAGE) for path in PACKAGE.rglob("__init__.py")}
    for path in (ROOT / "tests").rglob("test_*.py"):
        room = path.parent.relative_to(ROOT / "tests")
        assert room in rooms or room.name in ("bench", "models"), path
