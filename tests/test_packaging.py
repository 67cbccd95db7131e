"""Pins, container and start script agree with each other and with the source tree."""

import ast
import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement

from tests.support.paths import ROOT
from vertseg.batch.find import find_cases
from vertseg.io.annotations import find_case_files
from vertseg.version import VERSION

ASKED_FOR = {"jax", "skimage", "tensorboard", "trimesh"}  # imported where they were asked for
FOR_GPUS_AND_TRAINING = {"keras", "tensorflow"}
PINNED_FILES = ("requirements.txt", "tests/requirements.txt", ".requirements/cuda.txt")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(file: str) -> dict[str, str]:
    """Name -> version of a pinned file; fails unless every entry has a version and a hash."""
    found = {}
    text = (ROOT / file).read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = re.match(r"([\w.-]+)==(\S+) .*--hash=sha256:[0-9a-f]{64}", line)
        assert match, f"{file}: not pinned by version and hash: {line[:80]}"
        found[canonical(match[1])] = match[2]
    return found


def test_pinned_files_agree():
    product = pins("requirements.txt")
    for file in PINNED_FILES[1:]:
        other = pins(file)
        differing = {n for n in product.keys() & other.keys() if product[n] != other[n]}
        assert not differing, file
    cuda, test = pins(".requirements/cuda.txt"), pins("tests/requirements.txt")
    assert all(cuda[name] == test[name] for name in FOR_GPUS_AND_TRAINING)
    assert product.keys() <= pins(".requirements/cuda.txt").keys()
    assert not any(name.startswith("nvidia-") for name in product)


def test_declared_dependencies_are_pinned_as_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted, extras = project["project"]["dependencies"], project["project"]["optional-dependencies"]
    declared = (
        [*wanted, *extras["dicom-seg"]],
        project["dependency-groups"]["test"],
        [*wanted, *extras["dicom-seg"], *extras["cuda"]],
    )
    for file, requirements in zip(PINNED_FILES, declared, strict=True):
        pinned = pins(file)
        for requirement in map(Requirement, requirements):
            version = pinned.get(canonical(requirement.name), "none")
            assert version in requirement.specifier, f"{file}: {requirement}, got {version}"


def test_what_the_image_imports_is_pinned():
    files = [
        ROOT / "predict.py",
        *(ROOT / "models").rglob("*.py"),
        *(ROOT / "vertseg").rglob("*.py"),
    ]
    names = set()
    for node in (node for file in files for node in ast.walk(ast.parse(file.read_text()))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    others = names - sys.stdlib_module_names - {"models", "vertseg"} - ASKED_FOR
    owners = packages_distributions()
    assert {"numpy", "isal", "highdicom", "pydicom", *FOR_GPUS_AND_TRAINING} <= others
    for name in others:
        file = ".requirements/cuda.txt" if name in FOR_GPUS_AND_TRAINING else "requirements.txt"
        assert {canonical(owner) for owner in owners[name]} & pins(file).keys(), name


def test_prediction_on_a_cpu_installs_no_library_for_training():
    assert not {"jax", "keras", "tensorflow", "torch"} & pins("requirements.txt").keys()


@pytest.mark.parametrize("package", ["vertseg", "weights"])
def test_pip_installs_every_file(package: str):
    """Weights, sample and page are no modules, so each must fit a pattern of package data."""
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folder = ROOT / package
    files = {p for p in folder.rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")}
    named = {p for pattern in setuptools["package-data"][package] for p in folder.glob(pattern)}
    assert files and files <= named
    assert f"{package}*" in setuptools["packages"]["find"]["include"]


def test_image_is_built_from_files_that_exist():
    text = (ROOT / "Dockerfile").read_text()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY ")]
    sources = [name for names in copied for name in names if not name.startswith("--")]
    for name in sources:
        if name.startswith("/"):
            continue
        assert (ROOT / name).exists(), name
        assert "!" + name.split("/")[0] in ignored, name


def test_one_version_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"]["attr"] == "vertseg.version.VERSION"
    given = re.findall(r"^ARG VERSION=(.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert set(given) == {VERSION}


def test_bill_of_materials_lists_every_pin():
    for file in ("requirements.txt", ".requirements/cuda.txt"):
        command = [sys.executable, str(ROOT / ".requirements/sbom.py"), str(ROOT / file), VERSION]
        first, second = (subprocess.check_output(command) for _ in range(2))
        assert first == second
        bill = json.loads(first)
        assert (bill["bomFormat"], bill["metadata"]["component"]["version"]) == (
            "CycloneDX",
            VERSION,
        )
        assert {c["name"]: c["version"] for c in bill["components"]} == pins(file)
        for component in bill["components"]:
            assert component["purl"] == f"pkg:pypi/{component['name']}@{component['version']}"
            (files,) = component["externalReferences"]
            assert all(len(entry["content"]) == 64 for entry in files["hashes"])


def test_image_is_reproducible_and_has_an_init():
    text = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^ARG BASE=[\w.:-]+@sha256:[0-9a-f]{64}$", text, re.MULTILINE)
    assert 'ENTRYPOINT ["/usr/bin/tini", "--",' in text


def test_image_says_what_it_is_and_whether_it_is_well():
    text = (ROOT / "Dockerfile").read_text()
    for label in ("version", "revision", "source", "licenses"):
        assert f"org.opencontainers.image.{label}=" in text
    assert re.search(r'HEALTHCHECK [^\n]*\\\n\s+CMD \[.*"--selftest"', text)
    assert text.index("USER 1000") < text.index("ENTRYPOINT")


def test_bundled_sample_can_be_scored():
    """What the program writes for the sample has the names of its known answers."""
    folder = ROOT / "vertseg/data/sample"
    truth = find_case_files(folder)
    (case,) = find_cases(folder).cases
    for files in truth.values():
        assert files.mask is not None and files.mask.name == case.mask.name
        assert files.centroids is not None and files.centroids.name == case.centroids.name
    assert len(truth) == 1


def test_tracked_files_are_small():
    """All tracked files together stay under 40 MiB."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert sum(f.stat().st_size for f in files if f.exists()) < 40 * 2**20


def run_sh(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(ROOT / "run.sh"), *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_names_every_command():
    done = run_sh("help")
    assert done.returncode == 0
    for command in ("predict", "docker", "test", "selftest", "sbom", "help"):
        assert f"./run.sh {command}" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("fly",), "unknown command: fly"),
        (("predict", "only-one"), "predict needs two paths"),
        (("docker",), "docker needs two paths"),
    ],
)
def test_wrong_use_is_told(arguments, said):
    done = run_sh(*arguments)
    assert done.returncode == 1
    assert said in done.stderr


def test_missing_python_is_told(tmp_path):
    """Only the shell's own tools on PATH, and a python3 that is too old."""
    for tool in ("bash", "dirname", "cat", "tr"):
        (tmp_path / tool).symlink_to(subprocess.check_output(["which", tool], text=True).strip())
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = run_sh("predict", "a", "b", PATH=str(tmp_path), VERTSEG_VENV=str(tmp_path / "venv"))
    assert done.returncode == 1
    assert "no Python 3.11, 3.12 or 3.13 found" in done.stderr


def test_set_up_happens_once(tmp_path):
    """With the stamps in place nothing is installed and the program starts."""
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin/pip").write_text("#!/bin/sh\nexit 1\n")
    (venv / "bin/pip").chmod(0o755)
    log = tmp_path / "log"
    python = venv / "bin/python"
    python.write_text(f'#!/bin/sh\necho "$*" >>"{log}"\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    digest = hashlib.sha256((ROOT / "requirements.txt").read_bytes()).hexdigest()
    (venv / ".installed-requirements-txt").write_text(digest + "\n")
    done = run_sh("predict", "a", "b", "--help", VERTSEG_VENV=str(venv), VERTSEG_CUDA="0")
    assert done.returncode == 0, done.stderr
    assert "--input" in done.stdout
    assert "pip install" not in log.read_text()
