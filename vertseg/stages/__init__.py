"""The three stages, from scan to label map, and the machinery that their networks share.

It may import phantom (for the self-test), io, sequence, models and all rooms below. This module
names the stages, and the parts of the work that can be run alone.
"""

from __future__ import annotations

from enum import StrEnum

from vertseg.errors import ConfigurationError


class Stage(StrEnum):
    """A stage of the work, in the order in which they run; each has a network of its own."""

    SPINE = "spine"
    """Where the spine is."""
    VERTEBRAE = "vertebrae"
    """Which vertebra is where."""
    SEGMENTATION = "segmentation"
    """Which voxels belong to which vertebra."""


Stages = tuple[Stage, ...]

ALL_STAGES: Stages = tuple(Stage)
SPINE_ONLY: Stages = (Stage.SPINE,)
FIND: Stages = (Stage.SPINE, Stage.VERTEBRAE)
"""Find and name the vertebrae without segmenting them."""
SEGMENT_ONLY: Stages = (Stage.SEGMENTATION,)
"""Segment vertebrae from centroids that are given."""

_PARTS = (SPINE_ONLY, FIND, ALL_STAGES, SEGMENT_ONLY)


def parse_stages(text: str) -> Stages:
    """The stages of a list such as ``"spine,vertebrae"``.

    Each stage needs those before it; the segmentation alone works from given centroids.

    Raises:
        ConfigurationError: an unknown stage, or one without those that it needs.
    """
    named = {name.strip() for name in text.split(",")}
    part = next((part for part in _PARTS if named == set(part)), None)
    if part is None:
        expected = " or ".join(",".join(part) for part in _PARTS)
        raise ConfigurationError(f"cannot be {text!r}", "--stages", expected)
    return part
