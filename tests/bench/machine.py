"""The processor's own speed: matrix products in the precision of the networks."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np


def matrix_rate(precision: str, backend: str, size: int = 2048, seconds: float = 1.0) -> float:
    """FLOP/s of products of square matrices, the best of those that fit into `seconds`.

    Args:
        precision: ``float32``, ``bfloat16`` or ``float16``.
        backend: ``openvino``, ``tensorflow`` or ``jax``.
        size: of the matrices.
        seconds: to try for.
    """
    multiply = {"openvino": _openvino, "tensorflow": _tensorflow, "jax": _jax}[backend](
        precision, size
    )
    multiply()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter()
        multiply()
        best = min(best, time.perf_counter() - begin)
    return 2.0 * size**3 / best


def _openvino(precision: str, size: int) -> Callable[[], Any]:
    from models.silent_openvino import ops, ov

    left, right = (ops.parameter([size, size], np.float32) for _ in range(2))
    graph = ov.Model([ops.reduce_sum(ops.matmul(left, right, False, False), [0, 1])], [left, right])
    types = {"float32": ov.Type.f32, "bfloat16": ov.Type.bf16, "float16": ov.Type.f16}
    compiled = ov.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": types[precision]})
    matrix = np.random.default_rng(0).uniform(size=(size, size)).astype(np.float32)
    request = compiled.create_infer_request()
    return lambda: request.infer([matrix, matrix])


def _tensorflow(precision: str, size: int) -> Callable[[], Any]:
    import tensorflow as tf

    with tf.device("GPU:0" if tf.config.list_physical_devices("GPU") else "CPU:0"):
        matrix = tf.cast(tf.random.uniform((size, size)), precision)
    multiply = tf.function(lambda a: tf.reduce_sum(tf.matmul(a, a)))
    return lambda: float(multiply(matrix))


def _jax(precision: str, size: int) -> Callable[[], Any]:
    import jax

    matrix = jax.random.uniform(jax.random.key(0), (size, size)).astype(precision)
    multiply = jax.jit(lambda a: (a @ a).sum())
    return lambda: float(multiply(matrix))


if __name__ == "__main__":
    print(json.dumps(matrix_rate(*json.loads(sys.argv[1]))))
