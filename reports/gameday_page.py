"""The report of a game day, as one self-contained HTML page and as Markdown. Every string in it is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from drill.whole_file import replace_file
from reports import gameday_day as rows
from reports.gameday_day import Day
from reports.ink import OKABE_ITO, safe
from reports.look import CSS, html_table
from reports.markdown import SIGNS, escaped
from reports.markdown import table as markdown_table
from reports.page import REPORT_FILE

MARKDOWN_FILE = "report.md"
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
COLOURS = {"PASS": "green", "INCONCLUSIVE": "yellow", "INVALID": "grey", "REFUSED": "grey", "USAGE": "grey"}


def write_pages(folder: Path, day: Day) -> Path:
    """Write report.html and report.md, each whole or not at all; returns the page. OSError passes."""
    replace_file(folder / MARKDOWN_FILE, day_markdown(day))
    return replace_file(folder / REPORT_FILE, day_page(day))


def day_page(day: Day) -> str:
    """The whole page."""
    sections = [
        ("Drills", html_table(rows.DRILLS, rows.drill_rows(day))),
        ("Objectives against what was measured", html_table(rows.MEASURED, rows.measured_rows(day))),
        ("Deviations from the plan", _list(day.departures) or "<p>none</p>"),
        ("Holds", html_table(rows.HOLDS, rows.hold_rows(day))),
        ("Observations", html_table(rows.OBSERVATIONS, rows.observation_rows(day)) or "<p>none were recorded</p>"),
        ("Roles", html_table(("role", "people"), rows.role_rows(day)) or "<p>MISSING: the plan names no roles</p>"),
        ("Reports of the drills", _links(day)),
        ("In time", html_table(rows.COURSE, rows.course_rows(day))),
    ]
    body = "".join(f"<h2>{title}</h2>{shown}" for title, shown in sections if shown)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{safe(f'{day.verdict}: {day.title}')}</title><style>html,body{{margin:0}}"
        f"@media (prefers-color-scheme:dark){{html{{background:#0d1117}}}}{CSS}</style></head>"
        f'<body><main class="drill">{_head(day)}{body}</main></body></html>\n'
    )


def day_markdown(day: Day) -> str:
    """For a job summary, a ticket, or a plain reader."""
    deviations = "\n".join(f"- {escaped(d)}" for d in day.departures) or "none"
    observed = markdown_table(rows.OBSERVATIONS, rows.observation_rows(day)) or "none were recorded"
    roles = markdown_table(("role", "people"), rows.role_rows(day)) or "MISSING: the plan names no roles"
    # The path of a link is ours; its words may not be.
    links = "\n".join(f"- [{escaped(words)}]({quote(path)})" for words, path in rows.links(day))
    sections = [
        ("Drills", markdown_table(rows.DRILLS, rows.drill_rows(day))),
        ("Objectives against what was measured", markdown_table(rows.MEASURED, rows.measured_rows(day))),
        ("Deviations from the plan", deviations),
        ("Holds", markdown_table(rows.HOLDS, rows.hold_rows(day))),
        ("Observations", observed),
        ("Roles", roles),
        ("Reports of the drills", links),
    ]
    head = [
        f"# {SIGNS.get(day.verdict, '⛔')} {escaped(f'{day.verdict}: {day.title}')}",
        f"**{escaped(day.sentence)}**",
        escaped(rows.LAB) if day.lab else "",
        *map(escaped, day.overrides),
        escaped(day.state.plan.summary),
        escaped(_when(day)),
    ]
    parts = [*head, *(f"## {title}\n\n{shown}" for title, shown in sections if shown)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(day: Day) -> str:
    colour = OKABE_ITO[COLOURS.get(day.verdict, "vermillion")]
    badge = f'<span class="verdict" style="background:{colour}">{safe(day.verdict)}</span>'
    lab = "".join(f'<p class="lab">{safe(words)}</p>' for words in (*([rows.LAB] if day.lab else []), *day.overrides))
    summary = f"<p>{safe(day.state.plan.summary)}</p>" if day.state.plan.summary else ""
    said = f"<h1>{badge} {safe(day.title)}</h1><p><strong>{safe(day.sentence)}</strong></p>"
    return f'{said}{lab}{summary}<p class="muted">{safe(_when(day))}</p>'


def _when(day: Day) -> str:
    began = day.state.began
    stop = "" if began is None else f"; hard stop {rows.date(day.state.plan.hard_stop.instant(began))}"
    until = rows.date(day.ended) if day.state.closed else f"not ended; last known {rows.date(day.ended)}"
    return f"From {rows.date(began)} to {until}: {day.total}{stop}. Exit code {day.exit_code}. Times are UTC."


def _links(day: Day) -> str:
    found = [f'<li><a href="{safe(quote(path))}">{safe(words)}</a></li>' for words, path in rows.links(day)]
    return f"<ul>{''.join(found)}</ul>" if found else ""


def _list(lines: Iterable[str]) -> str:
    found = "".join(f"<li>{safe(line)}</li>" for line in lines)
    return f"<ul>{found}</ul>" if found else ""
