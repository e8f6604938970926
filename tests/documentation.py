"""Reads the documentation: its blocks of code, and the marks that say who runs them.

A mark is an HTML comment right before a block, which no reader of the page sees:

    <!-- test: tests/test_x.py::test_y -->  this test runs it, or something smaller of its kind
    <!-- needs: Docker -->                  what it takes to run it, which the tests do not have

A block may have several.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tpu/**/*.md")],
)
_MARK = re.compile(r"<!-- (test|needs): (.+) -->")


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
      page: its path in the repository.
      line: of the opening fence.
      language: what stands behind the fence.
      text: what stands between the fences.
      tests: that run it.
      needs: what it takes to run it.
    """

    page: str
    line: int
    language: str
    text: str
    tests: tuple[str, ...]
    needs: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def name_of(page: Path) -> str:
    """Returns a page's path in the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> Iterator[Block]:
    """Yields the blocks of a page in order."""
    lines = page.read_text(encoding="utf-8").splitlines()
    marks: list[tuple[str, str]] = []
    number = 0
    while number < len(lines):
        line = lines[number]
        mark = _MARK.fullmatch(line.strip())
        if mark:
            marks.append((mark[1], mark[2]))
        elif line.startswith("```"):
            end = lines.index("```", number + 1)
            tests, needs = (
                tuple(value for kind, value in marks if kind == wanted)
                for wanted in ("test", "needs")
            )
            text = "\n".join(lines[number + 1 : end]) + "\n"
            yield Block(name_of(page), number + 1, line[3:].strip(), text, tests, needs)
            number = end
            marks = []
        elif line.strip():
            marks = []
        number += 1


def prose(page: Path) -> str:
    """Returns a page without its blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)


def code_run_by(test: str) -> str:
    """Returns the text of the one block that says `<!-- test: TEST -->`."""
    (block,) = (block for page in PAGES for block in blocks(page) if test in block.tests)
    return block.text


def logical_lines(text: str) -> list[str]:
    """Joins the lines of a shell script that end in a backslash or a pipe."""
    return re.sub(r"(\\|(?<=\|))\n\s*", " ", text).splitlines()
