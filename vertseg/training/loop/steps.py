"""One training step, compiled: a batch of draws in, the loss out; and functions to look at it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from vertseg.errors import ConfigurationError


def use_all_devices(batch: int) -> int:
    """Lets every GPU take its part of each batch (JAX), and returns how many devices there are.

    To be called before the networks are built.

    Raises:
        ConfigurationError: the batch cannot be dealt out evenly.
    """
    if keras.backend.backend() != "jax":
        return 1
    devices = keras.distribution.list_devices()
    if len(devices) > 1:
        if batch % len(devices):
            raise ConfigurationError(
                f"a batch of {batch} cannot be dealt out to {len(devices)} devices",
                "--batch",
                f"a multiple of {len(devices)}",
            )
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices))
    return len(devices)


def forbid_tf32() -> None:
    """Keeps GPUs from rounding float32 products, as of coordinates, to the 10 bits of TF32."""
    if keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "float32")
    else:
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(False)


class TensorFlowStep:
    """One step on TensorFlow; its state is in the variables themselves."""

    def __init__(self, trainer: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
        self._trainer, self._optimizer = trainer, optimizer
        trainer.compile(optimizer=optimizer, jit_compile=False)

    def __call__(self, draws: dict[str, Any], rate: float) -> Any:
        """The loss of a batch of draws, from which the weights learn at `rate`."""
        self._optimizer.learning_rate.assign(rate)
        return self._trainer.train_on_batch(draws)

    def sync(self) -> None:
        """The variables are always up to date."""


class JaxStep:
    """One step on JAX, wholly compiled; the device continues while the host makes the next batch.

    The state is kept outside of the variables: call `sync` before they are read.
    """

    def __init__(self, trainer: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
        import jax

        self._groups = (
            trainer.trainable_variables,
            trainer.non_trainable_variables,
            optimizer.variables,
        )
        place = [v is optimizer._learning_rate for v in optimizer.variables].index(True)

        def step(trainable: Any, fixed: Any, state: Any, rate: Any, draws: Any) -> Any:
            def loss_of(trainable: Any) -> Any:
                return trainer.stateless_call(trainable, fixed, draws, training=True)

            (loss, new), gradients = jax.value_and_grad(loss_of, has_aux=True)(trainable)
            state = [*state[:place], rate, *state[place + 1 :]]
            trainable, state = optimizer.stateless_apply(state, gradients, trainable)
            return loss, trainable, new, state

        self._step = jax.jit(step, donate_argnums=(0, 1, 2))
        self._state: list[Any] = []

    def __call__(self, draws: dict[str, Any], rate: float) -> Any:
        """The loss of a batch of draws, from which the weights learn at `rate`."""
        if not self._state:
            self._state = [[v.value for v in group] for group in self._groups]
        loss, *self._state = self._step(*self._state, np.float32(rate), draws)
        return loss

    def sync(self) -> None:
        """Puts the state into the variables; the next step takes it from there."""
        for group, values in zip(self._groups, self._state, strict=bool(self._state)):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)
        self._state = []


def make_step(
    trainer: keras.Model, optimizer: keras.optimizers.Optimizer
) -> TensorFlowStep | JaxStep:
    """The step for the backend in use; `optimizer` must be built."""
    step = JaxStep if keras.backend.backend() == "jax" else TensorFlowStep
    return step(trainer, optimizer)


def compiled(trainer: keras.Model) -> Callable[[dict[str, Any]], list[np.ndarray]]:
    """`trainer.look`, compiled, with the weights that the variables have when it is called."""
    if keras.backend.backend() == "jax":
        import jax

        variables = trainer.variables

        @jax.jit
        def look(values: Any, draws: Any) -> Any:
            with keras.StatelessScope(zip(variables, values, strict=True)):
                return trainer.look(draws)

        return lambda draws: [np.asarray(a) for a in look([v.value for v in variables], draws)]
    import tensorflow as tf

    function = tf.function(trainer.look)
    return lambda draws: [a.numpy() for a in function(draws)]
