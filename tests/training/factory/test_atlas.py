"""A folder without an atlas is refused with what to do."""

import pytest

from vertseg.errors import ConfigurationError
from vertseg.training.factory.atlas import load_atlas


@pytest.mark.parametrize("there", [[], ["atlas_labels.nii.gz"]])
def test_a_folder_without_an_atlas_is_refused(there, tmp_path) -> None:
    for name in there:
        (tmp_path / name).touch()
    with pytest.raises(ConfigurationError, match=r"lacks .*body_centres_from_discs.*pack one"):
        load_atlas(tmp_path)
