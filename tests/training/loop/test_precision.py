"""Training takes bfloat16 where the processor has it, as prediction does; the paper's does not."""

import dataclasses

import pytest

from vertseg.errors import ConfigurationError
from vertseg.stages.device import DeviceInfo
from vertseg.training.loop import precision
from vertseg.training.loop.precision import training_policy


@pytest.mark.parametrize(
    ("native", "policy"),
    [("float32", "float32"), ("bfloat16", "mixed_bfloat16"), ("float16", "float32")],
)
def test_auto_is_what_the_processor_has(monkeypatch, native, policy):
    info = DeviceInfo("cpu", "", "float32")
    monkeypatch.setattr(
        precision, "choose_device", lambda: dataclasses.replace(info, precision=native)
    )
    assert training_policy("auto", published=False) == policy
    assert training_policy("auto", published=True) == "float32"


def test_a_precision_that_is_asked_for_is_taken():
    assert training_policy("bfloat16", published=True) == "mixed_bfloat16"
    assert training_policy("mixed_bfloat16", published=False) == "mixed_bfloat16"
    assert training_policy("float32", published=False) == "float32"
    with pytest.raises(ConfigurationError, match="auto, float32, bfloat16"):
        training_policy("float16", published=False)
