"""The page as a whole: one file, which loads nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

from simclr_tf.report.markup import Section, embedded_json
from simclr_tf.report.sheets import Sheet

# Nothing is fetched, whatever a name in it says.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


@dataclasses.dataclass(frozen=True)
class Badge:
    """A word on the run, and what it is told by.

    Attributes:
      kind: `good`, `warn` or "".
      word: in bold.
      text: behind it.
      figures: that it is told by, smaller.
    """

    kind: str
    word: str
    text: str
    figures: str = ""


@dataclasses.dataclass(frozen=True)
class Opening:
    """What stands first.

    Attributes:
      title: of the page.
      kicker: above the title.
      lead: what was trained on what, a sentence or two.
      badges: is it learning?
      figures: what it measures, the figure, and with which settings.
      facts: a name and what it is.
    """

    title: str
    kicker: str
    lead: str
    badges: Sequence[Badge]
    figures: Sequence[tuple[str, str, str]]
    facts: Sequence[tuple[str, str]]

    def html(self) -> str:
        """Returns the header."""
        badges = "".join(
            f'<li class="{badge.kind}"><b>{escape(badge.word)}</b>: {escape(badge.text)}'
            f"<small>{escape(badge.figures)}</small></li>"
            for badge in self.badges
        )
        figures = "".join(
            f"<div><dt>{escape(what)}</dt><dd>{escape(figure)}</dd><dd>{escape(how)}</dd></div>"
            for what, figure, how in self.figures
        )
        facts = " · ".join(
            f'<span>{escape(name)} <span class="mono">{escape(text)}</span></span>'
            for name, text in self.facts
        )
        return (
            f'<header class="top"><p class="kicker">{escape(self.kicker)}</p>'
            f"<h1>{escape(self.title)}</h1>"
            f'<p class="lead">{escape(self.lead)}</p><ul class="badges">{badges}</ul>'
            f'<dl class="figures">{figures}</dl><p class="note">{facts}</p></header>'
        )


def assemble(
    opening: Opening,
    sections: Sequence[Section],
    sheets: Sequence[Sheet],
    data: Mapping[str, Any],
    footer: str,
) -> str:
    """Returns the page.

    Args:
      opening: what stands first.
      sections: in their order.
      sheets: pictures that sections show.
      data: JSON for the script: `charts` and `map`.
      footer: the last line, plain text.
    """
    assets = resources.files(__package__)
    style = assets.joinpath("report.css").read_text(encoding="utf-8")
    script = assets.joinpath("report.js").read_text(encoding="utf-8")
    links = "".join(f'<li><a href="#{s.anchor}">{s.anchor}</a></li>' for s in sections)
    body = "".join(
        f'<section id="{s.anchor}"><h2>{escape(s.title)}</h2>{s.body}</section>' for s in sections
    )
    return "\n".join(
        [
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(opening.title)}: SimCLR report</title>",
            f"<style>{style}{''.join(sheet.css() for sheet in sheets)}</style></head><body>",
            opening.html(),
            f'<nav aria-label="sections"><ul>{links}</ul></nav><main>',
            body,
            f"<footer>{escape(footer)}</footer></main>",
            f'<script type="application/json" id="data">{embedded_json(data)}</script>',
            f"<script>{script}</script></body></html>\n",
        ]
    )
