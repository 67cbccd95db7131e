"""What a rival numbering is called."""

from vertseg.labels import label_of
from vertseg.sequence.words import difference


def numbered(*names: str) -> dict[int, int]:
    return {place: label_of(name) for place, name in enumerate(names)}


def test_levels_are_counted_without_those_that_few_people_have() -> None:
    """L1 lies one level below T12, although T13 may lie between them."""
    usual = numbered("T11", "T12", "L1")
    assert difference(usual, numbered("T12", "L1", "L2")).endswith("T12–L2, one level lower")
    assert difference(numbered("L1", "L2"), numbered("T13", "L1")).endswith("one level higher")
    assert difference(numbered("L1"), numbered("T11")) == "L1 may be T11, 2 levels higher"
    assert difference(usual, usual) == ""


def test_a_level_that_the_rival_lacks_is_named() -> None:
    chosen, rival = numbered("T11", "T12"), numbered("T11", "L1")
    assert difference(chosen, rival) == "T12 may be L1, one level lower"  # T12 was not found
    sentence = "T12 may be L1, one level lower, with T12 absent"
    assert difference(chosen, rival, is_variant=True) == sentence
    neck = difference(numbered("C5", "C6", "C7"), numbered("C5", "C6", "T1"), is_variant=True)
    assert neck == "C7 may be T1, one level lower, with C7 absent"
    more = difference(numbered("T12", "L1"), numbered("T12", "T13"), is_variant=True)
    assert more == "L1 may be T13, one level higher"
