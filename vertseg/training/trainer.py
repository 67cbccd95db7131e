"""A network with its data synthesis and its loss in one graph, on either backend."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from models import Preset, build_network
from vertseg.phantom import Tissue
from vertseg.training import losses
from vertseg.training.recipe import Recipe
from vertseg.training.synthesis import (
    in_view,
    landmark_gaussians,
    nearest_labels,
    render,
    sample_linear,
)
from vertseg.training.tissue import BONES

_CROSS = np.concatenate([np.zeros((1, 3)), np.eye(3), -np.eye(3)]).astype(np.int32)
"""A voxel and its six neighbours."""

_FEATURES = "local_up0_conv1_relu"
"""The finest features of SC-Net."""

_TISSUES = 4


def _tissues(labels):
    """Classes of labels: 0 other, 1 vertebra, 2 disc, 3 sacrum, rib or other bone; -1 unknown."""
    table = np.zeros(256, np.int32)
    table[[*range(1, 26), 28]] = 1
    table[Tissue.DISC] = 2
    table[[bone for bone in BONES if bone not in range(1, 26) and bone != 28]] = 3
    return ops.where(labels >= 0, ops.take(table, ops.clip(labels, 0, 255)), -1)


def _seen_and_sure(gaussians, state):
    """One map of all vertebrae in view, and 0 around those that may or may not be, else 1."""
    target = ops.max(gaussians * ops.cast(state > 0, "float32"), axis=-1)
    unsure = ops.max(gaussians * ops.cast(state < 0, "float32"), axis=-1)
    return target, 1.0 - ops.minimum(8.0 * unsure, 1.0)


class StageTrainer(keras.Model):
    """Takes one draw (see `draws.py`) per step; makes image and targets and returns the loss.

    The losses are those of the preset's activations; a stage with the activation ``linear`` learns
    its heatmaps by their squared error, as published.

    Args:
        preset: the networks' preset.
        recipe: what the samples look like.
    """

    def __init__(self, preset: Preset, recipe: Recipe) -> None:
        super().__init__(dtype="float32", name=f"{recipe.stage}_trainer")
        self.recipe = recipe
        self.network = build_network(preset, recipe.stage, recipe.size)
        self._make = {
            "spine": self._spine,
            "vertebrae": self._vertebrae,
            "segmentation": self._segmentation,
        }[recipe.stage]
        if recipe.stage != "segmentation" and recipe.config.activation == "linear":
            self._make = self._heatmaps
        if self._make == self._vertebrae:
            features = self.network.get_layer(_FEATURES).output
            self._seen = keras.Model(self.network.input, [self.network.output, features])
            self._tissue_head = keras.layers.Dense(_TISSUES, dtype="float32", name="tissue_head")
            self._tissue_head.build(features.shape)

    def call(self, draw, training: bool = False):
        """The scalar loss of one draw."""
        return self._make(draw, training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss is what `call` returns."""
        return y_pred

    def _image(self, draw):
        image, coords = ops.cond(
            draw["painted"] > 0, lambda: render(draw, True), lambda: render(draw, False)
        )
        return image, coords

    def _heatmaps(self, draw, training):
        """Squared error of one map per landmark, or of one map of all of them."""
        image, coords = self._image(draw)
        gaussians, _ = landmark_gaussians(coords, draw)
        state = draw["state"]
        target = gaussians * ops.cast(state > 0, "float32")
        known = ops.cast(ops.logical_or(state == 0, state == 1), "float32")
        output = self.network(image[None, ..., None], training=training)
        if output.shape[-1] == 1:
            target = ops.max(target, axis=-1, keepdims=True)
            known = 1.0 - ops.max(gaussians * (1.0 - known), axis=-1, keepdims=True)
        known = known[..., : output.shape[-1]]
        return losses.l2_heatmap_loss(known * output, known * target[None])

    def _vertebrae(self, draw, training):
        """Where a vertebra is, of whatever label, and which label it has at its centre.

        A state of 1 is a vertebra in view, 2 one of unknown label, 0 one out of view, and -1 one
        that may or may not be seen; there nothing is asked. Where tissues are known, a head that is
        only there in training tells bone from discs: the finest features then show where one
        vertebra ends, which centres alone teach very slowly.
        """
        image, coords = self._image(draw)
        gaussians, peaks = landmark_gaussians(coords, draw)
        state = draw["state"]
        target, weight = _seen_and_sure(gaussians, state)
        outputs, features = (v[0] for v in self._seen(image[None, ..., None], training=training))
        place = losses.heatmap_crossentropy(outputs[..., 0], target, weight)
        known = ops.cast(ops.logical_and(state == 1, peaks > 0.7), "float32")
        label = losses.label_crossentropy(self._around(outputs[..., 1:], gaussians), known)
        tissues = _tissues(nearest_labels(coords, draw))
        tissues = ops.where(draw["painted"] > 0, tissues, -1)
        return place + label + losses.balanced_crossentropy(self._tissue_head(features), tissues)

    def _around(self, maps, gaussians):
        """`maps` (X, Y, Z, labels) at and around the top of every Gaussian: (labels, 7, labels)."""
        size = np.array(maps.shape[:3])
        voxel = ops.argmax(ops.reshape(gaussians, (-1, gaussians.shape[-1])), axis=0)
        voxel = ops.stack(ops.unravel_index(voxel, tuple(size)), axis=-1)
        points = ops.cast(voxel, "int32")[:, None] + _CROSS
        points = ops.clip(points, 0, size - 1)
        flat = ops.sum(points * np.array([size[1] * size[2], size[2], 1], np.int32), axis=-1)
        return ops.take(ops.reshape(maps, (-1, maps.shape[-1])), flat, axis=0)

    def _spine(self, draw, training):
        image, coords = self._image(draw)
        gaussians, _ = landmark_gaussians(coords, draw)
        target, weight = _seen_and_sure(gaussians, draw["state"])
        logits = self.network(image[None, ..., None], training=training)[0, ..., 0]
        return 50.0 * losses.sigmoid_crossentropy(logits, target, weight)

    def _segmentation(self, draw, training):
        image, coords = self._image(draw)
        marker, _ = landmark_gaussians(coords, draw)
        mask = sample_linear(ops.cast(draw["mask"], "float32"), coords, 0.0)
        target = ops.logical_and(mask > 0.5, in_view(coords, draw))
        target = ops.cast(target, "float32")
        inputs = ops.concatenate([image[..., None], marker], axis=-1)
        logits = self.network(inputs[None], training=training)[0, ..., 0]
        overlap = losses.soft_dice_loss(logits, target)
        return overlap + 10.0 * losses.sigmoid_crossentropy(logits, target)
