"""What a judged run folder gets for programs and pull requests: drill.json, summary.md, the job summary."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from checks.seal import seal_digest
from drill.timeline import History, load_history
from drill.verdict import Judgement
from reports.markdown import SUMMARY_FILE, summary_markdown, write_markdown
from reports.record import DRILL_FILE, DrillRecord, record_from, record_of, record_text, write_record

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
"""The file that GitHub Actions shows as the job's summary."""


def publish(folder: Path, judgement: Judgement) -> DrillRecord:
    """Write drill.json and summary.md. ValueError when the header is no drill's; OSError (a full disk) passes."""
    history = load_history(folder)
    record = record_of(history, judgement, seal_digest(history))
    write_record(folder, record)
    write_markdown(folder, record)
    return record


def published(folder: Path) -> DrillRecord | None:
    """The record that `publish` wrote; None when there is none that can be read."""
    try:
        return record_from((folder / DRILL_FILE).read_text())
    except (OSError, ValueError):
        return None


def edited(folder: Path, history: History, judgement: Judgement) -> tuple[str, ...]:
    """The published files that are there and do not say what the evidence says."""
    try:
        record = record_of(history, judgement, seal_digest(history))
    except ValueError:
        return tuple(name for name in (DRILL_FILE, SUMMARY_FILE) if (folder / name).exists())
    texts = {DRILL_FILE: record_text(record), SUMMARY_FILE: summary_markdown(record)}
    return tuple(
        n for n, text in texts.items() if (folder / n).exists() and (folder / n).read_bytes() != text.encode()
    )


def append_step_summary(path: str, folders: Iterable[Path]) -> str:
    """Append the summaries of these runs to the job's summary; what went wrong, "" when nothing did.

    A job summary that cannot be written changes no verdict.
    """
    try:
        texts = [(folder / SUMMARY_FILE).read_text() for folder in folders if (folder / SUMMARY_FILE).exists()]
        with Path(path).open("a") as file:
            file.write("".join(f"{text}\n" for text in texts))
    except (OSError, ValueError) as error:
        return f"no job summary in {path}: {error}"
    return ""
