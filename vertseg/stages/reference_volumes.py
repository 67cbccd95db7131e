"""How large a vertebra is, by level.

Volumes of the closed surfaces of one adult man: Z-Anatomy / BodyParts3D, (c) The Database Center
for Life Science, CC BY-SA 4.0. Masks of VerSe patients are 0.9 to 1.4 times as large, women's
vertebrae about 0.75 times; so only gross deviations say anything.
"""

from __future__ import annotations

from vertseg.labels import label_of

_CERVICAL = (10.7, 14.6, 9.9, 10.1, 11.0, 11.8, 14.4)
_THORACIC = (17.7, 21.7, 22.2, 22.5, 25.7, 28.3, 31.9, 33.4, 39.0, 40.5, 42.9, 45.6)
_LUMBAR = (45.8, 50.7, 54.5, 54.7, 61.3)

REFERENCE_VOLUME_ML: dict[int, float] = {
    **{label_of(f"C{n}"): volume for n, volume in enumerate(_CERVICAL, 1)},
    **{label_of(f"T{n}"): volume for n, volume in enumerate(_THORACIC, 1)},
    **{label_of(f"L{n}"): volume for n, volume in enumerate(_LUMBAR, 1)},
    label_of("T13"): _THORACIC[-1],
    label_of("L6"): _LUMBAR[-1],
}
"""Label -> volume in ml of a whole vertebra, posterior elements included."""
