"""From a folder with VerSe to tables 1 and 2 of the paper; a stopped run continues where it was."""

from __future__ import annotations

import gc
import hashlib
import json
import logging
import sys
from collections.abc import Mapping
from typing import Any

import keras

from vertseg import cli
from vertseg.errors import ConfigurationError
from vertseg.evaluate import evaluate
from vertseg.evaluate.scores import VertebraScore
from vertseg.stages import Stage
from vertseg.stages.device import DeviceInfo, choose_device
from vertseg.stages.weights import MANIFEST, load_weights
from vertseg.training.data.dataset import DataCase, find_data_cases
from vertseg.training.data.prepare import PrepareConfig, prepare
from vertseg.training.data.real_pool import FOLDER, REPORT, fold_of_cases
from vertseg.training.loop.export import export
from vertseg.training.loop.precision import training_policy
from vertseg.training.loop.provenance import provenance
from vertseg.training.loop.train import TrainConfig, train
from vertseg.training.reproduce.cost import estimate, in_words
from vertseg.training.reproduce.kept_scores import save_scores, saved_scores
from vertseg.training.reproduce.plan import FOLDS, Plan
from vertseg.training.reproduce.tables import table_1, table_2, write_table
from vertseg.training.sample.published import PublishedRecipe, PublishedSources
from vertseg.training.validate.crossvalidate import score_data_case
from vertseg.training.validate.stage_scores import CaseScores, Networks

log = logging.getLogger(__name__)

_VALIDATE_EVERY = 2000


def reproduce(plan: Plan) -> str:
    """Prepares, trains and scores folds, trains on all cases, predicts the test sets.

    Returns:
        Both tables as text; they lie in `Plan.tables`, too.

    Raises:
        VertsegError: data, weights or device cannot be used.
        Stopped: a signal came; what was done is kept.
    """
    policy = training_policy(plan.precision, published=True)
    keras.mixed_precision.set_global_policy(policy)
    folders = plan.training_folders()
    cases = {case.name: case for case in find_data_cases(folders)}
    _say(in_words(estimate(plan, len(cases)), plan, len(cases)))
    _prepare(plan, cases)
    folds = fold_of_cases(plan.pool)
    for fold in range(FOLDS):
        _train_all_stages(plan, fold, policy)
    device = choose_device(plan.device, plan.inference_precision, plan.threads)
    scores = _crossvalidate(plan, cases, folds, device)
    texts = ["Table 1: each stage fed with the truth, in three folds"]
    texts.append(write_table(plan.tables, "table1", table_1(scores)))
    _say("\n".join(texts))
    _train_all_stages(plan, None, policy)
    sets = {name: _predict(plan, name) for name in plan.test_sets()}
    if sets:
        texts += ["", "Table 2: the whole chain on test sets"]
        texts.append(write_table(plan.tables, "table2", table_2(sets)))
    return "\n".join(texts)


def _say(text: str) -> None:
    print(text, flush=True)


def _prepare(plan: Plan, cases: Mapping[str, DataCase]) -> None:
    """Makes the pool, unless it holds these cases for this preset."""
    path = plan.pool / FOLDER / REPORT
    if path.is_file():
        report = json.loads(path.read_text(encoding="utf-8"))
        known = {row["name"] for row in (*report["cases"], *report["refused"])}
        if report["preset"] == plan.preset.name and known == set(cases):
            return
    report = prepare(plan.training_folders(), plan.pool, plan.preset, PrepareConfig(folds=FOLDS))
    for row in report["refused"]:
        log.warning("%s: left out: %s", row["name"], "; ".join(row["problems"]))


def _train_all_stages(plan: Plan, fold: int | None, policy: str) -> None:
    """Trains the three stages without a fold, or with all cases, and exports them."""
    for stage in Stage:
        _train(plan, stage, fold, policy)
    if _is_exported(plan, fold):
        return
    runs = plan.runs(fold)
    name = f"{plan.preset.name}, {'all cases' if fold is None else f'without fold {fold}'}"
    export(runs, plan.weights(fold), {"name": name} | provenance(runs))


def _train(plan: Plan, stage: Stage, fold: int | None, policy: str) -> None:
    runs, steps = plan.runs(fold), plan.steps(stage)
    if _steps_done(plan, stage, fold) >= steps:
        return
    keras.utils.clear_session()
    gc.collect()
    keras.utils.set_random_seed(0)
    recipe = PublishedRecipe(stage, plan.config(stage), plan.augmentation)
    sources = PublishedSources(recipe, plan.pool, fold)
    held_back = None
    watched = fold is not None and steps >= _VALIDATE_EVERY
    if watched:
        held_back = PublishedSources(recipe, plan.pool, fold, held_back=True).draw
    left_out = [name for name, own in fold_of_cases(plan.pool).items() if own == fold]
    config = TrainConfig(
        minutes=None,
        until=steps,
        workers=plan.workers,
        validate_every=_VALIDATE_EVERY if watched else 0,
        pool=plan.pool,
        fold=fold,
        precision=policy,
        augmentation=plan.augmentation,
        held_out=tuple(left_out),
    )
    train(plan.preset, recipe, sources.draw, runs, config, held_back)


def _steps_done(plan: Plan, stage: Stage, fold: int | None) -> int:
    """Number of steps in the finished legs of a training, from its curve."""
    curve = plan.runs(fold) / f"{stage}.csv"
    if not curve.is_file():
        return 0
    rows = curve.read_text(encoding="utf-8").split()
    return int(float(rows[-1].split(",")[0])) if rows else 0


def _is_exported(plan: Plan, fold: int | None) -> bool:
    """Whether the weights are those of the last steps."""
    try:
        files = load_weights(plan.weights(fold)).manifest["files"]
    except ConfigurationError:
        return False
    return all(files[stage]["iterations"] == _steps_done(plan, stage, fold) for stage in Stage)


def _crossvalidate(
    plan: Plan, cases: Mapping[str, DataCase], folds: Mapping[str, int], device: DeviceInfo
) -> list[CaseScores]:
    """Scores of every case by the weights that have not seen it."""
    found: list[CaseScores] = []
    for fold in range(FOLDS):
        weights = plan.weights(fold)
        known = hashlib.sha256((weights / MANIFEST).read_bytes()).hexdigest()
        networks: Networks | None = None
        for name in (name for name, own in folds.items() if own == fold):
            path = plan.scores(fold) / f"{name}.json"
            scores = saved_scores(path, known)
            if scores is None:
                networks = networks or Networks.load(weights, device)
                scores = score_data_case(cases[name], networks, published=True)
                save_scores(path, scores[0] if scores else None, known)
            found += scores
    return found


def _predict(plan: Plan, name: str) -> list[VertebraScore]:
    """Scores of the whole chain on a test set, by the weights of all cases."""
    folder, results = plan.test_sets()[name], plan.work / "predictions" / name
    options: dict[str, Any] = {
        "--input": folder,
        "--output": results,
        "--weights": plan.weights(None),
        "--device": plan.device,
        "--precision": plan.inference_precision,
    }
    if plan.threads:
        options["--threads"] = plan.threads
    words = [str(word) for pair in options.items() for word in pair]
    code = cli.main([*words, "--published"])
    if code not in (0, 2):  # single scans that failed count as not found
        sys.exit(code)
    return evaluate(folder, results, count_missing=True)[0]
