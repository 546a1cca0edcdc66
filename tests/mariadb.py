"""Whether the machine has a MariaDB: who needs one is skipped without, and CI installs it."""

from __future__ import annotations

import pytest

from lab.mariadb_server import INSTALL, MariadbError, program


def _missing() -> bool:
    try:
        program()
    except MariadbError:
        return True
    return False


needs_mariadb = pytest.mark.skipif(_missing(), reason=f"MariaDB is not installed; {INSTALL}")
