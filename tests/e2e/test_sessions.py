"""Options, markers and sessions without a drill: nothing starts, one sentence says why, no code is 0 by mistake."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from commands.asked import wants_drills
from tests.e2e.drilling import ROOT, lab_folders

LIMIT_S = 60.0


def session(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A pytest session of the repository; AssertionError when it started a lab."""
    # A temporary folder of its own: other tests have labs up at the same time.
    with tempfile.TemporaryDirectory() as temporary:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *arguments],
            cwd=ROOT,
            env=os.environ | {"TMPDIR": temporary} | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert lab_folders(Path(temporary)) == set()
    assert "Traceback" not in done.stdout, done.stdout
    assert "INTERNALERROR" not in done.stdout, done.stdout
    return done


DRILL = ("-m", "failover")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--target", "nope"), "unknown target"),
        (("--lab-speed", "0"), "--lab-speed 0"),
        (("--lab-speed", "nan"), "--lab-speed nan"),
        (("--lab-speed", "fast"), "invalid float value"),
        (("--lab-port", "1"), "--lab-port 1"),
        (("--release", ""), "--release ''"),
        (("--release", "a b"), "--release 'a b'"),
        (("--lab-attach", "x", "--lab-speed", "5"), "--lab-attach"),
        (("--target", "core-banking", "--target", "core-banking-2"), "one session drills one target"),
        (("--set", "account=1"), "--set account=1"),
        (("--set", "objectives.rto_s=soon"), "not a number"),
        (("--set", "objectives.rto_s=900"), "window_s"),
        (("--runs", "pyproject.toml"), "run folders cannot be kept there"),
        (("--no-such-option",), "--no-such-option"),
    ],
)
def test_a_wrong_option_is_a_usage_error_before_anything_starts(
    tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    """Exit 4, one clear sentence, no run folder."""
    done = session(*DRILL, f"--runs={tmp_path / 'runs'}", *options)
    assert done.returncode == 4, done.stdout
    assert words in done.stdout
    assert not list(tmp_path.glob("runs/*"))


def test_an_unknown_marker_is_a_usage_error() -> None:
    """A typo in -m must not select nothing and look fine."""
    done = session("-m", "failvoer")
    assert done.returncode == 4
    assert "unknown marker failvoer" in done.stdout


@pytest.mark.parametrize(
    "options", [("--target", "core-banking-2"), ("--set", "objectives.rto_s=5"), ("--lab-port", "5000")]
)
def test_a_drills_option_without_the_marker_is_a_usage_error(options: tuple[str, str]) -> None:
    """Somebody meant to drill."""
    done = session(*options)
    assert done.returncode == 4
    assert "add -m failover" in done.stdout


@pytest.mark.parametrize(
    "arguments", [("-k", "nothing_of_that_name"), ("--collect-only",), ("tests/drill/test_verdict.py",)]
)
def test_a_session_of_drills_without_a_drill_is_invalid(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Deselected, only collected, or a file without one: nothing is proven, exit 11, said in words."""
    done = session(*DRILL, f"--runs={tmp_path}", *arguments)
    assert done.returncode == 11, done.stdout
    assert "no drill was run, so nothing is proven" in done.stdout
    assert not list(tmp_path.glob("*core-banking"))
    assert "INVALID: no drill was run, so nothing is proven" in (tmp_path / "session.html").read_text()


SCENARIO = "scenarios/test_core_banking.py"


@pytest.mark.parametrize(
    "arguments",
    [
        (SCENARIO,),
        (f"{SCENARIO}::test_service_loss_and_return",),
        ("-m", "", SCENARIO),
        ("-m", "not failover", SCENARIO),
        ("-m", "not (failover or headline)", SCENARIO),
        ("-m", "headline", SCENARIO),
        ("tests/twins/core_banking.py",),
    ],
)
def test_without_the_marker_nothing_is_ever_injected(arguments: tuple[str, ...]) -> None:
    """However a scenario is named: deselected, or skipped."""
    done = session(*arguments)
    assert "passed" not in done.stdout
    assert "deselected" in done.stdout or "skipped" in done.stdout


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("failover", True),
        ("failover and headline", True),
        ("(headline) and (failover)", True),
        ("not not failover", True),
        ("not headline or failover", True),
        ("failover(windows=1)", True),
        ("", False),
        ("headline", False),
        ("not failover", False),
        ("not (failover or headline)", False),
        ("not  failover", False),
        ("no_failover_at_all", False),
        ("failover and", False),
    ],
)
def test_what_an_expression_asks_for(expression: str, wanted: bool) -> None:
    """Only a marker that is wanted counts, not one that is named."""
    assert wants_drills(expression) is wanted


@pytest.mark.parametrize("plugin", ["no:terminal", "no:html"])
def test_a_session_without_one_of_pytests_own_parts_still_ends_in_order(tmp_path: Path, plugin: str) -> None:
    """No internal error; the code is the same."""
    done = session("-p", plugin, *DRILL, f"--runs={tmp_path}", "-k", "nothing_of_that_name")
    assert done.returncode == 11, done.stdout


def test_on_ci_a_skipped_test_is_a_failure(tmp_path: Path) -> None:
    """Named, exit 1; an expected failure was run and is none; without the setting a skip is a skip."""
    path = tmp_path / "test_some.py"
    path.write_text(
        "import pytest\n"
        "def test_good(): pass\n"
        "def test_left_out(): pytest.skip('no dig')\n"
        "@pytest.mark.xfail\n"
        "def test_known(): assert False\n"
    )
    strict = session(
        f"--rootdir={ROOT}",
        "-c",
        "pyproject.toml",
        f"--confcutdir={ROOT}",
        "-p",
        "conftest",
        str(path),
        DRILL_CI_NO_SKIPS="1",
    )
    assert strict.returncode == 1, strict.stdout
    assert "did not run: " in strict.stdout
    assert "test_left_out" in strict.stdout
    assert "did not run: " + str(path.name) + "::test_known" not in strict.stdout
    lenient = session(f"--rootdir={ROOT}", "-c", "pyproject.toml", "-p", "conftest", str(path), DRILL_CI_NO_SKIPS="")
    assert lenient.returncode == 0, lenient.stdout


def test_a_sessions_page_and_output_say_nothing_secret(tmp_path: Path) -> None:
    """What a test prints, logs or fails with: botocore's own log holds signatures, tracebacks hold AWS's words."""
    path, page = tmp_path / "test_some.py", tmp_path / "page.html"
    planted = ("5d672d79c15b13162d9279b0855cfba6", "planted-password-1", "planted-environment-1")
    path.write_text(
        "import logging, os\n"
        "def test_talks():\n"
        f"    print('X-Amz-Signature=' + '{planted[0]}')\n"
        f"    logging.getLogger('botocore').warning('password=%s', '{planted[1][:7]}' + '{planted[1][7:]}')\n"
        "    raise ValueError('token ' + os.environ['MY_TOKEN'])\n"
    )
    done = session(
        f"--rootdir={ROOT}",
        "-c",
        "pyproject.toml",
        f"--confcutdir={ROOT}",
        "-p",
        "conftest",
        f"--html={page}",
        "--self-contained-html",
        str(path),
        MY_TOKEN=planted[2],
    )
    assert done.returncode == 1, done.stdout
    for text in (done.stdout, page.read_text()):
        assert "X-Amz-Signature=[redacted]" in text
        assert "token [redacted]" in text
        assert not [value for value in planted[1:] if value in text]
