"""The networks as a graph of OpenVINO give what they give in Keras."""

from __future__ import annotations

import dataclasses
import sys

import keras
import numpy as np
import pytest
from keras import ops

from models import PRESETS, NetworkConfig, Preset, activate, build_network, stage_names
from models.openvino_layers import openvino_network
from models.silent_openvino import ov

CASES = [(name, stage) for name in PRESETS for stage in stage_names()]
SIZE = (8, 16, 24)


def small_preset(name: str) -> Preset:
    """The same kinds of networks with few filters and heads that say something."""
    return Preset(name, **{stage: small_stage(name, stage) for stage in stage_names()})


def small_stage(name: str, stage: str):
    config = getattr(PRESETS[name], stage)
    network = dataclasses.replace(
        config.network, filters=(8, 8, 16), spatial_filters=8, spatial_kernel=5, head_sigma=0.2
    )
    peaks = tuple(2 + 0.1 * n for n in range(network.outputs)) if name == "paper" else ()
    return dataclasses.replace(config, network=network, size=SIZE, peaks=peaks)


def variables(network) -> dict[str, list[np.ndarray]]:
    return {layer.name: layer.get_weights() for layer in network.layers if layer.weights}


def run(graph, image: np.ndarray) -> np.ndarray:
    compiled = ov.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled(image)[0]


@pytest.mark.parametrize(("name", "stage"), CASES)
def test_openvino_computes_what_keras_computes(name, stage, rng) -> None:
    keras.utils.set_random_seed(0)
    preset = small_preset(name)
    config = getattr(preset, stage)
    network = build_network(preset, stage)
    # Neither ones nor zeros: a scale or a shift that is left out must show.
    network.set_weights([w + rng.normal(0, 0.02, w.shape) for w in network.get_weights()])
    image = rng.normal(0, 0.5, (1, *SIZE, config.network.inputs)).astype(np.float32)
    expected = ops.convert_to_numpy(activate(network(image, training=False), config))
    found = run(openvino_network(preset, stage, variables(network)), image)
    assert found.dtype == np.float32 and found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_weights_must_be_those_of_the_network() -> None:
    preset = small_preset("default")
    weights = variables(build_network(preset, "spine"))
    with pytest.raises(ValueError, match="unknown layers: other"):
        openvino_network(preset, "spine", weights | {"other": [np.zeros(1)]})
    missing = {name: values for name, values in weights.items() if name != "head"}
    with pytest.raises(ValueError, match="layer head: expected variables"):
        openvino_network(preset, "spine", missing)
    wider = dataclasses.replace(
        preset, spine=dataclasses.replace(preset.spine, network=NetworkConfig("unet", (8, 24)))
    )
    with pytest.raises(ValueError, match="expected variables of"):
        openvino_network(wider, "spine", weights)


def test_a_graph_is_built_without_keras() -> None:
    import subprocess

    code = (
        "import sys; import models.openvino_layers;"
        "assert not {'keras', 'tensorflow', 'jax'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)
