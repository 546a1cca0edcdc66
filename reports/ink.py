"""Colours, patterns and SVG pieces that the pictures share.

The palette is Okabe and Ito's, told apart with every common colour blindness ("Color Universal Design", 2008).
Colour never stands alone: failures are cross-hatched, the standby Region is striped, and bands carry their names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape as _escape

OKABE_ITO = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "vermillion": "#D55E00",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "yellow": "#F0E442",
    "grey": "#9A9A9A",
}
COLOURS = {
    "good": "green",
    "bad": "vermillion",
    "warn": "yellow",
    "active": "sky",
    "off": "grey",
    "unknown": "grey",
    "primary": "blue",
    "standby": "orange",
    "observer": "purple",
    "elsewhere": "grey",
    "mixed": "yellow",
}
"""What a band means -> its colour."""
FAINT = {"good": ";fill-opacity:.72", "off": ";fill-opacity:.4", "active": ";fill-opacity:.8"}
"""What is as it should be steps back, so that what is not stands out."""
HATCHES = {"bad": "cross", "standby": "stripe", "unknown": "dots", "elsewhere": "dots", "mixed": "stripe"}
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def safe(text: object) -> str:
    """Any text as XML and HTML content or attribute: escaped, without characters that XML forbids."""
    return _escape(CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(text)), quote=True)


def style(scope: str) -> str:
    """The style sheet of one picture, light and dark; `scope` is the class on its root."""
    colours = "".join(
        f".{scope} .k-{kind}{{fill:{OKABE_ITO[c]}{FAINT.get(kind, '')}}}" for kind, c in COLOURS.items()
    )
    light = "--fg:#1b1f24;--muted:#57606a;--bg:#ffffff;--line:#d0d7de;--lane:#f3f5f7;--on:#000;--halo:#fff"
    dark = "--fg:#e6edf3;--muted:#9ea7b3;--bg:#0d1117;--line:#30363d;--lane:#161b22;--on:#fff;--halo:#000"
    return (
        f"<style>.{scope}{{{light};color:var(--fg);background:var(--bg);font:11px system-ui,sans-serif}}"
        f"@media (prefers-color-scheme:dark){{.{scope}{{{dark}}}}}"
        f"@media print{{.{scope}{{{light};print-color-adjust:exact;-webkit-print-color-adjust:exact}}}}"
        f".{scope} text{{fill:currentColor}}.{scope} .muted{{fill:var(--muted)}}.{scope} .paper{{fill:var(--bg)}}"
        f".{scope} .lane{{fill:var(--lane)}}.{scope} .grid{{stroke:var(--line);fill:none;opacity:.55}}"
        f".{scope} .box{{fill:var(--bg);stroke:var(--muted);stroke-width:.6}}"
        f".{scope} .edge{{stroke:currentColor;fill:none}}.{scope} .shade{{fill:currentColor;opacity:.09}}"
        f".{scope} text.on{{fill:var(--on);paint-order:stroke;stroke:var(--halo);"
        "stroke-width:2.5px;stroke-opacity:.6}"
        f"{colours}</style>"
    )


def patterns(scope: str) -> str:
    """The hatches that lie over colours; their ids begin with `scope`, so that pictures can share a page."""
    attributes = 'patternUnits="userSpaceOnUse" width="8" height="8"'
    stroke = 'stroke="#000" stroke-opacity=".28" stroke-width="1"'
    return (
        f'<defs><pattern id="{scope}-stripe" {attributes}><path d="M-1 9L9 -1" {stroke}/></pattern>'
        f'<pattern id="{scope}-cross" {attributes}><path d="M0 0L8 8M0 8L8 0" {stroke}/></pattern>'
        f'<pattern id="{scope}-dots" {attributes}><circle cx="2" cy="2" r="1" fill="#000" fill-opacity=".4"/>'
        "</pattern></defs>"
    )


def rectangles(scope: str, kind: str, boxes: Iterable[tuple[float, float, float, float]], title: str = "") -> str:
    """Any number of boxes (x, y, width, height) of one kind as a single path, with the kind's hatch over it."""
    d = "".join(f"M{_n(x)} {_n(y)}h{_n(w)}v{_n(h)}h-{_n(w)}z" for x, y, w, h in boxes)
    if not d:
        return ""
    tip = f"<title>{safe(title)}</title>" if title else ""
    if kind not in HATCHES:
        return f'<path class="k-{kind}" d="{d}">{tip}</path>'
    return f'<g>{tip}<path class="k-{kind}" d="{d}"/><path fill="url(#{scope}-{HATCHES[kind]})" d="{d}"/></g>'


def text(x: float, y: float, content: object, css: str = "", anchor: str = "start", size: float = 11) -> str:
    """A line of text with its baseline at y."""
    style_ = f' class="{css}"' if css else ""
    return f'<text x="{_n(x)}" y="{_n(y)}" font-size="{size:g}" text-anchor="{anchor}"{style_}>{safe(content)}</text>'


def line(x0: float, y0: float, x1: float, y1: float, css: str = "edge", dash: str = "", width: float = 1) -> str:
    """A straight line."""
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<path class="{css}" stroke-width="{width:g}"{dashes} d="M{_n(x0)} {_n(y0)}L{_n(x1)} {_n(y1)}"/>'


def fits(content: str, width: float, size: float = 10) -> bool:
    """Whether a text of that size fits into `width` pixels (about 0.6 em a character)."""
    return len(content) * size * 0.6 + 4 <= width


def scope_of(name: str) -> str:
    """A CSS class and id prefix from any text."""
    return "fd-" + (re.sub(r"[^a-zA-Z0-9]+", "-", name).strip("-").lower() or "run")


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
