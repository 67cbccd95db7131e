"""What a user can ask of a run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vertseg.batch.shards import Shard
from vertseg.report.run_info import OutputOptions


@dataclass(frozen=True)
class Options(OutputOptions):
    """The options of the command line, checked by it.

    Attributes:
        input: folder with scans, or one scan.
        more_inputs: further ones.
        output: folder for the outputs, which mirrors the input folder.
        weights: folder with the weights; None for those that come with the program.
        device: ``"auto"``, ``"gpu"`` or ``"cpu"``.
        backend: ``"auto"``, ``"openvino"``, ``"tensorflow"`` or ``"jax"``.
        threads: processor threads; None for all.
        resume: leave out cases that are complete.
        only: shell pattern of file names or relative paths, or several; None for all.
        force: also run on scans whose values do not look like HU.
        verbose: log details and tracebacks.
        log_format: ``"text"`` for people, ``"json"`` for programs.
        selftest: check weights, device and networks instead of a run.
        centroids: folder with centroid files from which to segment; None to find all vertebrae.
        gpus: how many GPUs work at once, each in a process of its own; 0 for all, None for one.
        shard: the share of the scans to do; None for all.
        overwrite: replace files in the output folder that this program has not written, or that
            were changed since.
        list_only: list what would be done, and run nothing.
        among: the place of this run among several that have the same scans, or others; it begins
            with its share and then does what the others have not; None where it is alone.
        merge: only write summary and gallery of what all shards have done.
        review: CSV of marks that the gallery has saved, to go with `merge`; None without one.
    """

    input: Path
    output: Path
    weights: Path | None = None
    device: str = "auto"
    backend: str = "auto"
    threads: int | None = None
    resume: bool = True
    only: str | tuple[str, ...] | None = None
    force: bool = False
    verbose: bool = False
    log_format: str = "text"
    selftest: bool = False
    centroids: Path | None = None
    gpus: int | None = None
    shard: Shard | None = None
    overwrite: bool = False
    among: Shard | None = None
    merge: bool = False
    review: Path | None = None
    more_inputs: tuple[Path, ...] = ()
    list_only: bool = False

    @property
    def inputs(self) -> tuple[Path, ...]:
        """All inputs."""
        return (self.input, *self.more_inputs)

    @property
    def root_from_output(self) -> str | None:
        """The folder of the scans as seen from the output folder, such as ``../in``.

        None where it does not lie beside or below, so that reports name no further folders.
        """
        root = common_root(self.inputs)
        try:
            path = Path(os.path.relpath(root, self.output))
        except ValueError:  # on another drive
            return None
        beside = path.parts.count(os.pardir) <= 1 and len(path.parts) <= 2
        return path.as_posix() if beside else None

    @property
    def folders(self) -> tuple[Path, ...]:
        """Those that the user has given."""
        further = (folder for folder in (self.centroids, self.weights) if folder is not None)
        inputs = (one if os.path.isdir(one) else one.parent for one in self.inputs)
        return (common_root(self.inputs), *inputs, self.output, *further)


def common_root(roots: Sequence[Path]) -> Path:
    """The folder from which cases are named: the input folder, or that which holds all inputs."""
    folders = [root if os.path.isdir(root) else root.parent for root in roots]
    if len(folders) == 1:
        return folders[0]
    return Path(os.path.commonpath([os.path.abspath(folder) for folder in folders]))
