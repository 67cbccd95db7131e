"""From labels to a training sample, inside the graph: paint, acquire, deform, normalise.

Everything random is drawn on the host (`draws.py`) and comes in as arrays, so the same draw gives
the same sample on every backend.
"""

from __future__ import annotations

from keras import ops

from vertseg.training.acquire import separable

HU_SCALE = 2048.0
HU_OUTSIDE = -1024.0


def paint(draw):
    """HU (x, y, z) from ``draw["labels"]`` (int, x, y, z), its tissue tables and noise fields."""
    labels = ops.cast(draw["labels"], "int32")
    hu = ops.take(draw["hu"], labels)
    bone = ops.take(draw["bone"], labels)
    inner = _box_mean(bone)
    shell = bone * ops.minimum(2.0 * (1.0 - inner), 1.0)
    hu = hu + shell * ops.take(draw["cortex"], labels)
    arch = bone * draw["behind"]
    deep = 1.0 - ops.minimum(2.0 * (1.0 - _box_mean(inner)), 1.0)
    hu = hu + arch * (draw["arch_hu"] + deep * draw["arch_core_hu"])
    slow = separable(draw["slow_noise"], *(draw[f"slow_{a}"] for a in "xyz"))
    fine = ops.cast(draw["noise"][0], "float32")
    texture = ops.take(draw["texture"], labels)
    hu = hu + bone * draw["patchy_hu"] * slow
    return hu + texture * (slow + (0.3 + 0.7 * bone) * fine)


def _box_mean(volume):
    """Mean over 3 x 3 x 3 voxels, border included."""
    pooled = ops.average_pool(
        volume[None, ..., None], pool_size=3, strides=1, padding="same", data_format="channels_last"
    )
    return pooled[0, ..., 0]


def acquire(hu, draw):
    """What the scanner makes of `hu`: point spread, slices, noise; then the stage's smoothing."""
    hu = separable(hu, *(draw[f"psf_{a}"] for a in "xyz"))
    noise = ops.cast(draw["noise"][1], "float32")
    hu = hu + draw["noise_hu"] * separable(noise, *(draw[f"grain_{a}"] for a in "xyz"))
    hu = ops.clip(hu, HU_OUTSIDE, 3071.0)
    return separable(hu, *(draw[f"smooth_{a}"] for a in "xyz"))


def coordinates(draw):
    """Source voxel coordinates (3, X, Y, Z) of every voxel of the network's grid."""
    grid = draw["affine"][:, :3] @ ops.reshape(draw["target_grid"], (3, -1))
    grid = ops.reshape(grid + draw["affine"][:, 3:], ops.shape(draw["target_grid"]))
    controls = draw["elastic"]
    bent = [separable(controls[a], *(draw[f"spline_{b}"] for b in "xyz")) for a in range(3)]
    return grid + ops.stack(bent)


def sample_linear(volume, coords, outside: float):
    """Trilinear samples of `volume` (x, y, z) at `coords` (3, ...), `outside` beyond it."""
    size = [int(n) for n in volume.shape]
    flat = ops.reshape(volume, (-1,))
    low = ops.floor(coords)
    fraction = coords - low
    low = ops.cast(low, "int32")
    total = 0.0
    for corner in range(8):
        bits = [(corner >> a) & 1 for a in range(3)]
        weight, index, inside = 1.0, 0, True
        for a in range(3):
            place = low[a] + bits[a]
            weight = weight * (fraction[a] if bits[a] else 1.0 - fraction[a])
            inside = ops.logical_and(inside, ops.logical_and(place >= 0, place < size[a]))
            index = index * size[a] + ops.clip(place, 0, size[a] - 1)
        value = ops.where(inside, ops.take(flat, index), outside)
        total = total + weight * value
    return total


def normalise(hu, draw):
    """Network input in [-1, 1] with a random gain and shift."""
    image = ops.clip(hu / HU_SCALE, -1.0, 1.0)
    image = image * draw["gain"] + draw["shift"]
    return ops.clip(image, -1.0, 1.0)


def render(draw, painted: bool = True):
    """Image (X, Y, Z) in [-1, 1] and the coordinates (3, X, Y, Z) that it was sampled at."""
    hu = paint(draw) if painted else ops.cast(draw["labels"], "float32")
    hu = acquire(hu, draw)
    coords = coordinates(draw)
    edged = ops.stack([ops.clip(coords[a], 0.0, n - 1.0) for a, n in enumerate(hu.shape)])
    hu = ops.where(in_view(coords, draw), sample_linear(hu, edged, HU_OUTSIDE), HU_OUTSIDE)
    return normalise(hu, draw), coords


def landmark_distances(coords, draw):
    """Squared distances (X, Y, Z, landmarks) in source voxels of the network's voxels."""
    square = 0.0
    for a in range(3):
        square = square + (coords[a][..., None] - draw["landmarks"][:, a]) ** 2
    return square


def landmark_gaussians(coords, draw):
    """Gaussians (X, Y, Z, landmarks) with peak 1 in the network's frame, and each one's peak."""
    gaussians = ops.exp(-0.5 * landmark_distances(coords, draw) / draw["sigma_source_px"] ** 2)
    return gaussians, ops.max(gaussians, axis=(0, 1, 2))


def nearest_labels(coords, draw):
    """Label (X, Y, Z) int32 of the source at every voxel; -1 outside the field of view."""
    flat, inside = _nearest(coords, draw)
    labels = ops.take(ops.reshape(ops.cast(draw["labels"], "int32"), (-1,)), flat)
    return ops.where(inside, labels, -1)


def in_view(coords, draw):
    """Whether each voxel (X, Y, Z) lies in the source and in the field of view."""
    return _nearest(coords, draw)[1]


def _nearest(coords, draw):
    size = draw["labels"].shape
    index = ops.cast(ops.round(coords), "int32")
    inside, flat = True, 0
    for a, axis in enumerate("xyz"):
        place = ops.clip(index[a], 0, size[a] - 1)
        within = ops.logical_and(index[a] == place, ops.take(draw[f"fov_{axis}"], place) > 0)
        inside = ops.logical_and(inside, within)
        flat = flat * size[a] + place
    return flat, inside
