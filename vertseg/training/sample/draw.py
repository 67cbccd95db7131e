"""What is drawn for one training sample: arrays by name, from which the graph makes the sample.

Dictionaries, as Keras, TensorFlow and JAX batch them and move them to a device. The arrays are
numpy's when they are drawn and the backend's tensors within the graph; lengths are in voxels of the
source grid (x, y, z) unless the name says otherwise.
"""

from __future__ import annotations

from typing import Any, NamedTuple, NotRequired, TypedDict

Array = Any


class PerAxis(NamedTuple):
    """A matrix (rows, size) or a window (size,) for each axis of a volume."""

    x: Array
    y: Array
    z: Array


class Paint(TypedDict):
    """How the tissues look.

    Attributes:
        hu, bone, cortex, texture: (256,) tables over the labels, see `factory.tissue`.
        behind: (x, y, z) how far a voxel belongs to the arches, 0 to 1.
        arch_hu: what arches have more than bodies.
        arch_cortex_hu: (2,) what their outer and second layer of voxels have more still.
        arch_core_hu: what their middle has more or less.
        patchy_cortex: how uneven the cortex is.
        patchy_hu: how uneven the bone is.
        slow_noise: (8, 8, 8) controls of the uneven.
        slow: splines from these controls to the voxels.
    """

    hu: Array
    bone: Array
    cortex: Array
    texture: Array
    behind: Array
    arch_hu: Array
    arch_cortex_hu: Array
    arch_core_hu: Array
    patchy_cortex: Array
    patchy_hu: Array
    slow_noise: Array
    slow: PerAxis


class Streaks(TypedDict):
    """The streaks of metal.

    Attributes:
        streaks: HU on a coarser grid in the plane.
        streaks_onto: matrices from there onto the source grid.
    """

    streaks: Array
    streaks_onto: PerAxis


class Scanner(TypedDict):
    """What the scanner does.

    Attributes:
        psf: point spread and slices.
        grain: how noise is drawn out.
        smooth: the stage's own smoothing.
        noise_hu: height of the noise.
    """

    psf: PerAxis
    grain: PerAxis
    smooth: PerAxis
    noise_hu: Array


class Appearance(Paint, Streaks, Scanner):
    """All that makes a scan of a volume.

    Attributes:
        labels: (x, y, z) int16: tissues to be painted, or HU of a real scan.
        noise: (2, x, y, z) white noise, of the tissues and of the scanner; or (2,) where the
            windows of both begin in the noise that the trainer holds (`NoiseOnDevice`).
    """

    labels: Array
    noise: Array


class Deformation(TypedDict):
    """Where the network's grid (X, Y, Z) lies in the source.

    Attributes:
        affine: (3, 4) from voxels of the network's grid, counted from its middle, to source voxels.
        elastic: (3, 6, 6, 6) controls of the elastic deformation.
        spline: splines from these controls to the network's voxels.
        sigma_source_px: of the landmarks' Gaussians.
    """

    affine: Array
    elastic: Array
    spline: PerAxis
    sigma_source_px: Array


class Rendering(Appearance, Deformation):
    """All that makes the image.

    Attributes:
        painted: 1 where `labels` are tissues, 0 where they are HU.
        fov: 0/1 windows of the field of view.
        gain, shift: of the network's input.
    """

    painted: Array
    fov: PerAxis
    gain: Array
    shift: Array


class Draw(Rendering):
    """An image and its targets.

    Attributes:
        landmarks: (labels, 3), or (1, 3) of the marked vertebra in the segmentation stage.
        state: (labels,) 1 seen, 2 seen but unnamed, 0 not seen, -1 unsure; absent in the
            segmentation stage.
        mask: (x, y, z) uint8, share of the marked vertebra in 255ths; segmentation stage only.
    """

    landmarks: Array
    state: NotRequired[Array]
    mask: NotRequired[Array]
