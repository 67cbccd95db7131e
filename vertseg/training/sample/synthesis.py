"""From labels to a training sample, inside the graph: paint, acquire, deform, normalise.

Everything random is drawn on the host (`draws.py`) and comes in as arrays (`draw.py`), so the same
draw gives the same sample on every backend.
"""

from __future__ import annotations

from keras import ops

from models.presets import HU_PER_UNIT
from vertseg.io.hounsfield import AIR_HU
from vertseg.training.sample.axis_matrices import mean_matrix, separable
from vertseg.training.sample.draw import Appearance, Draw, Rendering

_METAL_HU = 1900.0


def paint(draw: Appearance):
    """HU (x, y, z) from ``draw["labels"]`` (int, x, y, z), its tissue tables and noise fields."""
    tables = ops.stack([draw[name] for name in ("hu", "bone", "cortex", "texture")], axis=-1)
    found = ops.take(tables, ops.cast(draw["labels"], "int32"), axis=0)  # one look-up for all
    hu, bone, cortex, texture = (found[..., i] for i in range(4))
    slow = separable(draw["slow_noise"], *draw["slow"])
    uneven = ops.exp(draw["patchy_cortex"] * slow)
    inner = _box_mean(bone)
    outer = ops.minimum(2.0 * (1.0 - inner), 1.0)
    second = ops.minimum(2.0 * (1.0 - _box_mean(inner)), 1.0) - outer
    hu = hu + bone * outer * uneven * cortex
    thick = draw["arch_cortex_hu"]
    compact = uneven * (outer * thick[0] + second * thick[1])
    hollow = (1.0 - outer - second) * draw["arch_core_hu"]
    hu = hu + bone * draw["behind"] * (draw["arch_hu"] + compact + hollow)
    fine = ops.cast(draw["noise"][0], "float32")
    hu = hu + bone * draw["patchy_hu"] * slow
    hu = hu + texture * (slow + (0.3 + 0.7 * bone) * fine)
    streaks = separable(draw["streaks"], *draw["streaks_onto"])
    return ops.where(hu > _METAL_HU, hu, hu + streaks)


def _box_mean(volume):
    """Mean over 3 x 3 x 3 voxels, border included."""
    return separable(volume, *(mean_matrix(n) for n in volume.shape))


def acquire(hu, draw: Appearance):
    """What the scanner makes of `hu`: point spread, slices, noise; then the stage's smoothing."""
    hu = separable(hu, *draw["psf"])
    noise = ops.cast(draw["noise"][1], "float32")
    hu = hu + draw["noise_hu"] * separable(noise, *draw["grain"])
    hu = ops.clip(hu, AIR_HU, 3071.0)
    return separable(hu, *draw["smooth"])


def coordinates(draw: Rendering):
    """Source voxel coordinates (3, X, Y, Z) of every voxel of the network's grid."""
    size = [matrix.shape[0] for matrix in draw["spline"]]
    axes = [ops.arange(n, dtype="float32") - 0.5 * (n - 1) for n in size]
    voxels = ops.reshape(ops.stack(ops.meshgrid(*axes, indexing="ij")), (3, -1))
    grid = ops.reshape(draw["affine"][:, :3] @ voxels + draw["affine"][:, 3:], (3, *size))
    controls = draw["elastic"]
    bent = [separable(controls[a], *draw["spline"]) for a in range(3)]
    return grid + ops.stack(bent)


def sample_linear(volume, coords):
    """Trilinear samples of `volume` (x, y, z), none of its sides 1, at `coords` (3, ...).

    The edge is continued.
    """
    size = [int(n) for n in volume.shape]
    flat = ops.reshape(volume, (-1,))
    edged = [ops.clip(coords[a], 0.0, n - 1.0) for a, n in enumerate(size)]
    low = [ops.minimum(ops.floor(edged[a]), n - 2.0) for a, n in enumerate(size)]
    upper = [edged[a] - low[a] for a in range(3)]
    x, y, z = (ops.cast(place, "int32") for place in low)
    total = 0.0
    for i in (0, 1):
        for j in (0, 1):
            weight = (upper[0] if i else 1.0 - upper[0]) * (upper[1] if j else 1.0 - upper[1])
            place = ((x + i) * size[1] + y + j) * size[2] + z
            near, far = ops.take(flat, place), ops.take(flat, place + 1)
            total = total + weight * (near + upper[2] * (far - near))
    return total


def normalise(hu, draw: Rendering):
    """Network input in [-1, 1] with a random gain and shift."""
    image = ops.clip(hu / HU_PER_UNIT, -1.0, 1.0)
    image = image * draw["gain"] + draw["shift"]
    return ops.clip(image, -1.0, 1.0)


def render(draw: Rendering):
    """Image (X, Y, Z) in [-1, 1] and the coordinates (3, X, Y, Z) that it was sampled at.

    ``draw["labels"]`` are tissues to be painted or, where ``draw["painted"]`` is 0, HU of a scan.
    """
    scan = ops.cast(draw["labels"], "float32")
    hu = acquire(ops.cond(draw["painted"] > 0, lambda: paint(draw), lambda: scan), draw)
    coords = coordinates(draw)
    hu = ops.where(in_view(coords, draw), sample_linear(hu, coords), AIR_HU)
    return normalise(hu, draw), coords


def landmark_distances(coords, draw: Draw):
    """Squared distances (X, Y, Z, landmarks) in source voxels of the network's voxels.

    One product for all landmarks, |c - l|^2 = (c, |c|^2, 1) . (-2 l, 1, |l|^2), from the middle of
    the network's view so that float32 suffices; TF32 would not (`steps.forbid_tf32`).
    """
    middle = draw["affine"][:, 3:]
    points = ops.transpose(draw["landmarks"]) - middle
    voxels = ops.reshape(coords, (3, -1)) - middle
    square = ops.sum(voxels * voxels, axis=0, keepdims=True)
    places = ops.concatenate([voxels, square, ops.ones_like(square)])
    square = ops.sum(points * points, axis=0, keepdims=True)
    factors = ops.concatenate([-2.0 * points, ops.ones_like(square), square])
    squares = ops.maximum(ops.transpose(places) @ factors, 0.0)
    return ops.reshape(squares, (*coords.shape[1:], points.shape[1]))


def gaussian(squares, draw: Draw):
    """The Gaussian of a landmark, 1 at the top, at squared distances in source voxels from it."""
    return ops.exp(-0.5 * squares / draw["sigma_source_px"] ** 2)


def nearest_labels(coords, draw: Rendering):
    """Label (X, Y, Z) int32 of the source at every voxel; -1 outside the field of view."""
    flat, inside = _nearest(coords, draw)
    labels = ops.take(ops.reshape(ops.cast(draw["labels"], "int32"), (-1,)), flat)
    return ops.where(inside, labels, -1)


def in_view(coords, draw: Rendering):
    """Whether each voxel (X, Y, Z) lies in the source and in the field of view."""
    return _nearest(coords, draw)[1]


def _nearest(coords, draw: Rendering):
    size = draw["labels"].shape
    index = ops.cast(ops.round(coords), "int32")
    inside, flat = True, 0
    for a, window in enumerate(draw["fov"]):
        place = ops.clip(index[a], 0, size[a] - 1)
        within = ops.logical_and(index[a] == place, ops.take(window, place) > 0)
        inside = ops.logical_and(inside, within)
        flat = flat * size[a] + place
    return flat, inside
