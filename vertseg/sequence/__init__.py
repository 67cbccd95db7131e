"""Which vertebra is where: the exact search for the most likely chain of labelled places.

Pure numpy. It may import system, geometry, labels and errors.
"""
