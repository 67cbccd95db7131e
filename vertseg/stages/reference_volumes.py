"""How large a vertebra is, by level.

Volumes of the closed surfaces of one adult man: Z-Anatomy / BodyParts3D, (c) The Database Center
for Life Science, CC BY-SA 4.0. Against the mean distances of VerSe's centroids his middle thoracic
vertebrae are up to 16 % too tall, and C7 and T1 13 % too flat; so the volumes from C6 to T12 are
divided by the square of that ratio. Masks of patients are 0.8 to 1.4 times as large; so only gross
deviations say anything.
"""

from __future__ import annotations

from vertseg.labels import label_of

_CERVICAL = (10.7, 14.6, 9.9, 10.1, 11.0, 13.6, 18.8)
_THORACIC = (22.1, 23.5, 21.1, 19.7, 20.9, 21.6, 23.9, 25.5, 29.7, 30.9, 34.2, 39.1)
_LUMBAR = (45.8, 50.7, 54.5, 54.7, 61.3)

REFERENCE_VOLUME_ML: dict[int, float] = {
    **{label_of(f"C{n}"): volume for n, volume in enumerate(_CERVICAL, 1)},
    **{label_of(f"T{n}"): volume for n, volume in enumerate(_THORACIC, 1)},
    **{label_of(f"L{n}"): volume for n, volume in enumerate(_LUMBAR, 1)},
    label_of("T13"): _THORACIC[-1],
    label_of("L6"): _LUMBAR[-1],
}
"""Label -> volume in ml of a whole vertebra, posterior elements included."""
