"""Modules are imported where the system lacks what only Unix has."""

from __future__ import annotations

import subprocess
import sys

from tests.support.paths import ROOT

SCRIPT = """
import subprocess, multiprocessing, tempfile, asyncio  # of the standard library, as they are here
import sys
sys.modules["fcntl"] = sys.modules["resource"] = None
import importlib, pkgutil
import vertseg
rooms = ("geometry", "system", "io", "measure", "report", "batch", "evaluate", "phantom", "cli")
for room in rooms:
    package = importlib.import_module(f"vertseg.{room}")
    for module in pkgutil.iter_modules(package.__path__):
        if module.name != "__main__":
            importlib.import_module(f"vertseg.{room}.{module.name}")
import vertseg.commands
"""


def test_no_module_needs_unix_to_be_imported() -> None:
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    )
    assert run.returncode == 0, run.stderr[-2000:]
