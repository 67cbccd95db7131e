"""Pure geometry: grids, boxes, resampling and anatomical directions.

Arrays and numbers only: numpy and scipy; no files, no networks.
"""
