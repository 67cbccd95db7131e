"""Runs networks on the backend named by KERAS_BACKEND; started by test_backends.py.

Usage: forward_pass.py FOLDER NAME... For each name it reads NAME.json (preset and stage),
NAME.weights.h5 and NAME.npy (image) from FOLDER, and writes NAME.here.npy, the output with these
weights, then other weights NAME.new.weights.h5 and their output NAME.new.npy.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
from keras import ops

from models import StageConfig, activate, build_network, preset_from_dict


def main(folder: Path, names: list[str]) -> None:
    for name in names:
        description = json.loads((folder / f"{name}.json").read_text())
        preset, stage = preset_from_dict(description["preset"]), description["stage"]
        image = np.load(folder / f"{name}.npy")
        network = build_network(preset, stage)
        network.load_weights(folder / f"{name}.weights.h5")
        np.save(folder / f"{name}.here.npy", output(network, image, getattr(preset, stage)))
        network.set_weights([0.001 - 0.8 * w for w in network.get_weights()])
        network.save_weights(folder / f"{name}.new.weights.h5")
        np.save(folder / f"{name}.new.npy", output(network, image, getattr(preset, stage)))
    print(keras.backend.backend())


def output(network: keras.Model, image: np.ndarray, stage: StageConfig) -> np.ndarray:
    """Raw output and activated map, side by side along the channels."""
    raw = network.predict_on_batch(image)
    return np.concatenate([raw, ops.convert_to_numpy(activate(raw, stage))], axis=-1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
