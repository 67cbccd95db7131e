"""How the weights of a stage are found: optimiser, rate, regularisation, targets.

``paper`` holds the values of Payer et al., VISAPP 2020, section 4; every other preset is trained
by Adam with a falling rate, and the moving average of its weights is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import keras


@dataclass(frozen=True)
class Method:
    """How one stage is trained.

    Attributes:
        optimizer: ``adam``, or ``nesterov``: gradient descent with Nesterov's momentum 0.99.
        rate: peak learning rate.
        decays: whether the rate rises at first and falls towards the end.
        clip_norm: largest norm of all gradients together; None for any.
        averages: whether the moving average of the weights is what is saved.
        weight_decay: factor of the squared norm of all kernels in the loss.
        sigma_decay: factor of the squared norm of the learned sigmas of the landmark heatmaps
            (alpha in the paper); 0: sigma is fixed.
        target_scale: mass of a landmark heatmap with learned sigma (gamma in the paper).
        overlap: whether soft Dice is part of the segmentation's loss, beside the cross-entropy.
    """

    optimizer: Literal["adam", "nesterov"] = "adam"
    rate: float = 5e-4
    decays: bool = True
    clip_norm: float | None = 5.0
    averages: bool = True
    weight_decay: float = 0.0
    sigma_decay: float = 0.0
    target_scale: float = 1.0
    overlap: bool = True


_PLAIN = Method(rate=1e-4, decays=False, clip_norm=None, averages=False, overlap=False)

PUBLISHED = {
    "spine": replace(_PLAIN, weight_decay=5e-4),
    "vertebrae": replace(
        _PLAIN,
        optimizer="nesterov",
        rate=1e-8,
        weight_decay=5e-4,
        sigma_decay=100.0,
        target_scale=1000.0,
    ),
    "segmentation": replace(_PLAIN, weight_decay=1e-7),
}
"""Payer et al., VISAPP 2020: batches of one, 20,000, 100,000 and 50,000 steps."""


def method_for(preset: str, stage: str) -> Method:
    """The method of a preset's stage."""
    return PUBLISHED[stage] if preset == "paper" else Method()


def build_optimizer(method: Method, rate: float, ema: float) -> keras.optimizers.Optimizer:
    """The optimiser of a method at `rate`; `ema` is the momentum of the weights' average."""
    options = {"use_ema": True, "ema_momentum": ema} if method.averages else {}
    if method.clip_norm is not None:
        options["global_clipnorm"] = method.clip_norm
    if method.optimizer == "nesterov":
        return keras.optimizers.SGD(rate, momentum=0.99, nesterov=True, **options)
    return keras.optimizers.Adam(rate, **options)
