"""The training loop: steps, losses, prefetching, checkpoints, the curve and the export."""
