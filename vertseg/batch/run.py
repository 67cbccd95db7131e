"""A run over all scans of a folder: one bad scan does not affect the others."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from vertseg.batch.case_job import CaseJob
from vertseg.batch.find import Discovery, find_cases
from vertseg.batch.given import give_centroids
from vertseg.batch.identity import check_apart
from vertseg.batch.layouts import describe_dataset
from vertseg.batch.options import Options
from vertseg.batch.outcome import (
    Outcome,
    note_left_out,
    note_refused,
    note_vanished,
    write_tables,
)
from vertseg.batch.overlap import ReadAhead, Relay, WriteBehind
from vertseg.batch.runner import Runner
from vertseg.errors import ConfigurationError, OutputError
from vertseg.io.dicom_seg import check_highdicom
from vertseg.io.mesh import check_mesh_packages
from vertseg.report.overview import SUMMARY, check_replaceable
from vertseg.report.preview import load_libraries
from vertseg.report.run_info import RunInfo
from vertseg.stages import SEGMENT_ONLY
from vertseg.stages.device import BACKENDS
from vertseg.system.signals import Stopped, stop_on_signals
from vertseg.version import VERSION

if TYPE_CHECKING:
    from vertseg.stages.segmenter import Segmenter

_LOGGER = logging.getLogger(__name__)


def load_segmenter(options: Options) -> Segmenter:
    """Load networks and weights; this is where their library is imported.

    Raises:
        ConfigurationError: weights or device cannot be used.
    """
    from vertseg.stages.segmenter import Segmenter

    return Segmenter(
        weights=options.weights,
        device=options.device,
        precision=options.precision,
        tile_overlap=options.tile_overlap,
        threads=options.threads,
        mode=options.mode,
        keep_heatmaps=options.heatmaps,
        fine_mask=options.mask_1mm,
        backend=options.backend,
        numbering=options.numbering,
    )


def run_batch(options: Options, load: Callable[[Options], Segmenter] = load_segmenter) -> Outcome:
    """Do all cases of the input folder, and write the summary and the gallery.

    Args:
        options: of the run.
        load: makes the segmenter; called once, after the input was searched.

    Raises:
        NoInputError: there is nothing to run on.
        ConfigurationError: options, weights, device or output folder cannot be used.
        OutputError: the summary or the gallery cannot be written.
    """
    found = find_for(options)
    if options.dicom:
        name = f"--{options.dicom[0].replace('_', '-')}"
        if options.dicom != ("dicom_rtstruct",):  # which needs pydicom alone
            check_highdicom(name)
        if not any(case.slices for case in found.cases):
            _LOGGER.warning("%s changes nothing: no scan is a DICOM series.", name)
    if options.meshes is not None:
        check_mesh_packages("--meshes")
    check_apart(found.cases, options.output)
    check_output(options)
    outcome = Outcome()
    note_left_out(found, options, outcome)
    if found.cases or found.refused:
        _run_all(options, load, found, outcome)
    if any(case.bids for case in found.cases):
        describe_dataset(options.output)
    note_vanished(options, outcome)
    write_tables(options, outcome)
    return outcome


def find_for(options: Options) -> Discovery:
    """The scans that a run with these options would take, with their given centroids.

    Raises:
        NoInputError: there is no scan.
        ConfigurationError: the folder of given centroids cannot be used.
    """
    found = find_cases(options.inputs, options.only, options.output)
    only_given = options.stages == SEGMENT_ONLY
    found = give_centroids(found, options.centroids, options.output, only_given)
    return _share(found, options)


def _share(found: Discovery, options: Options) -> Discovery:
    """What this run is to do; of all scans that it shares with others, its own part first."""
    if options.among is not None:
        own = options.among.of(found.cases)
        others = [case for case in found.cases if case not in set(own)]
        found = replace(found, cases=(*own, *others))
        text = "Task %s of a Slurm array: %d of %d scans first, then what others have left."
        _LOGGER.info(text, options.among, len(own), len(found.cases))
    shard = options.shard
    if shard is None:
        return found
    part = replace(found, cases=shard.of(found.cases), refused=shard.of(found.refused))
    count = len(part.cases) + len(part.refused)
    total = len(found.cases) + len(found.refused)
    _LOGGER.info("Shard %s: %d of %d scans; --shard 1/1 takes all.", shard, count, total)
    return part


def _run_all(
    options: Options, load: Callable[[Options], Segmenter], found: Discovery, outcome: Outcome
) -> None:
    jobs = [CaseJob(case, options) for case in found.cases]
    try:
        with stop_on_signals(), ReadAhead() as reader, WriteBehind() as writer, Relay() as relay:
            if jobs:
                reader.begin(jobs[0])
                writer.begin(load_libraries)  # which has nothing to write yet
            segmenter = load(options)
            run = RunInfo.of(segmenter, options)
            _announce(options, found, run)
            note_refused(found, options, run, outcome)
            Runner(options, segmenter, run, outcome).run_all(jobs, reader, relay, writer)
    except Stopped as stop:
        outcome.stopped = stop.exit_code
        _LOGGER.warning(
            "Stopped by %s. Every file written is complete; --resume does the rest.", stop
        )
    finally:
        for job in jobs:
            job.release()


def check_output(options: Options) -> None:
    """Make the output folder and try to write, before hours are spent."""
    output = options.output
    probe = output / ".vertseg-probe"
    try:
        output.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink(missing_ok=True)
        if not options.overwrite:
            check_replaceable(output, options.shard.summary if options.shard else SUMMARY)
    except OSError as error:
        what = f"cannot be written: {error.strerror or error}"
        remedy = "Give a folder that this user may write to, or mount it writable."
        raise ConfigurationError(what, str(output), remedy=remedy) from error
    except OutputError as error:
        raise ConfigurationError(error.what, error.where, remedy=error.remedy) from error


def _announce(options: Options, found: Discovery, run: RunInfo) -> None:
    device = run.device
    _LOGGER.info(
        "vertseg %s on the %s (%s, %s, %s), weights %s.",
        *(VERSION, device["kind"].upper(), device["name"], device["precision"]),
        *(BACKENDS[device["backend"]], run.preset),
    )
    count = len(found.cases) + len(found.refused)
    place = f"{len(options.inputs)} inputs" if options.more_inputs else options.input
    _LOGGER.info("%d scan%s in %s.", count, "s" * (count != 1), place)
