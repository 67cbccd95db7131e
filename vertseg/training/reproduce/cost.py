"""The cost of a reproduction, estimated before it begins: operations, speed, memory."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

import keras
import numpy as np

from models import StageConfig, build_network
from vertseg.stages import Stage
from vertseg.stages.at_once import activation_bytes
from vertseg.training.loop.methods import build_optimizer
from vertseg.training.loop.published import PublishedTrainer
from vertseg.training.loop.steps import make_step
from vertseg.training.reproduce.plan import FOLDS, Plan
from vertseg.training.sample.published import PublishedRecipe

_BACKWARD = 3.0
"""Work of a training step over that of a forward pass."""
_WINDOWS, _VERTEBRAE = 12, 12
"""Of a scan, for an estimate."""
_LEAST_VOXELS = 16_384
"""Of a grid on which speed is measured: on a smaller one little of the time is arithmetic."""
_LIBRARY_GIB = 0.8
_KEPT = 1.15
"""Memory of a step over that of all maps of a forward pass; both are as measured with ``paper`` on
TensorFlow: 2.6, 5.5 and 6.2 GiB in the three stages."""


@dataclass(frozen=True)
class Cost:
    """An estimate.

    Attributes:
        flops: stage -> floating-point operations of a forward pass.
        flops_per_s: measured on this machine, on a small grid.
        memory_gib: largest need of a training step.
        training_h: hours of all trainings.
        scoring_h: hours of cross-validation, of all cases.
    """

    flops: dict[Stage, float]
    flops_per_s: float
    memory_gib: float
    training_h: float
    scoring_h: float


def estimate(plan: Plan, cases: int) -> Cost:
    """The cost of a plan for a number of cases.

    A few training steps of the spine stage on a small grid tell the speed of the machine.
    """
    networks = {stage: build_network(plan.preset, stage) for stage in Stage}
    flops = {stage: forward_flops(network) for stage, network in networks.items()}
    kept = max(map(activation_bytes, networks.values()))
    speed = measured_flops_per_s(plan)
    steps = sum(plan.steps(stage) * _BACKWARD * flops[stage] for stage in Stage)
    scan = flops[Stage.SPINE] + _WINDOWS * flops[Stage.VERTEBRAE]
    scan += _VERTEBRAE * flops[Stage.SEGMENTATION]
    return Cost(
        flops=flops,
        flops_per_s=speed,
        memory_gib=_LIBRARY_GIB + _KEPT * kept / 2**30,
        training_h=(FOLDS + 1) * steps / speed / 3600,
        scoring_h=cases * scan / speed / 3600,
    )


def forward_flops(network: keras.Model) -> float:
    """Floating-point operations of the convolutions of a network for one grid."""
    return sum(_convolution_flops(layer) for layer in _convolutions(network.layers))


def _convolutions(layers: Iterable[keras.layers.Layer]) -> list[keras.layers.Conv3D]:
    return [layer for layer in layers if isinstance(layer, keras.layers.Conv3D)]


def _convolution_flops(layer: keras.layers.Conv3D) -> float:
    voxels = math.prod(layer.output.shape[1:4])
    return 2.0 * voxels * math.prod(layer.kernel.shape)


def measured_flops_per_s(plan: Plan) -> float:
    """How fast training steps are on this machine."""
    config = plan.config(Stage.SPINE)
    x, y, z = _small_size(config)
    small = replace(config, size=(x, y, z))
    trainer = PublishedTrainer(plan.preset, PublishedRecipe(Stage.SPINE, small))
    optimizer = build_optimizer(trainer.method, trainer.method.rate, 0.0)
    optimizer.build(trainer.trainable_variables)
    step = make_step(trainer, optimizer)
    batch = {
        "image": np.zeros((1, x, y, z, 1), np.float32),
        "landmarks": np.ones((1, 26, 3), np.float32),
        "seen": np.ones((1, 26), np.float32),
    }
    float(step(batch, 0.0))  # compiled by the first call
    begin = time.perf_counter()
    float(step(batch, 0.0))
    return _BACKWARD * forward_flops(trainer.network) / (time.perf_counter() - begin)


def _small_size(config: StageConfig) -> tuple[int, int, int]:
    """A part of a stage's grid that is large enough to measure speed on."""
    unit = 2 ** (len(config.network.filters) - 1)
    for shrink in (4, 3, 2):
        x, y, z = (max(n // shrink // unit, 1) * unit for n in config.size)
        if x * y * z >= _LEAST_VOXELS:
            return x, y, z
    return config.size


def in_words(cost: Cost, plan: Plan, cases: int) -> str:
    """For the terminal, before anything begins."""
    work = ", ".join(f"{stage} {cost.flops[stage] / 1e12:.2g}" for stage in Stage)
    steps = ", ".join(f"{stage} {plan.steps(stage):,}" for stage in Stage)
    hours = cost.training_h + cost.scoring_h
    return (
        f"{cases} cases in {FOLDS} folds; steps of each training: {steps}; "
        f"TFLOP of a forward pass: {work}. "
        f"This machine does {cost.flops_per_s / 1e9:.3g} GFLOP/s in such steps: about "
        f"{_time(hours)} in all, {_time(cost.scoring_h)} of it for cross-validation, and "
        f"{cost.memory_gib:.1f} GiB of memory. A stopped run continues where it was."
    )


def _time(hours: float) -> str:
    if hours < 1.0:
        return f"{max(60 * hours, 1):.0f} minutes"
    return f"{hours:,.0f} hours" if hours < 72 else f"{hours / 24:,.0f} days"
