"""Weights are read from their own folder, and only whole and unchanged."""

import json
import shutil

import pytest

from vertseg.errors import ConfigurationError
from vertseg.stages.weights import default_folder, load_weights


@pytest.mark.parametrize("place", ["../{name}", "{folder}/{name}"])
def test_a_manifest_names_no_file_elsewhere(tmp_path, place) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(default_folder(), folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    name = manifest["files"]["spine"]["file"]
    (folder / name).rename(tmp_path / name)
    manifest["files"]["spine"]["file"] = place.format(name=name, folder=tmp_path)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ConfigurationError, match="lies elsewhere"):
        load_weights(folder)
