"""What Python programs import: names, types, docstrings, and the lines of the README."""

from __future__ import annotations

import inspect
import math
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

import vertseg
from tests.support.fake_segmenter import (
    POINTS,
    FakeSegmenter,
    fake_result,
    phantom_scan,
    write_scan,
)
from tests.support.itk_files import write_series
from tests.support.paths import ROOT
from vertseg.errors import InputError
from vertseg.report.preview import WIDTH
from vertseg.stages import SPINE_ONLY


def members(thing: type) -> list[object]:
    """Public functions and properties that a class defines itself."""
    found = []
    for name, member in vars(thing).items():
        if not name.startswith("_") or name in ("__init__", "__call__"):
            member = getattr(member, "__func__", member)  # of a class method
            member = member.fget if isinstance(member, property) else member
            if inspect.isfunction(member) and member.__module__.startswith("vertseg"):
                found.append(member)
    return found


@pytest.mark.parametrize("name", sorted(set(vertseg.__all__) - {"__version__"}))
def test_every_public_name_has_types_and_a_docstring(name: str) -> None:
    thing = getattr(vertseg, name)
    assert inspect.getdoc(thing), name
    functions = members(thing) if inspect.isclass(thing) else [thing]
    for function in functions:
        made = function.__name__ == "__init__"
        assert made or inspect.getdoc(function), function.__qualname__
        signature = inspect.signature(function)
        assert signature.return_annotation is not inspect.Signature.empty, function.__qualname__
        for parameter in list(signature.parameters.values()):
            typed = parameter.annotation is not inspect.Parameter.empty
            assert typed or parameter.name in ("self", "cls"), (function.__qualname__, parameter)


def test_fields_of_results_are_described() -> None:
    for thing in (vertseg.Result, vertseg.Vertebra, vertseg.Image, vertseg.Analysis):
        described = re.findall(r"^ +(\w+): ", thing.__doc__ or "", re.MULTILINE)
        assert set(thing.__annotations__) <= set(described), thing


def test_names_are_listed_and_others_refused() -> None:
    assert set(dir(vertseg)) == set(vertseg.__all__)
    assert vertseg.__version__
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        vertseg.other  # noqa: B018
    assert (Path(vertseg.__file__).parent / "py.typed").is_file()


def test_the_lines_of_the_readme_run(tmp_path, monkeypatch, capsys) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = re.search(r"    import vertseg\n(?:    .*\n|\n)+", text)[0]
    code = inspect.cleandoc(lines)
    assert len([line for line in code.splitlines() if line.strip()]) == 5
    write_scan(tmp_path / "scan.nii.gz")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vertseg.stages.segmenter.Segmenter", lambda: FakeSegmenter(POINTS))
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out == "['L1', 'L2', 'L3']\n"
    with Pillow.open(tmp_path / "preview.png") as picture:
        assert picture.width == WIDTH


def test_a_vertebra_keeps_its_earlier_names() -> None:
    found = vertseg.Vertebra(20, (1.0, 2.0, 3.0), 0.5, voxels=7)
    given = vertseg.Vertebra(20, (1.0, 2.0, 3.0), voxels=7)
    assert found.centroid_lps_mm == found.point_lps_mm == (1.0, 2.0, 3.0)
    assert found.peak == 0.5 and math.isnan(given.peak)


def test_a_result_is_measured_and_drawn_in_memory() -> None:
    image = vertseg.Image.from_array(phantom_scan(), np.diag([-4.0, -4.0, 4.0, 1.0]))
    analysis = vertseg.analyse(fake_result(image, POINTS))
    assert [row["name"] for row in analysis.rows] == ["L1", "L2", "L3"]
    assert analysis.rows[0]["volume_ml"] == pytest.approx(analysis.measurements[0].volume_ml, 0.01)
    nothing = fake_result(image, {}, stages=SPINE_ONLY, status="ok", spine_lps_mm=((48, 52, 80),))
    assert vertseg.analyse(nothing).rows == []
    assert vertseg.draw(nothing, "a name").width == WIDTH


def test_a_folder_with_one_series_is_read_as_an_image(tmp_path) -> None:
    write_series(tmp_path / "one")
    assert vertseg.read_image(tmp_path / "one").grid.size == (12, 13, 14)
    write_series(tmp_path / "one", uid="1.2.9", number=7, prefix="B")
    with pytest.raises(InputError, match="holds 2 DICOM series: .*3_Thorax"):
        vertseg.read_image(tmp_path / "one")
