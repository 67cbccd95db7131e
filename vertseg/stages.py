"""The three stages of the work, and which parts of it can be run alone."""

from __future__ import annotations

from vertseg.errors import ConfigurationError

STAGES = ("spine", "vertebrae", "segmentation")
"""In their order: where the spine is, which vertebra is where, and which voxels are whose."""

Stages = tuple[str, ...]

_PARTS: tuple[Stages, ...] = (STAGES[:1], STAGES[:2], STAGES, STAGES[2:])


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
