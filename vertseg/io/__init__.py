"""Formats: scans, masks and centroids are read and written here, and DICOM series found.

It may import sequence, system, geometry, labels and errors; never a deep-learning library.
"""
