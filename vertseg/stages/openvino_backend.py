"""Trained networks on OpenVINO: the fastest on a CPU, and quick to start, since Keras is not there.

Nothing is written: compiling takes less than a second, so compiled networks are not kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from math import prod
from queue import SimpleQueue
from typing import Any

import numpy as np

from models.openvino_layers import openvino_network
from models.silent_openvino import ov
from vertseg.errors import ConfigurationError
from vertseg.geometry.grid import Float32Array
from vertseg.stages import Stage
from vertseg.stages.at_once import CALLS_AT_ONCE
from vertseg.stages.device import DeviceInfo, Precision
from vertseg.stages.weights import Weights, misfit, read_variables
from vertseg.system.processors import usable_cores

_TYPES = {"float32": ov.Type.f32, "bfloat16": ov.Type.bf16, "float16": ov.Type.f16}
_NO_MEMORY = ("bad_alloc", "can't alloc", "failed to allocate", "failed to map segment")


class OpenVinoForward:
    """A network compiled for this CPU: from a batch of crops to a batch of maps.

    The crops of all calls share a few streams, each with its share of the threads: two crops side
    by side take less time than one after the other on all threads. The first stage usually sees
    one crop per scan and gets all threads for it. Only the segmentation uses a precision other than
    float32: in the other stages it would move centroids by up to 0.3 mm.

    Args:
        graph: from (1, x, y, z, inputs) to (1, x, y, z, outputs).
        stage: ``spine``, ``vertebrae`` or ``segmentation``.
        device: threads and precision.

    Attributes:
        crop_bytes: memory that one crop takes.

    Raises:
        ConfigurationError: the CPU has no arithmetic of that precision, or memory does not suffice
            for the network.
    """

    def __init__(self, graph: ov.Model, stage: str, device: DeviceInfo) -> None:
        # Places and names come from the first two networks, which are the lesser part of the work.
        precision = device.precision if stage == Stage.SEGMENTATION else "float32"
        self.crop_bytes = peak_bytes(graph, 4 if precision == "float32" else 2)
        threads = device.threads or usable_cores()
        streams = 1 if stage == Stage.SPINE else min(threads, CALLS_AT_ONCE)
        compiled = _compiled(graph, precision, threads, streams)
        self._requests: SimpleQueue[Any] = SimpleQueue()
        for _ in range(streams):
            self._requests.put(compiled.create_infer_request())
        self._shape = tuple(compiled.output(0).shape)[1:]
        self._pool = ThreadPoolExecutor(streams, f"{stage} network")

    @classmethod
    def load(cls, weights: Weights, stage: str, device: DeviceInfo) -> OpenVinoForward:
        """The network of a stage with its weights.

        Raises:
            ConfigurationError: the weights do not fit the preset's network, and see the class.
        """
        try:
            variables = read_variables(weights.files[stage])
            graph = openvino_network(weights.preset, stage, variables)
        except (ValueError, OSError, KeyError) as error:
            raise misfit(weights, stage, error) from error
        return cls(graph, stage, device)

    def __call__(self, batch: Float32Array) -> Float32Array:
        """Maps (n, x, y, z, outputs) from inputs (n, x, y, z, inputs).

        Raises:
            MemoryError: there is not enough memory.
        """
        maps = np.empty((len(batch), *self._shape), np.float32)
        for _ in self._pool.map(self._infer, batch, maps):
            pass
        return maps

    on_cpu = __call__

    def _infer(self, crop: Float32Array, maps: Float32Array) -> None:
        """Fill `maps` with those of a crop, straight from the memory of OpenVINO."""
        request, inputs = self._requests.get(), np.ascontiguousarray(crop[None])
        try:
            with memory_errors():
                maps[...] = request.infer(inputs, share_inputs=True, share_outputs=True)[0][0]
        finally:
            self._requests.put(request)


def _compiled(graph: ov.Model, precision: Precision, threads: int, streams: int) -> Any:
    wanted = _TYPES[precision]
    options = {
        "INFERENCE_PRECISION_HINT": wanted,
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": streams,
        "ENABLE_CPU_PINNING": False,  # processes side by side would be pinned to the same cores
    }
    try:
        with memory_errors():
            compiled = ov.Core().compile_model(graph, "CPU", options)
    except MemoryError as error:
        raise ConfigurationError(
            "there is not enough memory for the networks",
            where=f"OpenVINO: {error}",
            expected="about 1 GiB of free memory",
            remedy="Run on a machine or in a container with more memory, or with --threads 1.",
        ) from error
    used = compiled.get_property("INFERENCE_PRECISION_HINT")
    if used != wanted:
        raise ConfigurationError(
            f"OpenVINO has no {precision} on this CPU",
            where=f"--precision {precision}",
            expected="a precision that the CPU has",
            remedy="Use --precision auto, or --backend tensorflow.",
        )
    return compiled


def peak_bytes(graph: ov.Model, value_bytes: int) -> int:
    """Memory of the maps that exist at one time, when each is freed after its last use."""
    steps = [node for node in graph.get_ordered_ops() if node.get_type_name() != "Constant"]
    last_use: dict[str, int] = {}
    sizes: dict[str, int] = {}
    for place, node in enumerate(steps):
        for source in node.input_values():
            last_use[source.get_node().get_name()] = place
        sizes[node.get_name()] = prod(node.get_output_shape(0)) * value_bytes
    held = peak = 0
    for place, node in enumerate(steps):
        held += sizes[node.get_name()]
        peak = max(peak, held)
        sources = {source.get_node().get_name() for source in node.input_values()}
        held -= sum(sizes.get(name, 0) for name in sources if last_use[name] == place)
    return peak


@contextmanager
def memory_errors() -> Iterator[None]:
    """What OpenVINO says when memory runs out, as the error that Python has for it."""
    try:
        yield
    except RuntimeError as error:
        if any(words in str(error).lower() for words in _NO_MEMORY):
            raise MemoryError(str(error).strip().splitlines()[-1]) from error
        raise
