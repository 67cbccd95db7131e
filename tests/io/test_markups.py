"""3D Slicer Markups: what is written, and what a person or another program may hand back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from vertseg.errors import InputError
from vertseg.geometry.centroid import Centroid
from vertseg.geometry.grid import Grid
from vertseg.io.annotations import find_case_files, read_points
from vertseg.io.centroids import read_centroids, write_centroids
from vertseg.io.markups import markups_to_json, write_markups

GRID = Grid.axis_aligned((0.0, 0.0, 0.0), (10, 10, 10), 1.0)
CENTROIDS = [Centroid(19, (1.25, -20.5, 300.0)), Centroid(28, (0.0, -19.0, 270.125))]


def control_points(payload):
    (node,) = payload["markups"]
    return node["controlPoints"]


def test_points_are_named_as_the_vertebrae_and_lie_in_the_world(tmp_path) -> None:
    write_markups(tmp_path / "x_ctd.mrk.json", CENTROIDS)
    payload = json.loads((tmp_path / "x_ctd.mrk.json").read_text())
    (node,) = payload["markups"]
    assert node["type"] == "Fiducial" and node["coordinateSystem"] == "LPS"
    assert [point["label"] for point in node["controlPoints"]] == ["T12", "T13"]
    assert node["controlPoints"][0]["position"] == [1.25, -20.5, 300.0]
    assert "markups-schema-v1.0.3.json" in payload["@schema"]


def test_what_was_written_is_read_whatever_the_grid(tmp_path) -> None:
    write_markups(tmp_path / "x_ctd.mrk.json", CENTROIDS)
    found, fmt = read_centroids(tmp_path / "x_ctd.mrk.json", GRID)
    assert fmt == "markups"
    assert [(c.label, c.point_lps_mm) for c in found] == [
        (c.label, c.point_lps_mm) for c in CENTROIDS
    ]


def test_a_file_that_slicers_own_library_writes_is_read(tmp_path) -> None:
    slicerio = pytest.importorskip("slicerio")
    lines = [
        *("# Markups fiducial file version = 4.11", "# CoordinateSystem = RAS"),
        "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID",
        "1,-1.25,20.5,300,0,0,0,1,1,1,0,t12,,",
        "2,0,19,270.125,0,0,0,1,1,1,0,T13,,",
    ]
    (tmp_path / "x.fcsv").write_text("\n".join(lines) + "\n")
    path = slicerio.fcsv_to_markups_json(tmp_path / "x.fcsv", tmp_path / "x_ctd.mrk.json")
    found, _ = read_centroids(path, GRID)
    assert [c.label for c in found] == [19, 28]
    for one, other in zip(found, CENTROIDS, strict=True):
        np.testing.assert_allclose(one.point_lps_mm, other.point_lps_mm)
    # And what is written here has every field that Slicer's library gives a point.
    theirs = json.loads(path.read_text())
    assert set(control_points(theirs)[0]) <= set(control_points(markups_to_json(CENTROIDS))[0])


def test_points_not_placed_yet_and_other_markups_are_passed_over(tmp_path) -> None:
    payload = markups_to_json(CENTROIDS)
    control_points(payload)[1] |= {"positionStatus": "undefined", "label": "F-1"}
    payload["markups"].append({"type": "Line", "controlPoints": [{"label": "L-1"}]})
    (tmp_path / "x.mrk.json").write_text(json.dumps(payload))
    assert [c.label for c in read_centroids(tmp_path / "x.mrk.json", GRID)[0]] == [19]


WRONG = {
    "a name that is none": ({"label": "F-3"}, "a point named 'F-3'"),
    "no place": ({"position": None}, "has no place"),
    "two numbers": ({"position": [1, 2]}, "has no place"),
    "not finite": ({"position": [1, 2, float("nan")]}, "not finite"),
}


@pytest.mark.parametrize("reason", WRONG)
def test_points_that_cannot_be_used_are_refused_with_a_remedy(tmp_path, reason) -> None:
    change, text = WRONG[reason]
    payload = markups_to_json(CENTROIDS)
    control_points(payload)[0] |= change
    (tmp_path / "x.mrk.json").write_text(json.dumps(payload))
    with pytest.raises(InputError) as caught:
        read_centroids(tmp_path / "x.mrk.json", GRID)
    assert text in caught.value.what and caught.value.remedy


@pytest.mark.parametrize(
    "node",
    [{"coordinateSystem": "IJK"}, {"coordinateUnits": "in"}, {"controlPoints": "none"}, "text"],
)
def test_lists_that_cannot_be_used_are_refused(tmp_path, node) -> None:
    payload = markups_to_json(CENTROIDS)
    payload["markups"] = [payload["markups"][0] | node if isinstance(node, dict) else node]
    (tmp_path / "x.mrk.json").write_text(json.dumps(payload))
    with pytest.raises(InputError) as caught:
        read_centroids(tmp_path / "x.mrk.json", GRID)
    assert caught.value.remedy


def test_results_with_both_files_are_one_case_and_markups_alone_will_do(tmp_path) -> None:
    write_markups(tmp_path / "a_ctd.mrk.json", CENTROIDS)
    write_centroids(tmp_path / "b_ctd.json", CENTROIDS, GRID)
    write_markups(tmp_path / "b_ctd.mrk.json", CENTROIDS)
    for other in ("a_desc-parts_msk", "a_desc-bone_msk", "b_res-1mm_seg", "c_res-1mm_seg-vert_msk"):
        (tmp_path / f"{other}.nii.gz").touch()  # no masks of vertebrae on the scan's own grid
    cases = find_case_files(tmp_path)
    assert set(cases) == {"a", "b"} and cases["a"].mask is None
    assert cases["a"].points == tmp_path / "a_ctd.mrk.json"
    assert cases["b"].points == tmp_path / "b_ctd.json"
    np.testing.assert_allclose(read_points(cases["a"].points, GRID)[19], (1.25, -20.5, 300.0))
