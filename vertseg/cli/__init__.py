"""The command line.

Of other packages only tqdm is imported before the options are known, so that ``--help`` answers at
once; the networks' library is imported when the work begins.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from vertseg.batch.options import Options
from vertseg.batch.shards import shard_of_slurm
from vertseg.cli.parser import parse
from vertseg.errors import ConfigurationError, VertsegError
from vertseg.stages import SEGMENT_ONLY
from vertseg.system.log import set_up_logging
from vertseg.system.memory import use_few_arenas, use_small_pages
from vertseg.system.signals import Stopped, stop_on_signals
from vertseg.system.streams import flush_streams, open_closed_streams
from vertseg.version import NOTICE

if TYPE_CHECKING:
    from vertseg.batch.outcome import Outcome
    from vertseg.stages.segmenter import Segmenter

_LOGGER = logging.getLogger(__name__)


def main(
    arguments: Sequence[str] | None = None, load: Callable[[Options], Segmenter] | None = None
) -> int:
    """Run the program.

    Args:
        arguments: of the command line; those of the process if None.
        load: makes the segmenter from the options; the real one if None.

    Returns:
        The exit code.
    """
    open_closed_streams()
    use_small_pages()
    use_few_arenas()
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if given and given[0] in ("relabel", "crop"):
            from vertseg.commands import main as run_command

            return run_command(given)
        return _main(parse(given), load)
    finally:
        flush_streams()


def _main(options: Options, load: Callable[[Options], Segmenter] | None) -> int:
    set_up_logging(options.verbose, as_json=options.log_format == "json")
    try:
        with stop_on_signals():
            if options.selftest:
                return _selftest(options)
            options = _checked(options)
            if options.list_only:
                return _list(options)
            outcome = _run(options, load)
    except VertsegError as error:
        _LOGGER.error("%s", error, exc_info=error if options.verbose else None)
        return error.exit_code
    except Stopped as stop:
        _LOGGER.warning("Stopped by %s.", stop)
        return stop.exit_code
    _show(outcome, options)
    return outcome.exit_code


def _checked(options: Options) -> Options:
    """The options, if they go together; in a Slurm array, with the task's place in it."""
    if options.centroids is not None and not options.segmentation:
        what = "are to be segmented, but --stages leaves that out"
        raise ConfigurationError(what, "--centroids", remedy="Leave out one of them.")
    if options.centroids is None and options.stages == SEGMENT_ONLY:
        remedy = "Give --centroids FOLDER."
        raise ConfigurationError("needs centroids", "--stages segmentation", remedy=remedy)
    if options.mask_1mm and options.mode in ("reference", "published"):
        what, remedy = f"with --{options.mode}", "Leave out one of them."
        raise ConfigurationError(what, "--mask-1mm", remedy=remedy)
    if options.gpus is not None and options.device == "cpu":
        raise ConfigurationError("with --device cpu", "--gpus", remedy="Leave out one of them.")
    if options.merge:
        return replace(options, shard=None)
    if options.review is not None:
        raise ConfigurationError("needs --merge", "--review", remedy="Add --merge.")
    shard, among = options.shard, None
    if shard is None and (options.more_inputs or options.input.is_dir()):
        among = shard_of_slurm(os.environ)
    several = [part if part is not None and part.count > 1 else None for part in (shard, among)]
    return replace(options, shard=several[0], among=several[1])


def _run(options: Options, load: Callable[[Options], Segmenter] | None) -> Outcome:
    from vertseg.batch.run import load_segmenter, run_batch

    if options.merge:
        from vertseg.batch.outcome import merge_shards

        return merge_shards(options)
    if options.gpus is not None:
        from vertseg.batch.gpus import run_on_gpus

        return run_on_gpus(options, load or load_segmenter)
    return run_batch(options, load or load_segmenter)


def _list(options: Options) -> int:
    from vertseg.batch.listing import as_table, exit_code, list_cases
    from vertseg.batch.run import find_for
    from vertseg.system.log import say

    lines = list(list_cases(find_for(options), options))
    say(as_table(lines))
    return exit_code(lines)


def _selftest(options: Options) -> int:
    from vertseg.stages.selftest import run_checks
    from vertseg.system.log import say

    passed = True
    checks = run_checks(
        options.weights, options.device, options.precision, options.threads, options.backend
    )
    for check in checks:
        say(str(check))
        passed &= check.passed
    return 0 if passed else 1


def _show(outcome: Outcome, options: Options) -> None:
    from vertseg.report.overview import GALLERY, SUMMARY
    from vertseg.report.table import format_table
    from vertseg.system.log import say

    look = f"Look at {GALLERY}; every vertebra is in {SUMMARY}."
    if options.shard is not None:
        look = f"Every vertebra of this shard is in {options.shard.summary}. "
        look += f"When all shards are done, --merge writes {GALLERY} and {SUMMARY}."
    table = format_table(outcome.reports, outcome.left_out)
    say(f"{table}\n\nOutputs: {options.output}. {look}\n{NOTICE}")
