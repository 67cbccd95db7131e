"""Mean dimensions of the vertebrae by level, and of the discs and distances between them.

Sources
- Vertebral dimensions: Panjabi et al., Spine 1991;16:861 (C2-C7), Spine 1991;16:888 (T1-T12),
  Spine 1992;17:299 (L1-L5); end plates of L3-L5 3-6 % larger, as in series measured on CT.
- Pedicles: Zindrick et al., Spine 1987;12:160; cervical: mean of the published ranges.
- Facet angles: Masharawi et al., Spine 2004;29:1755, and White & Panjabi, Clinical Biomechanics
  of the Spine, 1990.
- Distances between neighbouring body centres and their sagittal angles: means over the centroids
  of 141 scans of VerSe'19 and VerSe'20 (Loeffler et al. 2020; Liebl et al. 2021; CC BY-SA 4.0).
- Disc heights: Fletcher et al., Eur Spine J 2015;24:2283 (thoracic); means of CT and MRI series.
All for an adult of middle size; spinous slopes are estimates between published levels.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace


@dataclass(frozen=True)
class LevelSize:
    """Mean dimensions of one level, mm and degrees.

    Attributes:
        width_upper, width_lower: end-plate widths.
        depth_upper, depth_lower: end-plate depths.
        canal_width, canal_depth: vertebral canal.
        spinous_length: posterior body edge to spinous tip.
        spinous_slope: fall of the spinous process against the horizontal, degrees.
        transverse_width: tip to tip.
        pedicle_width, pedicle_height: isthmus of the pedicle.
        pedicle_angle: medial convergence of the pedicle, degrees.
        facet_angle: plane of the upper facets against the sagittal plane, degrees.
        to_next: centre to the next centre below.
        next_angle: sagittal angle of that step, + when the lower one lies further posterior.
        disc: middle height of the disc below.
    """

    width_upper: float
    width_lower: float
    depth_upper: float
    depth_lower: float
    canal_width: float
    canal_depth: float
    spinous_length: float
    spinous_slope: float
    transverse_width: float
    pedicle_width: float
    pedicle_height: float
    pedicle_angle: float
    facet_angle: float
    to_next: float
    next_angle: float
    disc: float


# One level a line, in the order of the fields of LevelSize.
_TABLE = """
# WU   WL   DU   DL   CW   CD   SPL  slope TPW  PW   PH   PA facet next angle disc
C1    20   20   12   12   28   22   36    0   76    8    8   40   90 17.2 10.3    0
C2    16 17.5   15 15.6 24.5   19 33.8   18   56    8    8   40   90 18.5  5.3  4.5
C3  15.8 17.2   15 15.6 22.9 16.2 29.6   15   54  5.6  7.2   42   90 15.8 10.5  4.5
C4  17.2   17 15.3 15.9 24.7 16.7 30.3   15   55  5.6  7.2   44   90   16   15  4.5
C5  17.5 19.4 15.2 17.9 24.9 16.8 31.5   17   56  5.8    7   44   90 16.1   20  4.5
C6  18.5   22 16.4 18.5 25.8   17 36.2   20   59  6.2  7.2   40   90 17.6   30  4.8
C7  21.8 23.4 18.1 17.8 24.5 15.8 46.7   24   67  6.8    8   33   90 18.8 31.7  4.5
T1  24.5 27.8 18.5 19.7 21.8 16.4   50   26   75  7.9  9.9   27  100 20.9   28  3.9
T2  24.9 27.4 19.6 21.6 19.5 15.5   52   30   70    7   11   22  104   22   28  3.6
T3  24.6 25.9 22.7 23.3 18.3   16   52   34   65  5.6 11.6   16  105 22.2   23  3.4
T4  24.5   26 23.3 24.5 17.2 16.2   51   38   63  4.9 11.8   14  105 22.7 16.8  3.3
T5  24.9   27 24.3 25.8 17.1 16.2   52   43   63  4.8 11.9   10  105 23.3 11.7  3.5
T6  26.2 28.2   26 26.9 17.3 16.3   53   46   63  5.2   12    9  105 23.6    6  3.7
T7  27.8 29.1 27.4 28.5 17.3 15.9   53   46   62  5.3 12.1    8  105 24.1 -0.6    4
T8  29.5 30.5 27.9 29.4 17.7 15.8   52   43   61  5.9 12.5    8  105 24.9 -3.7  4.3
T9  30.6   33 29.3   31 17.9 15.7   51   38   60  6.1 13.5    8  104 25.6 -6.6  4.7
T10 31.9 35.4 30.5 31.6 18.2 15.5   50   32   58  6.3 14.5    5  102 27.4 -9.7  5.3
T11 34.9 39.1 31.9 31.8 19.4   16   48   24   50  7.8 15.5    1  100 29.7 -10.4    6
T12   39 42.1 32.8 33.4 22.2 17.6   47   18   47  7.1 15.6   -4   95 31.6 -10.4  6.6
L1  41.2 43.3 34.1 35.3 23.7 18.4   58   15   71  8.7 15.4   11   28 33.1 -13.4  7.9
L2  42.6 45.5 34.6 34.9 23.8 18.2   62   13   77  8.9   15   12   32 34.1 -10.3    9
L3    46 49.5   36 35.6 24.3 17.5   63   12   88 10.3 14.9   14   38 33.9 -3.5   10
L4  49.2   52 36.8   36 25.4 18.2   60   12   84 12.6 14.8   18   46 31.8  8.8 10.8
L5  50.2   52   36 35.2 27.1   19   52   12   92   15   14   28   54   34   27 10.4
"""


def _parse(table: str) -> dict[str, LevelSize]:
    rows = (line.split() for line in table.splitlines() if line and not line.startswith("#"))
    return {name: LevelSize(*map(float, numbers)) for name, *numbers in rows}


LEVEL_SIZES: dict[str, LevelSize] = _parse(_TABLE)


def blend(first: LevelSize, second: LevelSize, weight: float) -> LevelSize:
    """The size between two levels; weight 0 gives the first, 1 the second."""
    mixed = {
        f.name: (1 - weight) * getattr(first, f.name) + weight * getattr(second, f.name)
        for f in fields(LevelSize)
    }
    return LevelSize(**mixed)


def size_of(name: str) -> LevelSize:
    """Mean size of a level, also of the supernumerary T13 and L6.

    Raises:
        KeyError: no such level.
    """
    if name == "T13":
        between = blend(LEVEL_SIZES["T12"], LEVEL_SIZES["L1"], 0.4)
        return replace(between, transverse_width=50.0, facet_angle=60.0)
    if name == "L6":
        return LEVEL_SIZES["L5"]
    return LEVEL_SIZES[name]
