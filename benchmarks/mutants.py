"""How many planted mistakes in the measuring and judging code do its tests notice? Mutation testing with mutmut.

    python -m benchmarks.mutants [--only checks.recovery_time ...] [--keep FOLDER] [--again] [--quick] [--forked]

What is mutated and which tests are run is in pyproject.toml, [tool.mutmut]. mutmut works in a copy of the tree, in a
temporary folder that goes with the process, at the lowest priority: nothing is left in the checkout. With --keep the
copy lies in FOLDER and stays: the same command goes on where it was, `mutmut show NAME` in it shows a mutant, and
--again asks what survived once more (after new tests: what git knows, and what is not ignored, is copied anew).
mutmut itself asks everything that --only names anew; --forked goes on there too, and asks a mutant in a fork of a
process that has all tests ready (benchmarks/forked.py): minutes where mutmut takes hours.

A mutant is *killed* when a test fails or hangs on it. The score is killed / all. Exit code 0 whatever the score.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from mutmut.stats import status_by_exit_code
from tabulate import tabulate

ROOT = Path(__file__).resolve().parent.parent
KILLED = ("killed", "timeout")
SURVIVED, NO_TESTS, NOT_RUN = "survived", "no tests", "not checked"
PRIORITY = 19
ALL_TESTS = 'pytest_add_cli_args = ["--noconftest", "-p", "no:cacheprovider"]'
GENERATE = (
    "from mutmut.__main__ import copy_also_copy_files, copy_src_dir, create_mutants, setup_source_paths as paths\n"
    "copy_src_dir(); copy_also_copy_files(); paths(); create_mutants(1)"
)
"""What `mutmut run` does before it asks: there is no command of its own for it."""
NOT_SLOW = "not another_failure and not taken_away and not added_loss"
"""Properties that take most of the time of a run; they may kill more, so a score without them is a lower bound."""


def copied(folder: Path) -> None:
    """The checkout as it is (what git would take), in `folder`; what mutmut keeps there stays."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=60,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def run(folder: Path, names: Sequence[str], children: int, quick: bool) -> int:
    """One run of mutmut in `folder`; its exit code. quick: without the tests that take most of the time."""
    if quick:
        config = folder / "pyproject.toml"
        config.write_text(config.read_text().replace(ALL_TESTS, f'{ALL_TESTS[:-1]}, "-k", "{NOT_SLOW}"]'))
    # The checkout is installed as editable: without this a module that is not copied would come from there.
    environment = os.environ | {"PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [str(Path(sys.executable).parent / "mutmut"), "run", "--max-children", str(children), *names]
    done = subprocess.run(command, cwd=folder, env=environment, check=False, preexec_fn=_gently)
    return done.returncode


def run_forked(folder: Path, modules: Sequence[str], quick: bool) -> int:
    """mutmut's mutants, asked in forks; pytest's exit code."""
    asked = tomllib.loads((folder / "pyproject.toml").read_text())["tool"]["mutmut"]
    environment = os.environ | {"PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1", "MUTANT_UNDER_TEST": ""}
    generate, quiet = [sys.executable, "-c", GENERATE], subprocess.DEVNULL  # it prints every file's name
    made = subprocess.run(generate, cwd=folder, env=environment, stdout=quiet, preexec_fn=_gently, check=False)
    if made.returncode:
        return made.returncode
    forked = {"PYTHONPATH": str(folder / "benchmarks"), "MUTANTS_ASKED": " ".join(modules)}
    some = ["-k", NOT_SLOW] if quick else []
    plain = ["-p", "forked", "--capture=no", "-q", "--tb=short", *asked["pytest_add_cli_args"], *some]
    command = [sys.executable, "-m", "pytest", *plain, *asked["pytest_add_cli_args_test_selection"]]
    where = folder / "mutants"
    return subprocess.run(command, cwd=where, env=environment | forked, preexec_fn=_gently, check=False).returncode


def _gently() -> None:
    os.nice(PRIORITY)


def noted(folder: Path) -> dict[str, dict[str, str]]:
    """Module -> mutant -> what became of it."""
    found = {}
    for meta in sorted((folder / "mutants").rglob("*.py.meta")):
        module = str(meta.relative_to(folder / "mutants")).removesuffix(".py.meta").replace("/", ".")
        codes = json.loads(meta.read_text())["exit_code_by_key"]
        if codes:
            found[module] = {name: status_by_exit_code[code] for name, code in codes.items()}
    return found


def forget_survivors(folder: Path) -> None:
    """Mutants that survived, or that no test reached, are asked again by the next run."""
    for meta in (folder / "mutants").rglob("*.py.meta"):
        kept = json.loads(meta.read_text())
        codes = kept["exit_code_by_key"]
        again = {name: None for name, code in codes.items() if status_by_exit_code[code] not in KILLED}
        meta.write_text(json.dumps(kept | {"exit_code_by_key": codes | again}))


def told(found: dict[str, dict[str, str]]) -> str:
    """The table, the score, and the names of what survived."""
    rows, survivors, together = [], [], Counter[str]()
    for module, fates in found.items():
        counts = Counter(fates.values())
        together += counts
        rows.append(_row(module, counts))
        survivors += [f"  {name}: {fate}" for name, fate in fates.items() if fate not in (*KILLED, NOT_RUN)]
    rows.append(_row("all", together))
    heads = ("module", "mutants", "killed", SURVIVED, NO_TESTS, NOT_RUN, "score")
    return "\n".join([tabulate(rows, heads), "", *survivors])


def _row(name: str, counts: Counter[str]) -> tuple[str | int, ...]:
    killed = sum(counts[fate] for fate in KILLED)
    known = counts.total() - counts[NOT_RUN]
    score = f"{killed / known:.1%}" if known else "-"
    return name, counts.total(), killed, counts[SURVIVED], counts[NO_TESTS], counts[NOT_RUN], score


@contextlib.contextmanager
def workplace(keep: Path | None) -> Iterator[Path]:
    """Where mutmut works; gone afterwards unless it is to be kept."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        yield Path(folder)


def main() -> int:
    """0 when mutmut ran to its end, else its own exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], metavar="MODULE")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--quick", action="store_true", help="without the slowest properties: a lower bound")
    parser.add_argument("--forked", action="store_true", help="in forks of one process that has all tests ready")
    parser.add_argument("--children", type=int, default=1)
    asked = parser.parse_args()
    with workplace(asked.keep) as folder:
        copied(folder)
        if asked.again:
            forget_survivors(folder)
        if asked.forked:
            code = run_forked(folder, asked.only, asked.quick)
        else:
            code = run(folder, [f"{module}.*" for module in asked.only], asked.children, asked.quick)
        sys.stdout.write(told(noted(folder)) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
