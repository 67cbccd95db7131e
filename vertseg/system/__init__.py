"""The machine: whole files, memory, threads, child processes, locks, signals, logging.

Knows nothing of images. It may import geometry, labels and errors.
"""
