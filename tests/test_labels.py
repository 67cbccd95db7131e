"""The registry of labels, and errors that carry their remedy."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from vertseg import labels
from vertseg.errors import ConfigurationError, InputError, NoInputError, OutputError, VertsegError


def test_ids_are_those_of_verse() -> None:
    expected = {1: "C1", 7: "C7", 8: "T1", 19: "T12", 20: "L1", 24: "L5", 25: "L6", 28: "T13"}
    for label, name in expected.items():
        assert labels.name_of(label) == name
        assert labels.label_of(name.lower()) == label
    assert labels.name_of(26) == "sacrum" and labels.name_of(27) == "coccyx"
    assert [v.label for v in labels.VERTEBRAE] == [*range(1, 26), 28]


def test_order_and_regions() -> None:
    assert list(labels.ORDER_CRANIAL_TO_CAUDAL) == [*range(1, 20), 28, *range(20, 26)]
    regions = [labels.region_of(label) for label in labels.ORDER_CRANIAL_TO_CAUDAL]
    assert regions == ["cervical"] * 7 + ["thoracic"] * 13 + ["lumbar"] * 6
    assert labels.is_vertebra(28) and not labels.is_vertebra(26) and not labels.is_vertebra(0)
    with pytest.raises(KeyError):
        labels.name_of(29)


# Viénot, Brettel & Mollon 1999: what a deuteranope and a protanope see, in linear RGB.
DICHROMATS = {
    "normal": np.eye(3),
    "protanope": np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]),
    "deuteranope": np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]),
}


@pytest.mark.parametrize("vision", DICHROMATS)
def test_neighbours_differ_in_colour_for_every_vision(vision: str) -> None:
    seen = {
        label: DICHROMATS[vision] @ (np.array(labels.colour_of(label)) / 255) ** 2.2
        for label in labels.ORDER_CRANIAL_TO_CAUDAL
    }
    order = labels.ORDER_CRANIAL_TO_CAUDAL
    pairs = [*zip(order[:-1], order[1:], strict=True), (19, 20), (18, 20), (6, 8)]
    for a, b in pairs:
        difference = np.clip(seen[a], 0, 1) ** (1 / 2.2) - np.clip(seen[b], 0, 1) ** (1 / 2.2)
        assert np.linalg.norm(difference) > 0.4, (vision, a, b)


def test_the_colour_tells_the_region() -> None:
    """The strongest part of the colour: red in the neck, blue in the chest, green in the loin."""
    strongest = {"cervical": 0, "thoracic": 2, "lumbar": 1}
    for label in labels.ORDER_CRANIAL_TO_CAUDAL:
        assert np.argmax(labels.colour_of(label)) == strongest[labels.region_of(label)]


def test_errors_say_what_where_expected_and_remedy() -> None:
    error = InputError("the file is truncated", "a.nii.gz", "10 bytes", "Copy it again.")
    assert str(error) == "a.nii.gz: the file is truncated (expected 10 bytes). Copy it again."
    assert str(VertsegError("bad")) == "bad"
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is InputError and str(copy) == str(error) and copy.remedy == "Copy it again."


def test_exit_codes() -> None:
    codes = {ConfigurationError: 1, InputError: 2, OutputError: 2, NoInputError: 3}
    assert {kind: kind("x").exit_code for kind in codes} == codes
