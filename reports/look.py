"""How the page looks and what may run in it: its style sheet, its two scripts, and the policy that names them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from reports.charts import island
from reports.ink import safe
from reports.run import Run

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("uplot/uPlot.iife.min.js", "report.js")
SHEET = "uplot/uPlot.min.css"
CSS = """
.drill{--fg:#1b1f24;--muted:#57606a;--bg:#ffffff;--line:#d0d7de;--lane:#f3f5f7;color-scheme:light dark;
 color:var(--fg);background:var(--bg);font:15px/1.45 system-ui,sans-serif;padding:12px 16px;max-width:1200px;
 margin:0 auto;box-sizing:border-box}
@media (prefers-color-scheme:dark){.drill{--fg:#e6edf3;--muted:#9ea7b3;--bg:#0d1117;--line:#30363d;--lane:#161b22}}
.drill h1,.drill h2,.drill h3,.drill p{color:var(--fg)}
.drill h1{font-size:22px;line-height:1.25;margin:0 0 4px;overflow-wrap:anywhere}
.drill h2{font-size:16px;margin:26px 0 6px}.drill h3{font-size:14px;margin:10px 0 2px}
.drill p{margin:6px 0;max-width:80ch;overflow-wrap:anywhere}.drill .muted{color:var(--muted)}
.drill .lab{border:2px dashed #E69F00;padding:8px 12px;max-width:none}
.drill .verdict{display:inline-block;font-weight:700;padding:1px 10px;border-radius:4px;color:#000;white-space:nowrap}
.drill .scroll{overflow-x:auto;max-width:100%}.drill .scroll>svg{display:block;min-width:760px;max-width:1180px;
 width:100%;height:auto}
.drill .objectives>*{min-width:0}
@media (min-width:1000px){.drill .objectives{display:grid;grid-template-columns:auto minmax(0,1fr);gap:0 32px}}
.drill .bars{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,300px),1fr));gap:0 20px;
 font-size:13px}
.drill .bars svg{width:100%;height:auto;max-width:400px;display:block}
.drill table{border-collapse:collapse;font-size:14px}.drill th{text-align:left;color:var(--muted);font-weight:600}
.drill td,.drill th{padding:4px 14px 4px 0;border-bottom:1px solid var(--line);vertical-align:top}
.drill td{color:var(--fg)}.drill td:last-child{overflow-wrap:anywhere}
.drill .objectives td:last-child{overflow-wrap:normal}
.drill code,.drill pre{font:13px/1.4 ui-monospace,monospace;overflow-wrap:anywhere}
.drill .tight td:not(:last-child){white-space:nowrap}.drill .tight td:last-child{min-width:280px}
.drill summary{cursor:pointer;padding:4px 0;color:var(--fg)}
.drill pre{white-space:pre-wrap;background:var(--lane);padding:8px;margin:6px 0}
.drill .splits{display:flex;flex-wrap:wrap;gap:4px 32px}.drill .split{flex:1 1 420px;min-width:0;max-width:580px}
.drill .split table{width:100%}.drill .split td:first-child{width:32%}
.drill .split td:nth-child(2){white-space:nowrap}
.drill .split p.muted{font-size:12px}
.drill .track>div{position:relative;height:12px;background:var(--lane);margin:4px 0 1px}
.drill .track span{font-size:12px;color:var(--muted)}
.drill .track i{position:absolute;top:0;bottom:0;min-width:2px}.drill .track .sure{background:#0072B2}
.drill .track .loose{background:repeating-linear-gradient(135deg,#0072B2 0 2px,#56B4E9 2px 5px)}
.drill .track .limit{top:-3px;bottom:-3px;width:2px;min-width:0;background:var(--fg)}
@media (max-width:480px){.drill{padding:8px 10px}.drill td,.drill th{padding-right:8px}
 .drill .split td:nth-child(2){white-space:normal}}
@media print{.drill{--fg:#000;--muted:#444;--bg:#fff;--line:#bbb;--lane:#f3f5f7;padding:0;font-size:11px}
 .drill *{print-color-adjust:exact;-webkit-print-color-adjust:exact}.drill .scroll{overflow:visible}
 .drill .scroll>svg{min-width:0}.drill h2,.drill h3{break-after:avoid}.drill tr,.drill svg{break-inside:avoid}
 .drill details::details-content{display:block;content-visibility:visible}
 .drill table{font-size:11px}.drill td,.drill th{padding-right:8px}.drill .tight td:last-child{min-width:0}
 .drill .stamps td:not(:first-child):not(:last-child){white-space:normal;overflow-wrap:anywhere;min-width:8em}}
"""
"""Of the page and of its parts in pytest-html's report."""
PAGE_CSS = """
.drill .interactive{display:none}
@media screen{.drill.scripted .interactive{display:block}.drill.scripted .picture{display:none}}
.drill .bar-of-tools{position:sticky;top:0;background:var(--bg);padding:6px 0;z-index:200;display:flex;flex-wrap:wrap;
 gap:4px 14px;align-items:baseline;border-bottom:1px solid var(--line)}
.drill #now{margin:0;font-size:13px;color:var(--muted)}.drill #signs{font-size:13px;max-width:none}
.drill button{font:13px system-ui,sans-serif;color:var(--fg);background:var(--lane);border:1px solid var(--muted);
 border-radius:4px;padding:3px 9px;margin:2px 4px 2px 0;min-height:28px;cursor:pointer}
.drill button:focus-visible,.drill #charts:focus-visible,.drill .scroll:focus-visible,.drill a:focus-visible{
 outline:3px solid #0072B2;outline-offset:2px}
@media (prefers-color-scheme:dark){.drill button:focus-visible,.drill #charts:focus-visible,
 .drill .scroll:focus-visible,.drill a:focus-visible{outline-color:#56B4E9}.drill a{color:#79c0ff}
 .drill .u-select{background:rgba(255,255,255,.14)}.drill .u-hz .u-cursor-x{border-color:#b8c4cc}}
.drill figure{margin:12px 0 0}.drill figcaption{font-weight:600;font-size:14px}
.drill figcaption span{font-weight:400;color:var(--muted);font-size:12px}
.drill .u-legend{text-align:left;margin:0;font-size:12px}
.drill .u-legend tr:first-child .u-marker{display:none}
.drill .u-legend th,.drill .u-legend td{border:0;padding:1px 2px;color:var(--fg);font-weight:400}
.drill .u-legend th{pointer-events:none}.drill .u-legend td{min-width:3.4em;
 font-variant-numeric:tabular-nums}.drill .u-inline tr{margin-right:10px}
.drill #readout{columns:2 360px;font-size:12px;padding:0;margin:6px 0;list-style:none;min-height:3em}
.drill #readout li{break-inside:avoid;overflow-wrap:anywhere}
"""
PLACE = """
<div class="interactive"><div class="bar-of-tools"><div id="zoom" role="toolbar" aria-label="Zoom"></div>
<p id="now" aria-live="polite">Drag over a chart to zoom; keys: + - 0 and the arrows.</p></div>
<p class="muted" id="signs">Shaded: a fault was in force, or an action under way. Between two dashed lines: the
bounds of an onset or a recovery. A gap: nobody looked. A dot: a request failed.</p>
<div id="charts" tabindex="0" role="group" aria-label="Charts on one time axis. Arrow keys move the cursor, plus and
 minus zoom, zero shows the whole run, page up and down move along."></div><ul id="readout"></ul></div>
"""
"""Where the scripts draw; not shown until they have."""


@cache
def asset(name: str) -> str:
    """The text of a file in reports/assets."""
    return (ASSETS / name).read_text(encoding="utf-8")


@cache
def policy() -> str:
    """The page's Content-Security-Policy: nothing is loaded from anywhere, and only its own two scripts run."""
    hashes = " ".join(f"'sha256-{_digest(asset(name))}'" for name in SCRIPTS)
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src {hashes}; base-uri 'none'; form-action 'none'"


def scripts(run: Run) -> str:
    """The data island and the scripts, for the end of the page."""
    data = f'<script type="application/json" id="run-data">{island(run)}</script>'
    return f"<style>{asset(SHEET)}</style>{data}" + "".join(f"<script>{asset(name)}</script>" for name in SCRIPTS)


def html_table(header: Sequence[str], rows: Iterable[Sequence[object]], kind: str = "") -> str:
    """A table that scrolls by itself, by keyboard too; "" without rows. kind: a class of it."""
    body = "".join(f"<tr>{''.join(f'<td>{_cell(cell)}</td>' for cell in row)}</tr>" for row in rows)
    if not body:
        return ""
    head = "".join(f'<th scope="col">{safe(name)}</th>' for name in header)
    shown = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll {kind}" tabindex="0">{shown}</div>'


def _cell(cell: object) -> str:
    return safe(cell).replace("\n", "<br>")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
