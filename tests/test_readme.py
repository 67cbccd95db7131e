"""The commands and options that the README tells of exist."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.support.paths import ROOT
from vertseg.cli.parser import build_parser

README, TRAINING = (
    (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "vertseg/TRAINING.md")
)
COMMAND = r"python -m (vertseg\S*|tests\.bench)(?: ([a-z]+))?( [^\n`#]*)?"


def commands() -> dict[tuple[str, ...], set[str]]:
    """Module and sub-command -> options that the README gives it."""
    found: dict[tuple[str, ...], set[str]] = {}
    for module, name, rest in re.findall(COMMAND, f"{README}\n{TRAINING}"):
        given = re.findall(r"--[a-z][a-z-]*", rest)
        found.setdefault((module, name) if name else (module,), set()).update(given)
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_commands_have_their_options(command: tuple[str, ...]) -> None:
    asked = [sys.executable, "-m", *command, "--help"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert commands()[command] <= set(re.findall(r"--[a-z][a-z-]*", answer))


def test_options_of_the_program_exist() -> None:
    listed = set(re.findall(r"^\| `(--[a-z-]+)", README, re.MULTILINE))
    assert len(listed) > 8
    assert listed <= set(re.findall(r"--[a-z][a-z-]*", build_parser().format_help()))


def test_files_that_are_named_exist() -> None:
    linked = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    named = re.findall(r"`((?:vertseg|weights|models|tests)/[\w./-]*)`", README)
    assert linked and named
    for name in (*linked, *named):
        assert (ROOT / name).exists(), name
