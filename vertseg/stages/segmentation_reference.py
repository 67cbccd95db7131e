"""Stage 3 without optimisations: what `vertseg.stages.segmentation` is compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from vertseg.geometry.boxes import empty_labels
from vertseg.geometry.centroid import Centroid
from vertseg.io.image import Image
from vertseg.stages.network import StageNetwork
from vertseg.stages.preprocess import resample_to
from vertseg.stages.segmentation import (
    OnResponse,
    crop_grid,
    crop_input,
    drop_fragments,
    keep_main_part,
)


def segment_plainly(
    image: Image,
    vertebrae: Sequence[Centroid],
    network: StageNetwork,
    on_vertebra: Callable[[int, int], None] | None = None,
    on_response: OnResponse | None = None,
) -> npt.NDArray[np.uint8]:
    """The label map on the scan's grid, one crop after another, in float32 over the whole scan.

    Args:
        image: the scan.
        vertebrae: their labels and centroids.
        network: the segmentation U-Net.
        on_vertebra: called with (vertebrae done, vertebrae).
        on_response: called with each response, before they are merged.
    """
    labels = empty_labels(image.grid)
    best = np.full(labels.shape, network.config.threshold, np.float32)
    for done, vertebra in enumerate(vertebrae, start=1):
        point = vertebra.point_lps_mm
        crop = crop_grid(vertebra, network.config)
        maps = network(crop_input(image, crop, point, network.config)[None])
        response = keep_main_part(maps[0, ..., 0], crop, point, network.config.threshold)
        everywhere = resample_to(response, crop, image.grid)
        wins = everywhere > best
        best[wins] = everywhere[wins]
        labels[wins] = vertebra.label
        if on_response is not None:
            on_response(vertebra.label, response, crop)
        if on_vertebra is not None:
            on_vertebra(done, len(vertebrae))
    for vertebra in vertebrae:
        drop_fragments(labels, vertebra.label)
    return labels
