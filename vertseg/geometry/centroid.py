"""A vertebra's centre: the one form in which the solver, the stages and the files name places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vertseg.geometry.grid import PointLps
from vertseg.labels import name_of


@dataclass(frozen=True)
class Centroid:
    """Centre of one vertebra.

    Attributes:
        label: VerSe label.
        point_lps_mm: x, y, z in the scanner's world, LPS mm.
        score: confidence in [0, 1] where a model made it, else None; not stored in files.
    """

    label: int
    point_lps_mm: PointLps
    score: float | None = None

    @classmethod
    def at(cls, label: int, point_lps_mm: npt.ArrayLike) -> Centroid:
        """The centroid at a point (3,), such as a row of an array.

        >>> Centroid.at(20, np.array([1.0, 2.0, 3.5]))
        Centroid(label=20, point_lps_mm=(1.0, 2.0, 3.5), score=None)
        """
        x, y, z = np.asarray(point_lps_mm, dtype=np.float64).tolist()
        return Centroid(label, (x, y, z))

    @property
    def name(self) -> str:
        """Short name such as ``"T12"``."""
        return name_of(self.label)
