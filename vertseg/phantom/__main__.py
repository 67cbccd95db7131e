"""Command line: ``python -m vertseg.phantom OUT.nii.gz``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from vertseg.errors import VertsegError
from vertseg.phantom import make_phantom, write_phantom
from vertseg.phantom.writing import ct_path

_EPILOG = """\
examples:
  python -m vertseg.phantom sub-a_ct.nii.gz --levels T9 L5
  python -m vertseg.phantom neck.nii.gz --levels C1 T2 --whole-body --spacing 1 1 2 --seed 4
the sample of this project:
  python -m vertseg.phantom vertseg/data/sample/sub-phantom_ct.nii.gz --sample
"""
_SAMPLE = [
    "--levels", "T8", "sacrum", "--spacing", "1.5", "1.5", "2", "--field", "175", "170",
    "--seed", "2", "--noise", "7", "--step-hu", "16",
]  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m vertseg.phantom",
        description="Make a synthetic CT of a spine with its vertebra mask and centroid file.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("output", help="CT to write, X.nii.gz; sub-X_ct.nii.gz gives BIDS names")
    parser.add_argument("--levels", nargs=2, default=["T9", "L5"], metavar=("FIRST", "LAST"),
                        help="vertebrae that lie wholly inside; LAST may be sacrum")  # fmt: skip
    parser.add_argument("--spacing", nargs=3, type=float, default=[1.5] * 3, metavar="MM",
                        help="voxel size along the three axes")  # fmt: skip
    field = parser.add_mutually_exclusive_group()
    field.add_argument("--field", nargs=2, type=float, default=[200.0, 200.0], metavar="MM",
                       help="width and depth of the field of view")  # fmt: skip
    field.add_argument("--whole-body", action="store_true", help="field of view to the skin")
    parser.add_argument("--orientation", default="LPS", help="letters such as PIR")
    parser.add_argument("--variant", default="usual",
                        choices=["usual", "L6", "T13", "no_T12", "no_L5"])  # fmt: skip
    parser.add_argument("--fractures", type=float, default=0.0, help="share that is collapsed")
    parser.add_argument("--noise", type=float, default=14.0, help="SD of the noise, HU")
    parser.add_argument("--step-hu", type=int, default=1, help="round HU to multiples of this")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sample", action="store_true", help="all options as for the sample")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Make and write a phantom; the exit code is 0, or 1 with a message on stderr."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.sample:
        options = parser.parse_args([options.output, *_SAMPLE])
    try:
        path = ct_path(options.output)
        phantom = make_phantom(
            tuple(options.levels), options.spacing, options.seed,
            field_mm=None if options.whole_body else tuple(options.field),
            orientation=options.orientation, variant=options.variant,
            fractures=options.fractures, noise_hu=options.noise,
        )  # fmt: skip
        paths = write_phantom(phantom, path, options.step_hu)
    except (ValueError, VertsegError) as error:
        print(error, file=sys.stderr)
        return 1
    names = ", ".join(c.name for c in phantom.centroids)
    print(f"{phantom.grid.size} voxels, whole vertebrae: {names}")
    print("\n".join(str(path) for path in paths))
    return 0


if __name__ == "__main__":
    sys.exit(main())
