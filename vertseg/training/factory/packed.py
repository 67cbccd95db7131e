"""Posed bodies, made once and packed: where posing would keep an accelerator waiting.

Each file ``bodies.STAGE.N.npz`` of a pool holds some windows on posed bodies, packed with LZMA to
a fifteenth. Tissues, scanner, field of view and deformation are drawn anew for each sample.
"""

from __future__ import annotations

import logging
import lzma
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vertseg.errors import ConfigurationError
from vertseg.training.recipe import Recipe, SourceVolume

log = logging.getLogger(__name__)

_A_FILE = 20
_SLOWEST = 9 | lzma.PRESET_EXTREME  # a third smaller than the usual preset


def pack_bodies(
    recipe: Recipe,
    draw: Callable[[np.random.Generator], SourceVolume],
    folder: Path,
    count: int,
    seed: int = 0,
    most_bytes: int = 40_000_000,
) -> int:
    """Write posed bodies to a pool, until there are enough or the files are full.

    Args:
        recipe: of the stage.
        draw: makes a body from a generator; body k from one seeded with (`seed`, k).
        folder: of the pool; files of an earlier call stay and count, its bodies are not repeated.
        count: bodies in all.
        seed: of the bodies.
        most_bytes: of all files together.

    Returns:
        The number of bodies in the pool.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = sorted(folder.glob(f"bodies.{recipe.name}.*.npz"))
    done, held = len(files) * _A_FILE, sum(path.stat().st_size for path in files)
    while done < count and held * (done + _A_FILE) <= most_bytes * max(done, 1):
        numbers = range(done, done + _A_FILE)
        bodies = [draw(np.random.default_rng((seed, number))) for number in numbers]
        path = folder / f"bodies.{recipe.name}.{done // _A_FILE:04d}.npz"
        np.savez(path, **_arrays(bodies))  # type: ignore[arg-type]
        held += path.stat().st_size
        done += len(bodies)
        log.info("%s: %d bodies, %.1f MB in all", path.name, done, held / 1e6)
    return done


def load_packed(recipe: Recipe, folder: Path) -> list[SourceVolume]:
    """The stage's packed bodies of a pool; none if there are none.

    Raises:
        ConfigurationError: another version has packed them.
    """
    found: list[SourceVolume] = []
    for path in sorted(folder.glob(f"bodies.{recipe.name}.*.npz")):
        with np.load(path) as data:
            try:
                found += _bodies(data)
            except KeyError as error:
                raise ConfigurationError(
                    "was packed by another version",
                    str(path),
                    "bodies as this version packs them",
                    "Remove the pool's bodies.*.npz and pack them again: "
                    "python -m vertseg.training pack.",
                ) from error
    return found


def _arrays(bodies: list[SourceVolume]) -> dict[str, np.ndarray]:
    volumes = np.stack([body.volume for body in bodies])
    owners = [(row, label) for row, body in enumerate(bodies) for label in body.landmarks]
    return {
        "shape": np.array(volumes.shape),
        "packed": np.frombuffer(lzma.compress(volumes.tobytes(), preset=_SLOWEST), np.uint8),
        "owners": np.array(owners, np.int16).reshape(-1, 2),
        "points": np.array([p for body in bodies for p in body.landmarks.values()], np.float32),
        "centres": np.array([body.centre for body in bodies], np.float32),
        "wanted": np.array([body.wanted for body in bodies], np.int16),
        **_implanted(bodies),
    }


def _implanted(bodies: list[SourceVolume]) -> dict[str, np.ndarray]:
    """What lies under the implants: row, voxel in the flat volume, label."""
    found = []
    for row, body in enumerate(bodies):
        if body.bones is not None:
            at = np.flatnonzero(body.bones != body.volume)
            found.append(np.stack([np.full(len(at), row), at, body.bones.reshape(-1)[at]], 1))
    return {"implanted": np.concatenate([np.zeros((0, 3), np.int32), *found]).astype(np.int32)}


def _bodies(data: np.lib.npyio.NpzFile) -> list[SourceVolume]:
    unpacked = lzma.decompress(data["packed"].tobytes())
    volumes = np.frombuffer(unpacked, np.uint8).reshape(data["shape"])
    landmarks: list[dict[int, np.ndarray]] = [{} for _ in volumes]
    for (row, label), point in zip(data["owners"], data["points"], strict=True):
        landmarks[row][int(label)] = point.astype(float)
    under = data["implanted"]
    found = []
    for row, (points, wanted) in enumerate(zip(landmarks, data["wanted"], strict=True)):
        bones, own = volumes[row], under[under[:, 0] == row]
        if len(own):
            bones = bones.copy()
            bones.reshape(-1)[own[:, 1]] = own[:, 2]
        centre = data["centres"][row].astype(float)
        found.append(SourceVolume(volumes[row], points, centre, int(wanted), bones=bones))
    return found
