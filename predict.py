"""Find, name and segment the vertebrae in CT scans: ``python predict.py --help``."""

import sys

from vertseg.cli import main

if __name__ == "__main__":
    sys.exit(main())
