"""Ids of everything a phantom's label volume holds besides the vertebrae (1-25 and 28)."""

from __future__ import annotations

from enum import IntEnum


class Tissue(IntEnum):
    """Label ids; the names tell the tissue."""

    AIR = 0
    SACRUM = 26
    COCCYX = 27
    DISC = 30
    COSTAL_CARTILAGE = 40
    STERNUM = 41
    CLAVICLE = 42
    SCAPULA = 43
    HUMERUS = 44
    HIP_BONE = 46
    FEMUR = 47
    SKULL = 48
    MANDIBLE = 49
    LUNG = 60
    AIRWAY = 61
    HEART = 62
    LIVER = 63
    SPLEEN = 64
    STOMACH = 65
    BOWEL = 66
    BLADDER = 68
    OESOPHAGUS = 69
    THYROID = 70
    CORD = 71
    BRAIN = 72
    AORTA = 74
    VENA_CAVA = 75
    KIDNEY = 77
    MUSCLE = 80
    LIGAMENT = 81
    FAT = 90
    SKIN = 91
    TABLE = 92
    RIB_LEFT = 101
    RIB_RIGHT = 121


def rib_label(number: int, side: int) -> int:
    """Label of a rib; `side` is +1 for left and -1 for right. A thirteenth counts as twelfth."""
    return (Tissue.RIB_LEFT if side > 0 else Tissue.RIB_RIGHT) + min(number, 12) - 1
