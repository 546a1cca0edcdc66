"""Which processes watch and load the system while a drill runs; a plan names them too."""

from __future__ import annotations

from drill.drill import Instrument

WITNESSES = (
    Instrument("prober", "checks.prober"),
    Instrument("pulse", "checks.pulse"),
    Instrument("signals", "checks.signals"),
)
LOAD = (Instrument("load-0", "loadgen.run"),)
