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
    from vertseg.analysis import Analysis, analyse
    from vertseg.centroids import Centroid, read_centroids
    from vertseg.dicom_seg import write_dicom_seg
    from vertseg.errors import VertsegError
    from vertseg.heatmap import Heatmap, write_heatmap
    from vertseg.image import Image, read_image
    from vertseg.pipeline import Segmenter
    from vertseg.preview import draw
    from vertseg.result import Result, Vertebra
    from vertseg.writing import write_centroids, write_mask

_MODULES = {
    "Analysis": "analysis",
    "Centroid": "centroids",
    "Heatmap": "heatmap",
    "Image": "image",
    "Result": "result",
    "Segmenter": "pipeline",
    "Vertebra": "result",
    "VertsegError": "errors",
    "analyse": "analysis",
    "draw": "preview",
    "read_centroids": "centroids",
    "read_image": "image",
    "write_centroids": "writing",
    "write_dicom_seg": "dicom_seg",
    "write_heatmap": "heatmap",
    "write_mask": "writing",
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
    "write_mask",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"vertseg.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
