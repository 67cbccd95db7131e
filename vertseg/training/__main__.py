"""``python -m vertseg.training``: prepare data, train the stages, score and export weights."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vertseg.errors import ConfigurationError, VertsegError
from vertseg.stages import Stage
from vertseg.system.signals import Stopped
from vertseg.training.data_commands import add_data_commands
from vertseg.training.reproduce_commands import add_reproduce_command
from vertseg.training.train_commands import add_train_commands
from vertseg.training.validate_commands import add_validate_commands


def main(words: Sequence[str] | None = None) -> None:
    """Parse the command line and run it; an error ends it with its own exit code."""
    parser = argparse.ArgumentParser(prog="python -m vertseg.training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    add_train_commands(commands)
    phantoms = commands.add_parser(
        "phantoms", help="write a pool of parametric phantoms for one stage"
    )
    phantoms.add_argument("stage", choices=[stage.value for stage in Stage])
    phantoms.add_argument("--pool", type=Path, default=Path("pool"))
    phantoms.add_argument("--count", type=int, default=40)
    phantoms.add_argument("--preset", default="default")
    phantoms.set_defaults(run=_phantoms)
    pack = commands.add_parser("pack", help="write posed bodies for one stage, packed, into a pool")
    pack.add_argument("stage", choices=[stage.value for stage in Stage])
    pack.add_argument("--data", type=Path, required=True, help="folder with atlas/ and courses")
    pack.add_argument("--pool", type=Path, default=Path("pool"))
    pack.add_argument("--count", type=int, default=1000)
    pack.add_argument(
        "--most-mb", type=float, default=40.0, help="largest size of all files together"
    )
    pack.add_argument("--preset", default="default")
    pack.add_argument("--seed", type=int, default=0)
    pack.set_defaults(run=_pack)
    sheet = commands.add_parser(
        "sheet", help="draw synthetic volumes and real scans in one picture"
    )
    sheet.add_argument("--data", type=Path, required=True, help="folder with atlas/, ct/, courses")
    sheet.add_argument("--to", type=Path, required=True, metavar="PNG")
    sheet.add_argument("--count", type=int, default=24, help="factory volumes")
    sheet.add_argument("--seed", type=int, default=0)
    sheet.set_defaults(run=_sheet)
    add_data_commands(commands)
    add_validate_commands(commands)
    add_reproduce_command(commands)
    export = commands.add_parser(
        "export", help="write weights and manifest of the three trained stages"
    )
    export.add_argument("--runs", type=Path, default=Path("runs"))
    export.add_argument("--to", type=Path, default=Path("weights"))
    export.add_argument("--from", type=Path, dest="others", metavar="WEIGHTS",
                        help="exported weights for stages without a run")  # fmt: skip
    export.add_argument("--name", required=True, help="name of this generation of weights")
    export.add_argument("--scores", type=Path, help="JSON with measured scores, for the manifest")
    export.add_argument("--about", type=Path, metavar="JSON",
                        help="licence, sources, held_out of the manifest, where the runs do not "
                        "record them correctly")  # fmt: skip
    export.set_defaults(run=_export)
    arguments = parser.parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        arguments.run(arguments)
    except VertsegError as error:
        parser.exit(error.exit_code, f"{error}\n")
    except Stopped as stopped:
        parser.exit(stopped.exit_code, f"stopped by {stopped}; the checkpoint is written\n")


def _phantoms(arguments: argparse.Namespace) -> None:
    from vertseg.training.factory.phantoms import make_pool
    from vertseg.training.presets import find_preset
    from vertseg.training.recipe import recipes_for

    config = getattr(find_preset(arguments.preset), arguments.stage)
    for recipe in recipes_for(arguments.stage, config):
        make_pool(recipe, arguments.pool, arguments.count)


def _pack(arguments: argparse.Namespace) -> None:
    from vertseg.training.factory.packed import pack_bodies
    from vertseg.training.presets import find_preset
    from vertseg.training.recipe import recipes_for
    from vertseg.training.sources import Sources

    config = getattr(find_preset(arguments.preset), arguments.stage)
    recipes = recipes_for(arguments.stage, config)
    most = int(1e6 * arguments.most_mb) // len(recipes)
    for recipe in recipes:
        draw, share = Sources(arguments.data, recipe).posed, arguments.count // len(recipes)
        count = pack_bodies(recipe, draw, arguments.pool, share, arguments.seed, most)
        print(f"{count} bodies of the {recipe.name} grid in {arguments.pool}")


def _sheet(arguments: argparse.Namespace) -> None:
    from vertseg.training.validate.contact_sheet import draw_sheet

    draw_sheet(arguments.data, arguments.count, arguments.seed).save(arguments.to)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot be read: {error}", str(path)) from error
    if not isinstance(entries, dict):
        raise ConfigurationError("is not a JSON object", str(path))
    return entries


def _export(arguments: argparse.Namespace) -> None:
    import tempfile

    from vertseg.stages.weights import load_weights
    from vertseg.training.loop.checkpoint import complete, untrained
    from vertseg.training.loop.export import export
    from vertseg.training.loop.provenance import provenance

    known = {}
    with tempfile.TemporaryDirectory(prefix="vertseg-export-") as temporary:
        runs = arguments.runs
        if arguments.others:
            others = load_weights(arguments.others)
            known = {stage: others.manifest["files"][stage] for stage in untrained(runs)}
            runs = complete(runs, others, Path(temporary))
        about = _read_json(arguments.about) if arguments.about else None
        details = {"name": arguments.name} | provenance(runs, about)
        if arguments.scores:
            details["scores"] = _read_json(arguments.scores)
        logging.info("weights are in %s", export(runs, arguments.to, details, known))


if __name__ == "__main__":
    main()
