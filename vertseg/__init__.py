"""Finds, names and segments every vertebra in a CT scan.

    import vertseg

    image = vertseg.read_image("scan.nii.gz")
    result = vertseg.Segmenter()(image)
    vertseg.draw(result).save("preview.png")

The names below are imported when first used: ``import vertseg`` alone stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vertseg.version import VERSION as __version__

if TYPE_CHECKING:
    from vertseg.errors import VertsegError
    from vertseg.geometry.centroid import Centroid
    from vertseg.io.centroids import read_centroids, write_centroids
    from vertseg.io.dicom_seg import write_dicom_seg
    from vertseg.io.heatmap import Heatmap, write_heatmap
    from vertseg.io.image import Image
    from vertseg.io.markups import write_markups
    from vertseg.io.mask import write_mask
    from vertseg.io.read import read_image
    from vertseg.measure import Analysis, analyse
    from vertseg.report.preview import draw
    from vertseg.stages.result import Result, Vertebra
    from vertseg.stages.segmenter import Segmenter

_MODULES = {
    "Analysis": "measure",
    "Centroid": "geometry.centroid",
    "Heatmap": "io.heatmap",
    "Image": "io.image",
    "Result": "stages.result",
    "Segmenter": "stages.segmenter",
    "Vertebra": "stages.result",
    "VertsegError": "errors",
    "analyse": "measure",
    "draw": "report.preview",
    "read_centroids": "io.centroids",
    "read_image": "io.read",
    "write_centroids": "io.centroids",
    "write_dicom_seg": "io.dicom_seg",
    "write_heatmap": "io.heatmap",
    "write_markups": "io.markups",
    "write_mask": "io.mask",
}

__all__ = [
    "Analysis",
    "Centroid",
    "Heatmap",
    "Image",
    "Result",
    "Segmenter",
    "Vertebra",
    "VertsegError",
    "__version__",
    "analyse",
    "draw",
    "read_centroids",
    "read_image",
    "write_centroids",
    "write_dicom_seg",
    "write_heatmap",
    "write_markups",
    "write_mask",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"vertseg.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
