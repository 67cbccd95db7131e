"""The page that explains the structure is true."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

from tests.support.paths import ROOT

PACKAGE = ROOT / "vertseg"
PAGE = (PACKAGE / "ARCHITECTURE.md").read_text(encoding="utf-8")
TOP_MODULES = {"__init__", "commands", "errors", "labels", "version"}


def test_the_page_lists_every_room() -> None:
    table = PAGE.partition("## The rooms")[2].partition("## Words")[0]
    listed = {
        n for line in re.findall(r"^\| (`.*?) \|", table, re.M) for n in line.split("`")[1::2]
    }
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert listed == folders | TOP_MODULES - {"__init__"}


def test_no_other_module_stands_in_the_top_folder() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} == TOP_MODULES


def test_every_place_that_the_page_names_exists() -> None:
    for name in re.findall(r"^    ([a-z_]+(?:\.[a-z_]+)*)  ", PAGE, re.M):
        parts = name.split(".")
        module = PACKAGE.joinpath(*parts)
        assert module.is_dir() or module.with_suffix(".py").is_file(), name


def test_every_room_says_what_it_is_for() -> None:
    for face in PACKAGE.rglob("__init__.py"):
        assert face.read_text(encoding="utf-8").startswith('"""'), face


def test_tests_mirror_the_rooms() -> None:
    rooms = {path.parent.relative_to(PACKAGE) for path in PACKAGE.rglob("__init__.py")}
    for path in (ROOT / "tests").rglob("test_*.py"):
        room = path.parent.relative_to(ROOT / "tests")
        assert room in rooms or room.name in ("bench", "models"), path


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {
    name_of(path): ast.parse(path.read_text(encoding="utf-8"))
    for room in ("vertseg", "models", "tests")
    for path in (ROOT / room).rglob("*.py")
}


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that are there for types alone."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield node
            yield from nodes(node)


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Name and module of each import, those within functions as well."""
    for node in nodes(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield alias.asname or alias.name, whole if whole in MODULES else node.module
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or alias.name, alias.name


def test_no_import_leads_back() -> None:
    """Imports within functions included; sorting raises CycleError where one does."""
    graph = {
        name: {module for _, module in imported(tree) if module in MODULES} - {name}
        for name, tree in MODULES.items()
    }
    assert set(TopologicalSorter(graph).static_order()) >= set(MODULES)


def private_uses(tree: ast.AST) -> Iterator[str]:
    """Names with an underscore that are taken from another module of this repository."""
    ours = {name for name, module in imported(tree) if module in MODULES}
    yield from (name for name in ours if re.match("_[a-zA-Z]", name))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id in ours and re.match("_[a-zA-Z]", node.attr):
                yield node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("setattr"):
            texts = (a.value for a in node.args if isinstance(a, ast.Constant))
            yield from (str(text) for text in texts if re.search(r"(^|\.)_[a-zA-Z]", str(text)))


def test_private_names_stay_in_their_module() -> None:
    uses = {name: sorted(private_uses(tree)) for name, tree in MODULES.items()}
    assert {name: found for name, found in uses.items() if found} == {}
