"""In which arithmetic a stage is trained."""

from __future__ import annotations

from vertseg.errors import ConfigurationError
from vertseg.stages.device import choose_device

PRECISIONS = ("auto", "float32", "bfloat16")
_OLD_NAMES = {"mixed_bfloat16": "bfloat16"}


def training_policy(precision: str, published: bool) -> str:
    """Keras's dtype policy for a training.

    Args:
        precision: ``float32``, ``bfloat16``, or ``auto``: bfloat16 where prediction takes it, too,
            because the processor has it, else float32. Float16 would need scaled losses.
        published: whether the preset is trained as published, which is in float32 unless asked
            otherwise.

    Raises:
        ConfigurationError: an unknown precision.
    """
    precision = _OLD_NAMES.get(precision, precision)
    if precision not in PRECISIONS:
        what = f"cannot be {precision!r}"
        raise ConfigurationError(what, "--precision", ", ".join(PRECISIONS))
    if precision == "auto":
        fast = not published and choose_device().precision == "bfloat16"
        precision = "bfloat16" if fast else "float32"
    return "float32" if precision == "float32" else "mixed_bfloat16"
