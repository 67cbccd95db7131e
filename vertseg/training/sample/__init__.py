"""One training sample: random draws, their application to a volume, and the targets."""
