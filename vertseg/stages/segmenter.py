"""The whole job on one scan in memory: spine, vertebrae, segmentation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vertseg.errors import ConfigurationError
from vertseg.geometry.centroid import Centroid
from vertseg.io.heatmap import Heatmap, KeepHeatmap
from vertseg.io.image import Image
from vertseg.sequence.solve import Numbering, SequenceResult
from vertseg.stages import ALL_STAGES, FIND, SEGMENT_ONLY, SPINE_ONLY, Stage
from vertseg.stages.at_once import CALLS_AT_ONCE, crops_at_once
from vertseg.stages.borders import without_cut_masks
from vertseg.stages.device import choose_device
from vertseg.stages.fine import FineMask
from vertseg.stages.found import Found, chain_of, result_of, with_fine
from vertseg.stages.modes import Mode, preset_for
from vertseg.stages.result import Result
from vertseg.stages.second_look import SecondLook
from vertseg.stages.weights import load_weights
from vertseg.system.threads import mapped_ahead
from vertseg.system.timing import timed

if TYPE_CHECKING:
    from vertseg.stages.network import StageNetwork
    from vertseg.stages.segmentation import Known, OnResponse

Progress = Callable[[str, int, int], None]


class Segmenter:
    """The three trained networks, loaded once and used for any number of scans.

    Args:
        weights: folder with ``manifest.json``; the bundled weights if None.
        device: ``auto``, ``gpu`` or ``cpu``.
        precision: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        tile_overlap: voxels that neighbouring tiles of the vertebrae stage share; the preset's
            if None.
        threads: CPU threads; all if None.
        mode: ``usual``; ``fast``, see `vertseg.stages`; ``reference``, float32 unless `precision`
            says otherwise and stage 3 as in `vertseg.stages.segmentation_reference`;
            ``published``, see `vertseg.stages.published`.
        keep_heatmaps: return the heatmaps of the first two stages with each result.
        fine_mask: return the mask at 1 mm, too, with each result; not of ``reference`` and
            ``published``.
        backend: ``auto``, ``openvino``, ``tensorflow`` or ``jax``, see
            `vertseg.stages.device.choose_device`.
        numbering: how numbering variants are treated, see `vertseg.sequence.solve.Numbering`.

    Raises:
        ConfigurationError: unusable weights, device or option.
    """

    _fine_mask = False

    def __init__(
        self,
        weights: Path | None = None,
        device: str = "auto",
        precision: str = "auto",
        tile_overlap: int | None = None,
        threads: int | None = None,
        mode: Mode = "usual",
        keep_heatmaps: bool = False,
        fine_mask: bool = False,
        backend: str = "auto",
        numbering: Numbering | str = Numbering.AUTO,
    ) -> None:
        if mode == "reference" and precision == "auto":
            precision = "float32"
        self.device = choose_device(device, precision, threads, backend)
        loaded = load_weights(weights)
        loaded = replace(loaded, preset=preset_for(mode, loaded.preset))
        self.manifest = loaded.manifest
        self.preset = loaded.preset
        self._overlap = _checked_overlap(tile_overlap, loaded.preset.vertebrae.size[2])
        from vertseg.stages.network import StageNetwork, Turns

        # OpenVINO compiles networks side by side; Keras has settings that all of them share.
        at_once = CALLS_AT_ONCE if self.device.backend == "openvino" else 1
        turns = Turns.of(self.device)
        self._spine, self._vertebrae, self._segmentation = mapped_ahead(
            lambda stage: StageNetwork(loaded, stage, self.device, turns), Stage, at_once
        )
        self._keep_heatmaps = keep_heatmaps
        self._fine_mask = fine_mask
        self._numbering = Numbering(numbering)
        self._mode = mode
        crop_bytes = self._segmentation.crop_bytes
        self._at_once = crops_at_once(crop_bytes, self.device.kind, self.device.backend)

    def __call__(
        self, image: Image, on_progress: Progress | None = None, found: Found | None = None
    ) -> Result:
        """Finds, names and segments the vertebrae of `image`.

        Args:
            image: the scan in HU.
            on_progress: called with (stage, done, total) as the work proceeds.
            found: what `locate` has found in it, if that has been done.
        """
        here, report = self._afresh(), on_progress or _say_nothing
        found = here._located(image, report) if found is None else found
        seconds = dict(found.seconds)
        fine: list[FineMask] = []
        known: Known = {}
        look = SecondLook(image, found.search, found.chain, here._segmentation, known)
        labels = here._segment(image, found.chain, report, seconds, fine, look.add, known)
        with timed(seconds, Stage.SEGMENTATION):
            decision = look.decide()
        found = replace(
            found,
            chain=decision.chain,
            second_look=decision.changes,
            doubled=decision.doubled,
        )
        if decision.changes:
            fine.clear()
            labels = here._segment(image, found.chain, report, seconds, fine, known=known)
        if self._mode != "published":
            found = replace(found, chain=without_cut_masks(found.chain, labels, image.grid))
        shortages = (*found.shortages, *_shortages(here._segmentation))
        result = result_of(image, found, labels, ALL_STAGES, seconds, shortages)
        return with_fine(result, fine)

    def locate(self, image: Image, on_progress: Progress | None = None) -> Found:
        """Finds and names the vertebrae of `image` for `__call__`, see there.

        Other threads may be at other images meanwhile, here or in `__call__`.
        """
        return self._afresh()._located(image, on_progress)

    def find_spine(self, image: Image, on_progress: Progress | None = None) -> Result:
        """Finds the spine of `image` without naming its vertebrae, see `__call__`.

        The result has no vertebrae and an empty label map; see `Result.spine_lps_mm`.
        """
        found = self._afresh()._located(image, on_progress, spine_only=True)
        return result_of(image, found, None, SPINE_ONLY, dict(found.seconds), found.shortages)

    def find(self, image: Image, on_progress: Progress | None = None) -> Result:
        """Finds and names the vertebrae of `image` without segmenting them, see `__call__`.

        The label map of the result is empty.
        """
        found = self.locate(image, on_progress)
        return result_of(image, found, None, FIND, dict(found.seconds), found.shortages)

    def segment(
        self, image: Image, centroids: Sequence[Centroid], on_progress: Progress | None = None
    ) -> Result:
        """Segments the vertebrae of `image` that somebody else has found and named.

        Args:
            image: the scan in HU.
            centroids: one per vertebra; listed from the head downwards in the result.
            on_progress: see `__call__`.
        """
        here, report, seconds = self._afresh(), on_progress or _say_nothing, dict[str, float]()
        chain = chain_of(centroids)
        fine: list[FineMask] = []
        look = SecondLook(image, None, chain, here._segmentation)
        labels = here._segment(image, chain, report, seconds, fine, look.add)
        found = Found(chain, doubled=look.decide().doubled)
        shortages = _shortages(here._segmentation)
        result = result_of(image, found, labels, SEGMENT_ONLY, seconds, shortages)
        return with_fine(result, fine)

    def _located(
        self, image: Image, on_progress: Progress | None, spine_only: bool = False
    ) -> Found:
        seconds: dict[str, float] = {}
        found = self._find(image, on_progress or _say_nothing, seconds, spine_only)
        shortages = _shortages(self._spine, self._vertebrae)
        return replace(found, seconds=seconds, shortages=shortages)

    def _afresh(self) -> Segmenter:
        """The same for another scan, whose networks have not been short of memory."""
        made = copy(self)
        made._spine, made._vertebrae, made._segmentation = (n.afresh() for n in self.networks)
        return made

    @property
    def networks(self) -> tuple[StageNetwork, ...]:
        """The networks of the three stages."""
        return (self._spine, self._vertebrae, self._segmentation)

    def _segment(
        self,
        image: Image,
        chain: SequenceResult,
        report: Progress,
        seconds: dict[str, float],
        fine: list[FineMask],
        on_response: OnResponse | None = None,
        known: Known | None = None,
    ) -> npt.NDArray[np.uint8]:
        from vertseg.stages.published import segment_as_published
        from vertseg.stages.segmentation import segment_vertebrae
        from vertseg.stages.segmentation_reference import segment_plainly

        network = self._segmentation
        with timed(seconds, Stage.SEGMENTATION):

            def on_vertebra(done: int, total: int) -> None:
                report(Stage.SEGMENTATION, done, total)

            if self._mode == "published":
                return segment_as_published(image, chain.vertebrae, network, on_vertebra)
            if self._mode == "reference":
                return segment_plainly(image, chain.vertebrae, network, on_vertebra, on_response)
            wanted: dict[str, Any] = {"fine": fine} if self._fine_mask else {}
            if known is not None:
                wanted["known"] = known
            return segment_vertebrae(
                image,
                chain.vertebrae,
                network,
                self._at_once,
                on_vertebra,
                on_response=on_response,
                **wanted,
            )

    def _find(
        self, image: Image, report: Progress, seconds: dict[str, float], spine_only: bool = False
    ) -> Found:
        from vertseg.stages.spine import find_spine
        from vertseg.stages.vertebrae import search_vertebrae

        if self._mode == "published":
            return self._find_as_published(image, report, seconds, spine_only)
        kept: list[Heatmap] = []
        with timed(seconds, Stage.SPINE):
            spine = find_spine(image, self._spine, self._keeper(kept, Stage.SPINE))
            report(Stage.SPINE, 1, 1)
        course = spine.course_lps_mm() if spine is not None else ()
        if spine is None or spine_only:
            chain = SequenceResult(warnings=()) if spine is not None else SequenceResult()
            return Found(chain, course, tuple(kept))
        with timed(seconds, Stage.VERTEBRAE):
            search = search_vertebrae(
                image,
                spine,
                self._vertebrae,
                self._overlap,
                lambda done, total: report(Stage.VERTEBRAE, done, total),
                self._keeper(kept, Stage.VERTEBRAE, self._vertebrae.config.labels),
                self._numbering,
            )
            chain = search.whole()
        return Found(chain, course, tuple(kept), search)

    def _find_as_published(
        self, image: Image, report: Progress, seconds: dict[str, float], spine_only: bool
    ) -> Found:
        from vertseg.stages.published import find_spine_xy, find_vertebrae_at

        kept: list[Heatmap] = []
        with timed(seconds, Stage.SPINE):
            spine_xy = find_spine_xy(image, self._spine, self._keeper(kept, Stage.SPINE))
            report(Stage.SPINE, 1, 1)
        if spine_xy is None:
            return Found(SequenceResult(), (), tuple(kept))
        low, high = image.grid.bounds_lps_mm()
        course = ((*spine_xy, float(high[2])), (*spine_xy, float(low[2])))
        if spine_only:
            return Found(SequenceResult(warnings=()), course, tuple(kept))
        with timed(seconds, Stage.VERTEBRAE):
            chain = find_vertebrae_at(
                image,
                spine_xy,
                self._vertebrae,
                self._overlap,
                lambda done, total: report(Stage.VERTEBRAE, done, total),
                self._keeper(kept, Stage.VERTEBRAE, self._vertebrae.config.labels),
            )
        return Found(chain, course, tuple(kept))

    def _keeper(
        self, kept: list[Heatmap], stage: str, labels: tuple[int, ...] = ()
    ) -> KeepHeatmap | None:
        if not self._keep_heatmaps:
            return None
        return lambda array, grid: kept.append(Heatmap(stage, array.copy(), grid, labels))


def _shortages(*networks: StageNetwork) -> tuple[str, ...]:
    return tuple(network.shortage for network in networks if network.shortage)


def _say_nothing(stage: str, done: int, total: int) -> None:
    """Progress that nobody follows."""


def _checked_overlap(overlap: int | None, tile: int) -> int | None:
    if overlap is not None and not 0 <= overlap < tile:
        raise ConfigurationError(
            f"the overlap of {overlap} voxels does not fit the tiles",
            where="--tile-overlap",
            expected=f"0 to {tile - 1}",
            remedy="Leave the option out to use the value of the weights' preset.",
        )
    return overlap
