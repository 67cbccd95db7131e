"""Presets: everything that fixes the three networks and the grids they see, as frozen data.

A preset is stored beside the weights that were trained with it. ``paper`` holds the values of
Payer et al., VISAPP 2020 (``models/PUBLISHED.md`` says where its authors' code differs);
``default`` is what the bundled weights use.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import NoneType
from typing import Any, Literal, get_args, get_type_hints

from models.published import SEGMENTATION, SPINE, VERTEBRAE, PublishedMethod

VERTEBRA_CHANNELS_PAPER = tuple(range(1, 26))
VERTEBRA_CHANNELS = (*range(1, 26), 28)


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """Shape of one network.

    Attributes:
        kind: ``unet`` or ``scnet`` (SpatialConfiguration-Net).
        filters: filters of each U-Net level, finest first; its length is the number of levels.
        inputs: input channels.
        outputs: output channels.
        negative_slope: slope of the leaky ReLU; 0 is a plain ReLU.
        dropout: rate after the first convolution of every block, in training only.
        head_sigma: standard deviation of the normal initialiser of the linear heads.
        stem: SC-Net only: one 3x3x3 convolution before the U-Net, as in the authors' code.
        spatial_filters, spatial_kernel, spatial_factor: SC-Net only: the spatial
            configuration part (three hidden convolutions) and the resolution that it works at.
        combination: SC-Net only: ``product`` of local and tanh(spatial) maps, one of each per
            label, as published; or ``shared``: one local appearance map for all labels, and the
            spatial configuration as one map of evidence per label, both as logits.
        tissues: ``shared`` only: classes of tissue that the finest features are told apart into
            (`vertseg.training.sample.targets`); the spatial configuration sees where each is,
            because ribs and sacrum name the vertebrae that they stand beside. 0 for none.
        normalization: ``none`` as published, or ``both``, after every hidden convolution: at the
            two finest levels the channels of each voxel by their root mean square (Zhang and
            Sennrich, NeurIPS 2019), because small contrasts beside air and bone count there; at
            the coarser ones group normalisation (Wu and He, ECCV 2018).
        windows: centre and half width, in units of the first input channel, of the windows that
            it is seen through, each clipped to [-1, 1], one channel a window; none as published.
        local_contrast_px: standard deviation of the neighbourhood in which the last window is
            normalised to make one more channel; 0 for none, as published.
    """

    kind: Literal["unet", "scnet"]
    filters: tuple[int, ...]
    inputs: int = 1
    outputs: int = 1
    negative_slope: float = 0.0
    dropout: float = 0.0
    head_sigma: float = 0.001
    stem: bool = False
    spatial_filters: int = 64
    spatial_kernel: int = 7
    spatial_factor: int = 4
    combination: Literal["product", "shared"] = "product"
    tissues: int = 0
    normalization: Literal["none", "both"] = "none"
    windows: tuple[tuple[float, float], ...] = ()
    local_contrast_px: float = 0.0


@dataclasses.dataclass(frozen=True)
class StageConfig:
    """One stage: the grid that its network sees and what the output means.

    Attributes:
        network: the network's shape.
        size: voxels along x, y, z (left, posterior, superior).
        spacing_mm: isotropic voxel size in mm.
        smoothing_sigma_mm: Gaussian smoothing before resampling, in mm.
        activation: from the network's output to a map: ``linear`` (heatmaps), ``sigmoid``
            (logits) or ``shared_softmax`` (sigmoid of the first channel, which says whether any
            vertebra is centred here, times the softmax of the others, which say which).
        sigma_px: standard deviation in voxels of the target Gaussian, or, for the segmentation
            stage, of the Gaussian that marks the wanted vertebra in the second input channel;
            where sigmas are learned, what they begin at.
        overlap: voxels that neighbouring z tiles share (vertebrae stage).
        labels: label of each map (vertebrae stage).
        shift_posterior_mm: how far behind the vertebral centroid the crop is centred.
        threshold: smallest map value that counts.
        level_spacing_mm: pairs of label and voxel size in mm of vertebrae that are seen at
            another one (segmentation stage): the smaller the vertebra, the finer.
        level_shift_mm: pairs of label and how far above the vertebral centroid the crop is centred.
        peaks: height of each map at its vertebra, where the sigmas of the target Gaussians, and
            with them the heights, were learned; empty where it is 1.
        published: how the stage is trained as published; None for the project's own way.
    """

    network: NetworkConfig
    size: tuple[int, int, int]
    spacing_mm: float
    smoothing_sigma_mm: float = 0.75
    activation: Literal["linear", "sigmoid", "shared_softmax"] = "linear"
    sigma_px: float = 3.0
    overlap: int = 0
    labels: tuple[int, ...] = ()
    shift_posterior_mm: float = 0.0
    threshold: float = 0.5
    level_spacing_mm: tuple[tuple[int, float], ...] = ()
    level_shift_mm: tuple[tuple[int, float], ...] = ()
    peaks: tuple[float, ...] = ()
    published: PublishedMethod | None = None

    def spacing_at(self, label: int) -> float:
        """Voxel size in mm of the grid that a vertebra is segmented on."""
        return dict(self.level_spacing_mm).get(label, self.spacing_mm)

    def shift_at(self, label: int) -> tuple[float, float, float]:
        """From the centroid of a vertebra to the centre of its crop, in LPS mm."""
        return 0.0, self.shift_posterior_mm, dict(self.level_shift_mm).get(label, 0.0)


@dataclasses.dataclass(frozen=True)
class Preset:
    """The three stages under one name."""

    name: str
    spine: StageConfig
    vertebrae: StageConfig
    segmentation: StageConfig

    @property
    def is_published(self) -> bool:
        """Whether every stage is trained as published."""
        return all((self.spine.published, self.vertebrae.published, self.segmentation.published))


_PAPER = Preset(
    name="paper",
    spine=StageConfig(
        NetworkConfig("unet", (64,) * 5), (64, 64, 128), 8.0, threshold=0.1, published=SPINE
    ),
    vertebrae=StageConfig(
        NetworkConfig("scnet", (64,) * 5, outputs=25, negative_slope=0.1, combination="product"),
        (96, 96, 128),
        2.0,
        sigma_px=4.0,
        overlap=96,
        labels=VERTEBRA_CHANNELS_PAPER,
        threshold=0.05,
        published=VERTEBRAE,
    ),
    segmentation=StageConfig(
        NetworkConfig("unet", (64,) * 5, inputs=2),
        (128, 128, 96),
        1.0,
        activation="sigmoid",
        shift_posterior_mm=20.0,
        published=SEGMENTATION,
    ),
)

HU_PER_UNIT = 2048.0
"""HU that one unit of network input stands for, in training and prediction."""

_WINDOWS_HU = ((0.0, 1024.0), (50.0, 250.0), (500.0, 600.0))
"""In HU: everything; soft tissue and marrow; cortex. Disc and marrow differ by 100 HU of 4096."""

_WINDOWS = tuple((centre / HU_PER_UNIT, half / HU_PER_UNIT) for centre, half in _WINDOWS_HU)

_SEGMENTATION_SPACING_MM = (
    (1, 1.25),
    *((label, 1.0) for label in range(2, 7)),
    (7, 1.15),
    *((label, 1.2) for label in range(8, 12)),
    (12, 1.15),
    *((label, 1.2) for label in range(13, 16)),
    *((label, 1.25) for label in range(16, 20)),
    *((label, 1.45) for label in (24, 25)),
)
"""80 voxels hold the largest vertebrae: C1 is wider than C2 to C6, T1 than T5, L5 the widest."""
_SEGMENTATION_SHIFT_MM = ((12, -4.0), (13, -8.0), (14, -8.0), (15, -8.0), (16, -6.0), (17, -4.0))
"""The spinous processes of T5 to T10 end far below their bodies: 37 mm and more."""

_DEFAULT = Preset(
    name="default",
    spine=StageConfig(
        NetworkConfig(
            "unet",
            (16, 32, 48, 64, 64),
            negative_slope=0.1,
            normalization="both",
            windows=_WINDOWS,
        ),
        (48, 48, 80),
        8.0,
        smoothing_sigma_mm=3.0,
        activation="sigmoid",
        sigma_px=2.0,
        threshold=0.3,
    ),
    vertebrae=StageConfig(
        NetworkConfig(
            "scnet",
            (16, 32, 64, 96),
            outputs=27,
            negative_slope=0.1,
            spatial_filters=48,
            spatial_kernel=5,
            combination="shared",
            tissues=8,
            normalization="both",
            windows=_WINDOWS,
            local_contrast_px=2.5,
        ),
        (40, 40, 80),
        4.0,
        smoothing_sigma_mm=1.6,
        activation="shared_softmax",
        sigma_px=1.25,
        overlap=40,
        labels=VERTEBRA_CHANNELS,
        threshold=0.05,
    ),
    segmentation=StageConfig(
        NetworkConfig(
            "unet",
            (16, 32, 64, 96, 96),
            inputs=2,
            negative_slope=0.1,
            normalization="both",
            windows=_WINDOWS,
            local_contrast_px=2.5,
        ),
        (80, 80, 64),
        1.35,
        smoothing_sigma_mm=0.6,
        activation="sigmoid",
        sigma_px=3.75,
        shift_posterior_mm=24.0,
        level_spacing_mm=_SEGMENTATION_SPACING_MM,
        level_shift_mm=_SEGMENTATION_SHIFT_MM,
    ),
)

PRESETS: dict[str, Preset] = {p.name: p for p in (_PAPER, _DEFAULT)}


def preset_to_dict(preset: Preset) -> dict[str, Any]:
    """A JSON-ready copy of `preset`."""
    return dataclasses.asdict(preset)


def preset_from_dict(data: Mapping[str, Any]) -> Preset:
    """The preset that `data` (from `preset_to_dict`, perhaps through JSON) describes.

    Raises:
        ValueError: a key is unknown or missing.
    """
    return _from_dict(Preset, data, "preset")


def _from_dict(cls: type, data: Mapping[str, Any], where: str) -> Any:
    hints = get_type_hints(cls)
    unknown = sorted(set(data) - set(hints))
    if unknown:
        raise ValueError(f"{where}: unknown key {', '.join(unknown)}; known: {', '.join(hints)}")
    values: dict[str, Any] = {}
    for key, value in data.items():
        nested: Any = next(filter(dataclasses.is_dataclass, _alternatives(hints[key])), None)
        if nested is not None and value is not None:
            value = _from_dict(nested, value, f"{where}.{key}")
        values[key] = _frozen(value)
    try:
        return cls(**values)
    except TypeError as error:
        raise ValueError(f"{where}: {error}") from None


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """The types of a union such as ``X | None``, or the type itself."""
    return get_args(hint) if NoneType in get_args(hint) else (hint,)


def _frozen(value: Any) -> Any:
    """Lists as tuples, at every depth."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
