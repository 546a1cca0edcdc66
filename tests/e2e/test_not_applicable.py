"""A scenario that a target cannot support is told with its reason, and proves nothing."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.drilling import ROOT, drill

SCENARIO = '''
import pytest

@pytest.mark.needs("a_switch", "only some have one")
def test_it(drill):
    """It breaks by a switch."""
'''


def test_a_resource_that_the_target_lacks_is_named_with_the_reason(tmp_path: Path) -> None:
    """Nothing is opened for it, and a session of nothing else is INVALID."""
    scenario = tmp_path / "test_it.py"
    scenario.write_text(SCENARIO)
    rooted = (f"--rootdir={ROOT}", f"--config-file={ROOT}/pyproject.toml", f"--confcutdir={ROOT}", "-p", "conftest")
    done = drill(tmp_path / "runs", *rooted, "--twin", str(scenario), "--target", "core-banking")
    assert done.code == 11, done.output
    assert "not applicable: it: target core-banking has no a_switch in its [resources]: only some have" in done.output
