"""The page of definitions names every column, angle and flag, and no other."""

from __future__ import annotations

import re

from tests.support.paths import ROOT
from vertseg.measure.angles import ANGLES
from vertseg.measure.parts import PARTS
from vertseg.report.summary import COLUMNS, PART_COLUMNS

FOLDER = ROOT / "vertseg"
PAGE = (FOLDER / "MEASUREMENTS.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return re.search(rf"## {title}\n(.*?)(?=\n## |\Z)", PAGE, re.DOTALL)[1]


def first_cells(title: str) -> list[str]:
    return re.findall(r"^\| (.*?) \|", section(title), re.MULTILINE)[1:]


def test_every_column_is_defined() -> None:
    cells = [name for cell in first_cells("Columns of summary.csv") for name in cell.split(", ")]
    assert tuple(name.strip("`") for name in cells) == COLUMNS


def test_every_part_is_defined_with_its_id() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \| (`.*?) \|", section("Parts"), re.MULTILINE)
    listed = {
        name.strip("`"): int(number)
        for numbers, names in rows
        for number, name in zip(numbers.split(", "), names.split(", "), strict=True)
    }
    assert listed == {part.name: part.id for part in PARTS}
    names = {column.removesuffix("_volume_ml").removesuffix("_mean_hu") for column in PART_COLUMNS}
    assert all(f"`{name}`" in section("Parts") for name in names)


def test_every_flag_is_listed_with_its_severity() -> None:
    source = "".join(path.read_text() for path in (FOLDER / "measure").glob("*flags.py"))
    raised = dict(re.findall(r'Flag\(\s*"(\w+)", "(\w+)"', source))
    listed = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", section("Flags"), re.MULTILINE))
    assert listed and listed == raised


def test_every_angle_is_defined() -> None:
    names = [*(name for name, *_ in ANGLES), "largest coronal angle"]
    assert first_cells("Angles") == names


def test_it_says_what_it_is_not() -> None:
    assert "Not a medical device" in PAGE
