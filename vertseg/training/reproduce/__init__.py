"""The tables of the paper from the VerSe download, end to end: `run.reproduce`."""
