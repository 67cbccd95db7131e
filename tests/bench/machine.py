"""The processor's own speed: matrix products in the precision of the networks."""

from __future__ import annotations

import json
import sys
import time


def matrix_rate(precision: str, size: int = 2048, seconds: float = 1.0) -> float:
    """FLOP/s of products of square matrices, the best of those that fit into `seconds`."""
    import tensorflow as tf

    with tf.device("GPU:0" if tf.config.list_physical_devices("GPU") else "CPU:0"):
        matrix = tf.cast(tf.random.uniform((size, size)), precision)
    multiply = tf.function(lambda a: tf.reduce_sum(tf.matmul(a, a)))
    float(multiply(matrix))
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter()
        float(multiply(matrix))
        best = min(best, time.perf_counter() - begin)
    return 2.0 * size**3 / best


if __name__ == "__main__":
    print(json.dumps(matrix_rate(sys.argv[1])))
