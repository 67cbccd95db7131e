"""``python -m vertseg.evaluate``."""

from __future__ import annotations

import sys

from vertseg.evaluate import main

if __name__ == "__main__":
    sys.exit(main())
