"""What an export says of its origin: the user's own data, or that of this project."""

import json

from vertseg.stages import Stage
from vertseg.training.loop.provenance import LICENCE, SOURCES, UNSTATED, provenance


def leg(runs, stage, step=0, inherited=None, **config):
    path = runs / f"{stage}.{step:06d}.json"
    path.write_text(json.dumps({"config": config, "from_step": step, **(inherited or {})}))


def test_legs_that_record_nothing_are_of_this_project(tmp_path):
    for stage in Stage:
        leg(tmp_path, stage, seed=1)
    told = provenance(tmp_path)
    assert told["licence"] == LICENCE and told["sources"] == list(SOURCES)
    assert told["held_out"]["segmentation"] == ["totalseg", "tptbox"]


def test_weights_of_a_user_claim_nothing_of_this_project(tmp_path):
    for stage in Stage:
        leg(tmp_path, stage, pool="/home/u/verse", fold=1, held_out=["verse004", "verse005"])
        leg(tmp_path, stage, 9, pool="/home/u/verse", fold=1, held_out=["verse004"])
    told = provenance(tmp_path)
    assert told["licence"] == UNSTATED
    assert told["sources"] == [{"name": "verse", "use": f"{stage} stage"} for stage in Stage]
    assert told["held_out"] == dict.fromkeys(map(str, Stage), ["verse004"])
    about = {"licence": "CC BY-SA 4.0", "sources": [{"name": "VerSe'19"}]}
    assert provenance(tmp_path, about) == told | about


def test_what_a_run_started_from_is_told_with_its_own_data(tmp_path):
    given = {"licence": "CC0", "sources": [{"name": "somebody's scans"}]}
    for stage in Stage:
        leg(tmp_path, stage, inherited=given, seed=1, hold_out=["a"])
        leg(tmp_path, stage, 5, pool="mine", held_out=["a", "b"])
    told = provenance(tmp_path)
    assert told["licence"] == f"CC0; {UNSTATED}"
    assert told["sources"][0] == given["sources"][0] and len(told["sources"]) == 4
    assert told["held_out"]["spine"] == ["a"]
