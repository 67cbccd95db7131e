"""Whole jobs on volumes in memory, for `tests.bench.gpu`: seconds, the host's share, memory.

One body is made in coarse voxels; the volume of each case is interpolated from it. The work of a
job is the same on a finely made body, which takes a minute and 12 GiB.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vertseg.geometry.centroid import Centroid
from vertseg.geometry.resampling import resample_array
from vertseg.io.hounsfield import AIR_HU
from vertseg.io.image import Image
from vertseg.labels import label_of
from vertseg.phantom import Phantom, box_grid, draw_subject, field_of_view, make_phantom
from vertseg.stages import Stage
from vertseg.stages.segmenter import Segmenter

_SEED = 2


@dataclass(frozen=True)
class Case:
    """A scan to make.

    Attributes:
        levels: first and last vertebra that lie wholly inside.
        spacing_mm: size of a voxel.
        field_mm: field of view across.
    """

    levels: tuple[str, str]
    spacing_mm: tuple[float, float, float]
    field_mm: float

    @property
    def centroids_within(self) -> range:
        """Labels of the case's levels."""
        first, last = map(label_of, self.levels)
        return range(first, last + 1)


CASES = {
    "lumbar": Case(("T9", "L5"), (0.9, 0.9, 0.9), 180.0),
    "whole spine": Case(("C1", "L5"), (0.9, 0.9, 0.9), 360.0),
    "thin slices": Case(("T4", "L5"), (0.8, 0.8, 0.6), 300.0),
}
BODY_MM = 2.4

TOY_CASES = {"lumbar": Case(("L2", "L4"), (3.0, 3.0, 3.0), 120.0)}
TOY_BODY_MM = 4.0


class _Timed:
    """A network whose seconds are added up."""

    def __init__(self, forward: Any) -> None:
        self.forward, self.seconds = forward, 0.0

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        begin = time.perf_counter()
        try:
            return self.forward(batch)
        finally:
            self.seconds += time.perf_counter() - begin


def make_body(cases: Mapping[str, Case], spacing_mm: float) -> Phantom:
    """One body that holds the fields of view of all cases."""
    subject = draw_subject(_SEED)
    boxes = [field_of_view(subject, c.levels, (c.field_mm, c.field_mm)) for c in cases.values()]
    lower = np.min([box[0] for box in boxes], axis=0)
    upper = np.max([box[1] for box in boxes], axis=0)
    return make_phantom(seed=_SEED, grid=box_grid(lower, upper, spacing_mm))


def volume_of(case: Case, body: Phantom) -> tuple[Image, list[Centroid]]:
    """The scan of a case, interpolated from the body, and the centroids of its levels."""
    field = (case.field_mm, case.field_mm)
    grid = box_grid(*field_of_view(body.subject, case.levels, field), case.spacing_mm)
    hu = resample_array(body.hu, body.grid, grid, outside=AIR_HU)
    image = Image.from_array(np.rint(hu, out=hu).astype(np.int16), grid.affine_ras)
    return image, [c for c in body.centroids if c.label in case.centroids_within]


def job_rows(segmenter: Segmenter, toy: bool) -> Iterator[dict[str, Any]]:
    """Seconds of the second run of each case, which compiles nothing: in full, and from centroids.

    The host's share is what is left of a stage's seconds without those of its network; calls do
    not overlap on a GPU.
    """
    timers = _set_timers(segmenter)
    cases = TOY_CASES if toy else CASES
    body = make_body(cases, TOY_BODY_MM if toy else BODY_MM)
    for name, case in cases.items():
        image, centroids = volume_of(case, body)
        runs = {
            name: lambda image=image: segmenter(image),
            f"{name}, centroids given": lambda image=image, c=centroids: segmenter.segment(
                image, c
            ),
        }
        for title, run in runs.items():
            size = "x".join(map(str, image.grid.size))
            yield {"case": title, "size": size, **_measured(run, timers), **memory()}


def _set_timers(segmenter: Segmenter) -> dict[Stage, _Timed]:
    timers = {}
    for stage, network in zip(Stage, segmenter.networks, strict=True):
        timers[stage] = network._forward = _Timed(network._forward)
    return timers


def _measured(run: Any, timers: Mapping[Stage, _Timed]) -> dict[str, Any]:
    begin = time.perf_counter()
    run()
    first = time.perf_counter() - begin
    for timer in timers.values():
        timer.seconds = 0.0
    begin = time.perf_counter()
    result = run()
    return {
        "vertebrae": len(result.vertebrae),
        "seconds": time.perf_counter() - begin,
        "first_run_s": first,
        **{f"{stage}_network_s": timer.seconds for stage, timer in timers.items()},
        **{f"{stage}_s": seconds for stage, seconds in result.seconds.items()},
    }


def memory() -> dict[str, float]:
    """Peaks in GiB so far: of this process, and of the GPU where JAX says."""
    found = {"host_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}
    import keras

    if keras.backend.backend() == "jax":
        import jax

        stats = jax.devices()[0].memory_stats() or {}
        if "peak_bytes_in_use" in stats:
            found["gpu_gib"] = stats["peak_bytes_in_use"] / 2**30
    return found
