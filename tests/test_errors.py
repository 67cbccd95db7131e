"""Every remedy is a sentence: a user reads it after what went wrong, in the terminal."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import vertseg

ROOT = Path(vertseg.__file__).resolve().parent
FILES = sorted([*ROOT.rglob("*.py"), *(ROOT.parent / "models").rglob("*.py")])


def remedies(tree: ast.AST) -> Iterator[ast.expr]:
    """What is given as a remedy by name, and what is bound to such a name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "remedy":
            yield node.value
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                yield from bound(target, node.value)


def bound(target: ast.expr, value: ast.expr) -> Iterator[ast.expr]:
    if isinstance(target, ast.Tuple):
        parts = value.elts if isinstance(value, ast.Tuple) else []
        if len(parts) == len(target.elts):
            for name, part in zip(target.elts, parts, strict=True):
                yield from bound(name, part)
    elif isinstance(target, ast.Name) and target.id.lower().endswith("remedy"):
        yield value


def texts(value: ast.expr) -> Iterator[tuple[str, str]]:
    """First and last part of a text, as far as they are written out."""
    if isinstance(value, ast.IfExp):
        yield from texts(value.body)
        yield from texts(value.orelse)
    elif isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value:
        yield value.value, value.value
    elif isinstance(value, ast.JoinedStr):
        ends = (value.values[0], value.values[-1])
        yield tuple(str(p.value) if isinstance(p, ast.Constant) else "X." for p in ends)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT.parent)))
def test_remedies_are_sentences(path: Path) -> None:
    for value in remedies(ast.parse(path.read_text())):
        for first, last in texts(value):
            assert first[0].isupper() and last.endswith("."), f"line {value.lineno}: {first!r}"


def test_the_check_finds_what_is_no_sentence() -> None:
    code = 'remedy = "do it"\nraise E(remedy="Do it")\nwhat, remedy = "x", f"Do {it}, please"'
    found = [text for value in remedies(ast.parse(code)) for text in texts(value)]
    assert [first for first, _ in found if first[0].islower()] == ["do it"]
    assert not any(last.endswith(".") for _, last in found)
