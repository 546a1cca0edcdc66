"""What a system does not replicate, by its target's own declaration: how much of it a window left behind. Pure.

Nobody can read it at the survivor, and no objective covers it: it is lost with a Region by design. So it is counted
apart from lost writes, from the ledger alone: each acknowledged write of a declared kind had left its own there, in
the Region that acknowledged it. How much of that had been used up before the onset nobody knows: "at most".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from checks.looks import RegionOf
from checks.windows import Window
from drill.timeline import History


def unreplicated_notes(history: History, window: Window, region_of: RegionOf) -> Iterator[str]:
    """One line for each thing that the target declares; of Regions other than the survivor, 0 included."""
    for name, declared in sorted(_declared(history).items()):
        kinds = set(declared.get("kinds") or ())
        acked = (w for w in history.writes if w.write in kinds and w.result == "acked")
        before = Counter(region_of(w.peer) or "?" for w in acked if w.known_s < window.settled_by_s)
        away = {region: count for region, count in sorted(before.items()) if region != window.survivor}
        counts = ", ".join(f"{count} in {'a Region unknown' if r == '?' else r}" for r, count in away.items())
        yield (
            f"{window.name}: not replicated by the system, so in no objective: {name} ({declared.get('what', '?')}), "
            f"at most {counts or 'none'} of {sum(before.values())} acknowledged {'/'.join(sorted(kinds))}"
        )


def _declared(history: History) -> Mapping[str, Any]:
    writes = (history.header.get("target") or {}).get("writes") or {}
    return dict(writes.get("unreplicated") or {})
