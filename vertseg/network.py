"""One trained network, compiled: from a batch of crops to a batch of maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from models import StageConfig, activate, build_network
from vertseg.device import DeviceInfo
from vertseg.errors import ConfigurationError
from vertseg.weights import Weights

Float32Array = npt.NDArray[np.float32]


class StageNetwork:
    """The network of one stage with its weights.

    Args:
        weights: verified weights.
        stage: ``spine``, ``vertebrae`` or ``segmentation``.
        device: where and in which precision it runs.

    Raises:
        ConfigurationError: the weights do not fit the preset's network.
    """

    def __init__(self, weights: Weights, stage: str, device: DeviceInfo) -> None:
        self.config: StageConfig = getattr(weights.preset, stage)
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(device.policy)
        try:
            model = build_network(weights.preset, stage)
            model.load_weights(weights.files[stage])
        except (ValueError, OSError, KeyError) as error:
            raise ConfigurationError(
                f"weights cannot be used: the file of the {stage} stage does not fit its network",
                where=f"{weights.files[stage]}: {error}",
                expected=f"weights of the preset {weights.preset.name}",
                remedy="use the preset and the weights of one training",
            ) from error
        finally:
            keras.config.set_dtype_policy(before)
        self._forward = _compiled(model, self.config)

    def __call__(self, batch: Float32Array) -> Float32Array:
        """Maps (n, x, y, z, outputs) in about [0, 1] from inputs (n, x, y, z, inputs)."""
        return np.asarray(keras.ops.convert_to_numpy(self._forward(batch)), np.float32)


def _compiled(model: keras.Model, config: StageConfig) -> Callable[[Any], Any]:
    if keras.backend.backend() == "jax":
        import jax

        state = [[v.value for v in group] for group in _variables(model)]

        @jax.jit
        def forward(trainable: Any, fixed: Any, batch: Any) -> Any:
            outputs, _ = model.stateless_call(trainable, fixed, batch, training=False)
            return activate(outputs, config)

        return lambda batch: forward(*state, batch)
    import tensorflow as tf

    function = tf.function(lambda batch: activate(model(batch, training=False), config))
    return lambda batch: function(tf.convert_to_tensor(batch))


def _variables(model: keras.Model) -> tuple[list[Any], list[Any]]:
    return model.trainable_variables, model.non_trainable_variables
