"""Finds, names and segments every vertebra in a CT scan.

    import vertseg

    segmenter = vertseg.Segmenter()
    result = segmenter(vertseg.read_image("scan.nii.gz"))

The names below are imported when first used: ``import vertseg`` alone stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vertseg.image import Image, read_image
    from vertseg.pipeline import Result, Segmenter, Vertebra
    from vertseg.writing import write_centroids, write_mask

__all__ = [
    "Image",
    "Result",
    "Segmenter",
    "Vertebra",
    "read_image",
    "write_centroids",
    "write_mask",
]

_MODULES = {
    "Image": "image",
    "read_image": "image",
    "Result": "pipeline",
    "Segmenter": "pipeline",
    "Vertebra": "pipeline",
    "write_centroids": "writing",
    "write_mask": "writing",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"vertseg.{_MODULES[name]}"), name)
