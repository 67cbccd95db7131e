"""A network with its data synthesis and its loss in one graph, on either backend."""

from __future__ import annotations

import keras
from keras import ops

from models import Preset, build_network
from vertseg.training import losses
from vertseg.training.draws import Recipe
from vertseg.training.synthesis import landmark_gaussians, render, sample_linear


class StageTrainer(keras.Model):
    """Takes one draw (see `draws.py`) per step; makes image and targets and returns the loss.

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

    def _vertebrae(self, draw, training):
        image, coords = self._image(draw)
        gaussians, peaks = landmark_gaussians(coords, draw)
        state = draw["state"]
        present = ops.cast(ops.logical_and(state > 0, peaks > 0.7), "float32")
        absent = ops.cast(
            ops.logical_or(state == 0, ops.logical_and(state > 0, peaks < 0.02)), "float32"
        )
        logits = self.network(image[None, ..., None], training=training)
        return losses.null_softmax_crossentropy(
            logits, gaussians[None], present[None], absent[None]
        )

    def _spine(self, draw, training):
        image, coords = self._image(draw)
        gaussians, _ = landmark_gaussians(coords, draw)
        known = ops.cast(draw["state"] > 0, "float32")
        unknown = ops.cast(draw["state"] < 0, "float32")
        target = ops.max(gaussians * known, axis=-1)
        weight = 1.0 - ops.max(gaussians * unknown, axis=-1)
        logits = self.network(image[None, ..., None], training=training)[0, ..., 0]
        return 50.0 * losses.sigmoid_crossentropy(logits, target, weight)

    def _segmentation(self, draw, training):
        image, coords = self._image(draw)
        marker, _ = landmark_gaussians(coords, draw)
        mask = ops.cast(ops.cast(draw["labels"], "int32") == draw["wanted"], "float32")
        target = ops.cast(sample_linear(mask, coords, 0.0) > 0.5, "float32")
        inputs = ops.concatenate([image[..., None], marker], axis=-1)
        logits = self.network(inputs[None], training=training)[0, ..., 0]
        overlap = losses.soft_dice_loss(logits, target)
        return overlap + 10.0 * losses.sigmoid_crossentropy(logits, target)
