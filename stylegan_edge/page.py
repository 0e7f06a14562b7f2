"""Parts of an HTML page that needs nothing else: no network, no fonts, no files beside it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Sequence
from html import escape

STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --soft: #555; --page: #fff; --card: #f5f5f5; --line: #d5d5d5;
  --strong: #888; --good: #0a6b2d; --good-page: #e3f5e8; --bad: #b00020; --bad-page: #fdeaec }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --soft: #aaa; --page: #15181c; --card: #1f242a;
  --line: #353b43; --strong: #6b737d; --good: #7ddc98; --good-page: #12301c; --bad: #ff8a95; --bad-page: #3a151a } }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: var(--ink);
  background: var(--page); overflow-wrap: anywhere }
h1 { font-size: 1.6rem; line-height: 1.25 } h2 { font-size: 1.25rem; margin-top: 2.5rem } h3 { font-size: 1.05rem }
.wide { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem }
th, td { padding: .3rem .55rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap }
th:first-child, td:first-child, tbody th { text-align: left } tbody th { font-weight: normal }
thead th { border-bottom: 2px solid var(--strong) } caption { text-align: left; color: var(--soft); padding: .3rem 0 }
img { max-width: 100%; height: auto; display: block }
img.plot { background: #fff; border-radius: 4px; min-width: 40rem; width: 100% } picture img.plot { background: none }
 ul { padding-left: 1.2rem }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 4px; padding: .6rem .8rem; margin: .5rem 0;
  white-space: pre-wrap; user-select: all } pre span { display: inline-block; max-width: 100% }
.soft { color: var(--soft) }
.failed, .failed th, .failed td { color: var(--bad) } tr.failed { background: var(--bad-page) }
input { accent-color: #0072b2 }
"""
"""Readable in light and dark, and on a phone: what is wider than the page scrolls by itself."""


def page(title: str, parts: Sequence[str], style: str = "", script: str = "") -> str:
    """The whole page. A browser is told to load nothing and to run this script alone, whatever the parts hold."""
    policy = f"default-src 'none'; img-src data:; style-src {_digest(STYLE + style)}"
    policy += f"; script-src {_digest(script)}" if script else ""
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
        f"<style>{STYLE + style}</style>"
    )
    body = "\n".join([*parts, f"<script>{script}</script>"] if script else parts)
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>\n{body}\n</body></html>\n'


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def data_uri(kind: str, content: bytes) -> str:
    """A file inside the page."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def heading(text: str, level: int = 2) -> str:
    """A heading."""
    return f"<h{level}>{escape(text)}</h{level}>"


def paragraph(text: str, kind: str = "") -> str:
    """Text; `kind` is a class of the style."""
    return f"<p{_class(kind)}>{escape(text)}</p>"


def bullets(lines: Sequence[str], kind: str = "") -> str:
    """A list; nothing where there are no lines."""
    return f"<ul{_class(kind)}>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>" if lines else ""


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], failed: Collection[int] = (), caption: str = ""
) -> str:
    """A table whose first column names its rows; the numbers of rows in `failed` stand out."""
    told = f"<caption>{escape(caption)}</caption>" if caption else ""
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "\n".join(
        f"<tr{_class('failed' if index in failed else '')}>"
        f'<th scope="row">{escape(row[0])}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:]) + "</tr>"
        for index, row in enumerate(rows)
    )
    return (
        f'<div class="wide" tabindex="0"><table>{told}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def plot(alt: str, light: bytes, dark: bytes | None = None) -> str:
    """An SVG; without one for dark pages it keeps its white ground there."""
    image = f'<img class="plot" alt="{escape(alt)}" src="{data_uri("image/svg+xml", light)}">'
    if dark is None:
        return f'<div class="wide" tabindex="0">{image}</div>'
    source = f'<source media="(prefers-color-scheme: dark)" srcset="{data_uri("image/svg+xml", dark)}">'
    return f'<div class="wide" tabindex="0"><picture>{source}{image}</picture></div>'


def command(text: str) -> str:
    """A command to be copied; its lines are broken between words alone."""
    words = " ".join(f"<span>{escape(word)}</span>" for word in text.split(" "))
    return f"<pre><code>{words}</code></pre>"


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
