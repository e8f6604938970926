"""What ruff does not check: sections of docstrings hang by two spaces."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [*(ROOT / "simclr_tf").rglob("*.py"), *(ROOT / "benchmarks").glob("*.py")]
SECTION = re.compile(r"( *)(Args|Attributes|Raises|Returns|Yields):")


def hanging(docstring: str) -> Iterator[int]:
    """Yields by how much what follows the head of a section is indented."""
    lines = docstring.splitlines()
    for head, below in zip(lines, lines[1:]):
        if match := SECTION.fullmatch(head):
            yield len(below) - len(below.lstrip()) - len(match[1])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_sections_of_docstrings_hang_by_two(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            docstring = ast.get_docstring(node, clean=False) or ""
            assert set(hanging(docstring)) <= {2}, getattr(node, "name", path)
