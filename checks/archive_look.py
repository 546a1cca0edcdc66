"""The witness of what only an archive holds: asked for what the survivor's consumers do not have in the end.

An archive cannot be read. A replay to a rule of its own writes down what it holds (`AuditArchive`), and this asks for
the missing writes where that is kept ([writes.archive]), and at the consumers of every other Region: an event is only
archived when no consumer of any Region has handled it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from checks.archived import ARCHIVE_PASS, ELSEWHERE_PASS
from checks.looks import final_states
from checks.unprocessed import MISSING
from checks.written_data import LIMIT_S, read_units
from drill.clock import Clock
from drill.ledger import Write
from drill.target import Target
from drill.timeline import Readback
from drill.write_path import ARCHIVE


def look_in_archive(
    target: Target,
    clock: Clock,
    writes: Iterable[Write],
    region: str,
    window: str,
    already: Sequence[Readback],
    limit_s: float = LIMIT_S,
    meanwhile: Callable[[], None] = lambda: None,
) -> list[Readback]:
    """What `region`'s archive and the other Regions' consumers say of every write that is missing in the end.

    already: the looks of the window so far; limit_s: wall seconds for each Region; the rest as for `read_back`.
    """
    states = final_states(already, window)
    missing = {key for (key, _), state in states.items() if state in MISSING}
    units = [(w, store) for w in writes if w.key in missing and w.result == "acked" for store in w.stores]
    kept = [(w, ARCHIVE) for w in dict.fromkeys(w for w, _ in units)]
    found = read_units(target, clock, kept, region, window, ARCHIVE_PASS, limit_s, meanwhile)
    for other in sorted(target.regional_endpoints.keys() - {region}):
        found += read_units(target, clock, units, other, window, ELSEWHERE_PASS, limit_s, meanwhile)
    return found
