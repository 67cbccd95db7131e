"""Where the repository is, and real data beside it that some tests look at when it is there."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("VERTSEG_DATA", ROOT.parent / "shared" / "data"))
