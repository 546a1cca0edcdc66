"""A drill as one self-contained HTML page, and the fragments of it that go into pytest-html's report.

No reference to anything outside the file: it opens offline, from an archive, in ten years. Its charts are drawn by
two scripts in the page, the only ones that its policy lets run; without them a picture stands in their place.
pytest-html 4.2 shows its summary prefix without JavaScript and its table rows only with it, so the verdict, the
objectives and the picture are in the prefix.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pytest_html import extras as html_extras

from drill.harness import made_by_another
from drill.verdict import Finding, Verdict
from drill.whole_file import replace_file
from reports import demand
from reports.bars import bar
from reports.calls import calls
from reports.details import MOST_ROWS, names_table, signals_table, stores_table
from reports.ink import OKABE_ITO, safe
from reports.look import CSS, PAGE_CSS, PLACE, html_table, policy, scripts
from reports.overridden import instead_of, overridden, overrides_of
from reports.picture import picture
from reports.residue import NAMES, parts
from reports.run import Run, load_run, lost_writes, where
from reports.split import split
from reports.stamp import stamp
from reports.summary import MISSING, columns
from reports.table import (
    banner,
    calibration,
    objective_rows,
    phase_rows,
    sentence,
    table,
    vantage_rows,
    writes_table,
)

REPORT_FILE = "report.html"
MOST_BESIDES = 3
LONGEST_BESIDES = 200
COLOURS = {Verdict.PASS: "green", Verdict.INCONCLUSIVE: "yellow", Verdict.INVALID: "grey"}
MARKS = {Verdict.PASS: "✓", Verdict.INCONCLUSIVE: "?", Verdict.INVALID: "∅", Verdict.FAIL: "✗", Verdict.DIRTY: "!"}
VANTAGES = ("vantage", "without service", "estimate", "looks served", "served from")
READING = (
    "Every instant is an interval, because a system is only seen when somebody looks. PASS only if the upper bound "
    "meets the limit, FAIL only if the lower bound misses it. Onset lies between the latest send among the good "
    "probes that completed before the first bad result, and that result; recovery between the last bad send and the "
    "first good result of a sustained recovery."
)


def render(folder: Path) -> Path:
    """Write report.html into a judged run folder; returns its path. ValueError when there is no verdict.json."""
    return replace_file(folder / REPORT_FILE, page(load_run(folder)))


def page(run: Run) -> str:
    """The whole page of one drill."""
    title = f"{run.judgement.verdict.value}: {run.title}"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy()}">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">{stamp()}'
        f"<title>{safe(title)}</title><style>html,body{{margin:0}}"
        f"@media (prefers-color-scheme:dark){{html{{background:#0d1117}}}}{CSS}{PAGE_CSS}</style></head>"
        f'<body><main class="drill">{_summary(run, "h1", 0, PLACE)}{_details(run, run.folder)}</main>{scripts(run)}'
        "</body></html>\n"
    )


def session_prefix(runs: Sequence[Run], words: Sequence[str] = ()) -> list[str]:
    """What pytest-html shows above its table: per drill the verdict, the bars, the table and the picture.

    words: what else there is to say, in sentences.
    """
    parts = [f"<style>{CSS}</style>"] if runs else []
    said = [f"<p><strong>{safe(sentence_)}</strong></p>" for sentence_ in words]
    return [*parts, *said] + [
        f'<section class="drill">{_summary(run, "h2", 100 * n)}</section>' for n, run in enumerate(runs, 1)
    ]


def extras(run: Run, beside: Path | None = None) -> list[dict[str, str | None]]:
    """What pytest-html shows under the drill's row: the details, the closing table, the way to the full report.

    beside: the folder of pytest-html's own file; the link is relative to it, so that both can be moved together.
    Without it there is no link.
    """
    shown = [
        html_extras.html(f'<style>{CSS}</style><div class="drill">{_details(run, beside)}</div>'),
        html_extras.text(table(run), "closing table"),
    ]
    return shown + ([] if beside is None else [html_extras.url(_link(run, REPORT_FILE, beside), "full report")])


def _link(run: Run, name: str, beside: Path) -> str:
    """The way from a page in the folder `beside` to a file of the run."""
    return quote(os.path.relpath(run.folder.resolve() / name, beside.resolve()))


def _summary(run: Run, heading: str, number: int, charts: str = "") -> str:
    verdict = run.judgement.verdict
    badge = _badge(verdict)
    told = (banner(run), overridden(overrides_of(run.history)), instead_of(run.history))
    lab = "".join(f'<p class="lab">{safe(words)}</p>' for words in told if words)
    accuracy = _paragraph(calibration(run))
    said = sentence(run.judgement).removeprefix(f"{verdict.value}: ")
    objectives = html_table(("objective", "limit", "measured", "verdict"), objective_rows(run))
    return (
        f"<{heading}>{badge} {safe(run.title)}</{heading}><p><strong>{safe(said[:1].upper() + said[1:])}</strong></p>"
        f"{_besides(run)}"
        f"{_lines(run)}{_paragraph(run.history.header.get('docstring'))}{_paragraph(_which(run))}{lab}{accuracy}"
        f'<div class="objectives">{objectives}{_bars(run, number)}</div>{_split(run)}'
        f'<h2>What happened</h2>{charts}<div class="scroll picture" tabindex="0">{picture(run)}</div>'
    )


def _besides(run: Run) -> str:
    """The bad findings that neither the sentence nor the table of objectives shows: what else to know before
    believing the figures (a machine that did not hold the lab's speed, say)."""
    bad = [f for f in run.judgement.findings if f.verdict is not Verdict.PASS]
    worst = next((f for f in bad if f.verdict is run.judgement.verdict), None)
    told = [f"{f.verdict.value}: {f.name}: {_first_line(f)}" for f in bad if f is not worst and f.limit_s is None]
    more = [f"and {len(told) - MOST_BESIDES} more below"] if len(told) > MOST_BESIDES else []
    return "".join(f"<p>{safe(words)}</p>" for words in (*told[:MOST_BESIDES], *more))


def _first_line(finding: Finding) -> str:
    line = finding.reason.partition("\n")[0]
    return line if len(line) <= LONGEST_BESIDES else f"{line[: LONGEST_BESIDES - 1]}…"


def _which(run: Run) -> str:
    """Which run this was: when it began, its id, the account, from where to where, and what was drilled."""
    header, target = run.history.header, _table(run.history.header.get("target"))
    regions = _table(target.get("regions"))
    ends = dict.fromkeys(str(regions[role]) for role in ("primary", "standby") if regions.get(role))
    began = str(header.get("created", ""))[:16].replace("T", " ")
    said = (
        f"{began} UTC" if began else "",
        f"run {header.get('run_id', '?')}",
        f"account {target['account']}" if target.get("account") else "",
        " to ".join(map(where, ends)),
        f"release {header.get('release') or 'not recorded'}",
    )
    return ", ".join(filter(None, said))


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _split(run: Run) -> str:
    found = split(run)
    return f'<h2>Where the time went</h2><div class="splits">{found}</div>' if found else ""


def _details(run: Run, beside: Path | None) -> str:
    header, writes = writes_table(run.judgement)
    sections = [
        ("What was judged", _findings(run)),
        ("Seen from", html_table(VANTAGES, vantage_rows(run))),
        ("Names", names_table(run)),
        ("The split of the recovery", html_table(("step", "from the onset", "source clock"), phase_rows(run))),
        ("Writes", html_table(header, writes)),
        ("Data stores", stores_table(run)),
        ("Lost writes", _lost(run, beside)),
        ("Load", _load(run)),
        ("Rows behind the findings", _details_of(run)),
        ("What was left behind", _residue(run)),
        ("What was called", calls(run)),
        ("The system's own timestamps", signals_table(run)),
        ("How to read this", f"<p>{READING}</p>"),
        ("The run", _facts(run)),
    ]
    return "".join(f"<h2>{title}</h2>{body}" for title, body in sections if body)


def _badge(verdict: Verdict) -> str:
    colour = OKABE_ITO[COLOURS.get(verdict, "vermillion")]
    return f'<span class="verdict" style="background:{colour}">{MARKS[verdict]} {verdict.value}</span>'


def _bars(run: Run, number: int) -> str:
    limited = [f for f in run.judgement.findings if f.limit_s is not None]
    bars = (f"<div>{safe(f.name)}<br>{bar(f, run.unit, number + n)}</div>" for n, f in enumerate(limited))
    return f'<div class="bars">{"".join(bars)}</div>'


def _findings(run: Run) -> str:
    rows = [[f.name, f.verdict.value, _why(f)] for f in run.judgement.findings]
    return html_table(("finding", "verdict", "why"), rows) + "".join(map(_paragraph, run.judgement.notes))


def _lines(run: Run) -> str:
    """What is to be typed so that the system is as before; first of all, for nothing else is as urgent."""
    return "".join(
        f'<p>{safe(f.name)}: to put it back, type:</p><pre tabindex="0">{safe(chr(10).join(map(str, lines)))}</pre>'
        for f in run.judgement.findings
        if (lines := f.data.get("lines"))
    )


def _why(finding: Finding) -> str:
    if finding.data.get("lines"):
        return finding.reason.partition("\n")[0]
    return f"{finding.reason}. {finding.advice}".strip() if finding.advice else finding.reason


def _details_of(run: Run) -> str:
    """Rows that findings carry beside the lost writes: accounts that do not add up, for example."""
    carried = [(f.name, list(f.data.get("rows", ()))) for f in run.judgement.findings if f.name not in NAMES]
    tables = (
        html_table(columns(r), [[row.get(n, "") for n in columns(r)] for row in r[:MOST_ROWS]]) for _, r in carried
    )
    return "".join(f"<p>{safe(name)}</p>{rows}" for (name, _), rows in zip(carried, tables, strict=True) if rows)


def _residue(run: Run) -> str:
    return "".join(
        f"<p>{safe(part.said)}</p>{html_table(part.header, part.rows[:MOST_ROWS])}" for part in parts(run.judgement)
    )


def _lost(run: Run, beside: Path | None) -> str:
    rows = lost_writes(run.judgement)
    names = columns(rows)
    table_ = html_table(names, [[row.get(name, "") for name in names] for row in rows[:MOST_ROWS]])
    more = f"<p>{len(rows) - MOST_ROWS} more in {MISSING}.csv.</p>" if len(rows) > MOST_ROWS else ""
    files = " and ".join(_named(run, f"{MISSING}.{kind}", beside) for kind in ("csv", "json"))
    return f"{table_}{more}<p>All of them, with their times and payload digests: {files}</p>" if rows else ""


def _named(run: Run, name: str, beside: Path | None) -> str:
    """A file of the run by its name; a way to it where it is known from where."""
    return safe(name) if beside is None else f'<a href="{safe(_link(run, name, beside))}">{safe(name)}</a>'


def _load(run: Run) -> str:
    return _paragraph(demand.said(run)) + html_table(demand.HEADER, demand.rows(run))


def _facts(run: Run) -> str:
    header = run.history.header
    keys = ("run_id", "scenario", "target_name", "target_kind", "target_digest", "release", "created", "speed")
    more = ("gate_eligible", "objectives", "timings", "overrides", "versions")
    rows = [[key.replace("_", " "), _worded(header[key])] for key in keys + more if header.get(key) not in (None, [])]
    rows.append(["command line", _typed(header.get("command_line"))])
    rows += [["made by", f"the run was {other}"]] if (other := made_by_another(header)) else []
    held = f"{run.looks} observations, {len(run.requests)} requests, {len(run.history.writes)} writes"
    return html_table(("what", "value"), [*rows, ["evidence", held]])


def _typed(command: Any) -> str:
    return shlex.join(map(str, command)) if isinstance(command, list) else str(command or "")


def _worded(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_worded(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return " ".join(str(item) for item in value)
    return value if isinstance(value, str) else json.dumps(value)


def _paragraph(words: object) -> str:
    return f'<p class="muted">{safe(words)}</p>' if words else ""
