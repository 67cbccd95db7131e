"""``python -m vertseg.evaluate``."""

import sys

from vertseg.evaluate import main

if __name__ == "__main__":
    sys.exit(main())
