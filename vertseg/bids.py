"""What BIDS wants to know of a folder of derivatives."""

from __future__ import annotations

from pathlib import Path

from vertseg.version import VERSION
from vertseg.writing import write_json

DESCRIPTION = "dataset_description.json"

_BIDS_VERSION = "1.9.0"


def describe_dataset(output: Path) -> None:
    """Write the description of the output folder, unless there is one; raises OutputError."""
    path = output / DESCRIPTION
    if path.exists():
        return
    description = {
        "Name": "Vertebrae found, named and segmented",
        "BIDSVersion": _BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "vertseg", "Version": VERSION}],
    }
    write_json(path, description)
