"""HTML by hand: whatever comes from a user is escaped here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, NamedTuple


class Section(NamedTuple):
    """A part of the page.

    Attributes:
      anchor: a word, by which it is linked to.
      title: of it, plain text.
      body: HTML.
    """

    anchor: str
    title: str
    body: str


def paragraph(text: str, kind: str = "") -> str:
    """Returns plain text as a paragraph."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def missing(text: str, command: str = "") -> str:
    """Returns a line that says why there is nothing, and the command that would change that."""
    code = f"<code>{escape(command)}</code>" if command else ""
    return f'<p class="missing">{escape(text)}{code}</p>'


def table(header: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """Returns a table of plain texts; the first cell of a row is its heading."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    lines = []
    for first, *others in rows:
        cells = "".join(
            f'<td data-name="{escape(name)}">{escape(text)}</td>'
            for name, text in zip(header[1:], others)
        )
        lines.append(f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>')
    return (
        f'<div class="scroll"><table class="{kind}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def definitions(rows: Iterable[tuple[str, str]], kind: str = "") -> str:
    """Returns a list of names and what they are, plain texts."""
    pairs = (f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in rows)
    return f'<dl class="{kind}">{"".join(pairs)}</dl>'


def details(summary: str, body: str) -> str:
    """Returns HTML that opens where its summary, plain text, is clicked."""
    return f"<details><summary>{escape(summary)}</summary>{body}</details>"


def embedded_json(value: Any) -> str:
    """Returns JSON that may stand in a script element: nothing in it ends the element."""
    text = json.dumps(value, separators=(",", ":"), sort_keys=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
