"""A parametric phantom: synthetic CT of a spine in its body, made of signed distances alone."""

from vertseg.phantom.generate import Phantom, box_grid, field_of_view, make_phantom
from vertseg.phantom.spine import Variant, level_names
from vertseg.phantom.subject import Subject, draw_subject
from vertseg.phantom.tissues import Tissue
from vertseg.phantom.writing import write_phantom

__all__ = [
    "Phantom",
    "Subject",
    "Tissue",
    "Variant",
    "box_grid",
    "draw_subject",
    "field_of_view",
    "level_names",
    "make_phantom",
    "write_phantom",
]
