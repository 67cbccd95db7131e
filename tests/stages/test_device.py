"""The library and the processor follow from what is there and from what is asked for."""

from __future__ import annotations

import os

import pytest

from vertseg.errors import ConfigurationError
from vertseg.stages import device, keras_backend
from vertseg.stages.device import choose_device

GPU = ("NVIDIA H100", "bfloat16")


@pytest.fixture
def machine(monkeypatch):
    """Says what is installed, and how many GPUs there are."""

    def set_to(installed: set[str], gpus: int = 0, keras: str = "") -> None:
        monkeypatch.setattr(device, "find_spec", lambda name: name in installed or None)
        monkeypatch.setattr(device, "count_nvidia_gpus", lambda: gpus)
        found = GPU if gpus else None
        monkeypatch.setattr(
            keras_backend, "set_up", lambda backend, kind, _: None if kind == "cpu" else found
        )
        monkeypatch.delitem(device.sys.modules, "keras", raising=False)
        monkeypatch.setenv("KERAS_BACKEND", keras)

    return set_to


@pytest.mark.parametrize(
    ("installed", "gpus", "keras", "asked", "expected"),
    [
        ({"openvino", "tensorflow"}, 0, "", {}, ("cpu", "openvino")),
        ({"openvino", "tensorflow"}, 1, "", {}, ("gpu", "tensorflow")),
        ({"openvino", "tensorflow"}, 1, "", {"device": "cpu"}, ("cpu", "openvino")),
        ({"openvino", "tensorflow"}, 1, "", {"backend": "openvino"}, ("cpu", "openvino")),
        ({"openvino", "tensorflow"}, 0, "", {"backend": "tensorflow"}, ("cpu", "tensorflow")),
        ({"openvino", "tensorflow", "jax"}, 1, "jax", {}, ("gpu", "jax")),
        ({"openvino", "tensorflow", "jax"}, 0, "jax", {}, ("cpu", "openvino")),
        ({"tensorflow"}, 0, "", {}, ("cpu", "tensorflow")),
        ({"jax"}, 1, "", {"device": "gpu"}, ("gpu", "jax")),
        ({"jax"}, 0, "", {}, ("cpu", "jax")),
        ({"openvino"}, 0, "", {}, ("cpu", "openvino")),
    ],
)
def test_what_is_chosen(machine, installed, gpus, keras, asked, expected) -> None:
    machine(installed, gpus, keras)
    chosen = choose_device(**asked)
    assert (chosen.kind, chosen.backend) == expected
    assert chosen.name == (GPU[0] if expected[0] == "gpu" else chosen.name)


def test_a_gpu_without_a_library_for_it_is_told(machine, caplog) -> None:
    machine({"openvino"}, gpus=1)
    assert choose_device().backend == "openvino"
    assert "neither TensorFlow nor JAX" in caplog.text


@pytest.mark.parametrize(
    ("installed", "asked", "words"),
    [
        ({"openvino"}, {"device": "gpu"}, "TensorFlow is not installed"),
        ({"tensorflow"}, {"backend": "openvino"}, "OpenVINO is not installed"),
        ({"openvino", "tensorflow"}, {"device": "gpu"}, "no GPU is usable"),
        ({"openvino"}, {"device": "gpu", "backend": "openvino"}, "no GPU is usable"),
        ({"openvino"}, {"backend": "torch"}, "backend 'torch' is not known"),
    ],
)
def test_what_cannot_be(machine, installed, asked, words) -> None:
    machine(installed)
    with pytest.raises(ConfigurationError, match=words) as caught:
        choose_device(**asked)
    assert caught.value.remedy.endswith(".")


@pytest.mark.parametrize(
    ("flags", "precision"), [("avx2 fma", "float32"), ("amx_bf16", "bfloat16")]
)
def test_precision_is_what_the_cpu_has(machine, monkeypatch, flags, precision) -> None:
    machine({"openvino"})
    monkeypatch.setattr(device, "cpu_flags", lambda: frozenset(flags.split()))
    assert choose_device().precision == precision
    assert choose_device(precision="float32").precision == "float32"


def test_one_backend_of_keras_a_process() -> None:
    import keras

    other = "jax" if keras.backend.backend() == "tensorflow" else "tensorflow"
    with pytest.raises(ConfigurationError, match="this process runs Keras on"):
        keras_backend.set_up(other, "cpu", None)


def test_no_more_threads_are_used_than_there_are_processors(machine, caplog) -> None:
    machine({"openvino"})
    assert choose_device(threads=200_000).threads == os.cpu_count()
    assert "--threads 200000" in caplog.text
    assert choose_device(threads=1).threads == 1


@pytest.mark.parametrize("name", ["torch", "no such thing"])
def test_a_backend_of_keras_that_is_not_supported_changes_nothing(machine, name) -> None:
    machine({"openvino", "tensorflow"}, keras=name)
    assert choose_device(backend="tensorflow").backend == "tensorflow"
    assert choose_device().backend == "openvino"
