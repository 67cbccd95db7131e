"""How the weights of a stage are found: optimiser, rate, and what is kept of them.

Presets that are trained as published bring their own method (`models.published`); every other one
is trained by Adam with a falling rate, and the moving average of its weights is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras

from models.published import PublishedMethod

_MOMENTUM = 0.99


@dataclass(frozen=True)
class Method:
    """How one stage is trained in the project's own way.

    Attributes:
        rate: peak learning rate; it rises at first and falls towards the end of a leg.
        clip_norm: largest norm of all gradients together.
    """

    rate: float = 5e-4
    clip_norm: float = 5.0


def build_optimizer(
    method: Method | PublishedMethod, rate: float, ema: float
) -> keras.optimizers.Optimizer:
    """The optimiser of a method at `rate`.

    `ema` is the momentum of the weights' average; the published training keeps none.
    """
    if isinstance(method, Method):
        options = {"use_ema": True, "ema_momentum": ema, "global_clipnorm": method.clip_norm}
        return keras.optimizers.Adam(rate, **options)
    if method.optimizer == "nesterov":
        return keras.optimizers.SGD(rate, momentum=_MOMENTUM, nesterov=True)
    return keras.optimizers.Adam(rate)
