"""The registry of vertebra labels; every list of names, ids and colours derives from it.

Ids follow the VerSe benchmark (Sekuboyina et al., MedIA 2021): 1-7 C1-C7, 8-19 T1-T12,
20-24 L1-L5, 25 L6, 26 sacrum, 27 coccyx, 28 T13.
"""

from __future__ import annotations

from dataclasses import dataclass

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Structure:
    """One structure of the spine.

    Attributes:
        label: id in masks and centroid files.
        name: short name, such as ``"T12"``.
        region: ``"cervical"``, ``"thoracic"``, ``"lumbar"``; ``"sacral"`` for sacrum and coccyx.
        colour: red, green, blue in 0-255.
    """

    label: int
    name: str
    region: str
    colour: Colour


# Two shades a region, which take turns: warm colours, blues and greens, after Okabe & Ito, "Color
# Universal Design" (2008), with the lightness so that neighbours, also T12 or T13 and L1, differ to
# every colour vision.
_SHADES: dict[str, tuple[Colour, Colour]] = {
    "cervical": ((213, 94, 0), (240, 228, 66)),
    "thoracic": ((0, 90, 170), (120, 200, 245)),
    "lumbar": ((0, 165, 75), (190, 245, 170)),
}
_SACRUM, _COCCYX, _T13 = 26, 27, 28

ORDER_CRANIAL_TO_CAUDAL: tuple[int, ...] = (*range(1, 20), _T13, *range(20, 26))
"""Labels of all vertebrae from the head downwards; T13 lies between T12 and L1."""


def _name(label: int) -> str:
    if label == _T13:
        return "T13"
    for letter, first, last in (("C", 1, 7), ("T", 8, 19), ("L", 20, 25)):
        if first <= label <= last:
            return f"{letter}{label - first + 1}"
    raise ValueError(f"no vertebra has the label {label}")


def _vertebra(label: int) -> Structure:
    name = _name(label)
    region = {"C": "cervical", "T": "thoracic", "L": "lumbar"}[name[0]]
    return Structure(label, name, region, _SHADES[region][(int(name[1:]) - 1) % 2])


VERTEBRAE: tuple[Structure, ...] = tuple(_vertebra(n) for n in sorted(ORDER_CRANIAL_TO_CAUDAL))
"""The 26 vertebrae that are written (1-25 and 28), by label."""

STRUCTURES: tuple[Structure, ...] = (
    *VERTEBRAE,
    Structure(_SACRUM, "sacrum", "sacral", (153, 153, 153)),
    Structure(_COCCYX, "coccyx", "sacral", (204, 204, 204)),
)
"""All known labels: the vertebrae, and sacrum and coccyx, which are read but never written."""

_BY_LABEL = {structure.label: structure for structure in STRUCTURES}
_BY_NAME = {structure.name.lower(): structure for structure in STRUCTURES}


def is_vertebra(label: int) -> bool:
    """Whether `label` is one of the 26 vertebrae (not the sacrum, coccyx or background).

    >>> is_vertebra(label_of("T13")), is_vertebra(label_of("sacrum")), is_vertebra(0)
    (True, False, False)
    """
    return label in _BY_LABEL and label not in (_SACRUM, _COCCYX)


def name_of(label: int) -> str:
    """Short name of a label; KeyError for an unknown label.

    >>> name_of(20)
    'L1'
    """
    return _BY_LABEL[label].name


def label_of(name: str) -> int:
    """Label of a name in any case; KeyError for an unknown name.

    >>> label_of("L1"), label_of("l1"), label_of("T13")
    (20, 20, 28)
    """
    return _BY_NAME[name.lower()].label


def region_of(label: int) -> str:
    """Region of a label (see `Structure.region`); KeyError for an unknown label.

    >>> region_of(7), region_of(8)
    ('cervical', 'thoracic')
    """
    return _BY_LABEL[label].region


def colour_of(label: int) -> Colour:
    """Display colour of a label, red, green, blue in 0-255; KeyError for an unknown label."""
    return _BY_LABEL[label].colour
