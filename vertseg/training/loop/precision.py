"""The arithmetic in which a stage is trained."""

from __future__ import annotations

import logging
from typing import Any

import keras
import numpy as np

from vertseg.errors import ConfigurationError
from vertseg.stages.device import choose_device

log = logging.getLogger(__name__)

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
        fast = not published and choose_device().precision == "bfloat16" and _convolves()
        precision = "bfloat16" if fast else "float32"
    return "float32" if precision == "float32" else "mixed_bfloat16"


def _convolves() -> bool:
    """Whether the device can learn a convolution in bfloat16; on some GPUs the kernels fail."""
    if keras.backend.backend() != "jax":
        return True
    import jax

    def loss(kernel: Any) -> Any:
        maps = keras.ops.conv(volume, kernel, padding="same")
        return keras.ops.mean(keras.ops.cast(maps, "float32") ** 2)

    try:
        volume = keras.ops.ones((2, 16, 16, 16, 8), "bfloat16")
        value, slope = jax.value_and_grad(loss)(keras.ops.ones((3, 3, 3, 8, 8), "bfloat16"))
        works = bool(np.isfinite(float(value)) and np.isfinite(np.asarray(slope, float)).all())
    except Exception as error:  # of the library or its driver, whatever its kind
        log.warning("no convolution in bfloat16 (%s): float32 is used", str(error).split("\n")[0])
        return False
    return works
