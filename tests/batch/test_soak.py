"""Many scans of all formats, some of them hostile, in runs that are killed; see the helper."""

import os

from tests.support.soak import soak

SCANS = int(os.environ.get("VERTSEG_SOAK_SCANS", "20"))
KILLS = int(os.environ.get("VERTSEG_SOAK_KILLS", "2"))


def test_nothing_is_lost_mixed_or_silent(tmp_path) -> None:
    found = soak(tmp_path, SCANS, KILLS)
    counts = {name: found.pop(name) for name in ("scans", "kills", "failed")}
    assert counts == {"scans": SCANS, "kills": KILLS, "failed": SCANS // 5}
    assert {name: what for name, what in found.items() if what} == {}
