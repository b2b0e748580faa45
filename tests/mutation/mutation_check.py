#!/usr/bin/env python3
"""Breaks each promise of mutants.py in a copy of the sources, and runs the test that must notice.

A mutant that survives, whose text is not found exactly once, or that does not compile, is an error.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from mutants import MUTANTS, Mutant

SOURCE = Path(__file__).resolve().parents[2]
TEST_TIMEOUT = 300
# A test that takes so many times what it takes without a mutant hangs; short ones are given this many seconds all the same.
HANGS_AFTER = 10
SHORTEST_HANG = 30
BUILD_TIMEOUT = 1_800


@dataclass
class Run:
    """One run of a mutant's tests."""

    passed: bool
    failed: str  # the test that noticed
    seconds: float


@dataclass
class Result:
    mutant: Mutant
    verdict: str
    noticed_by: str
    seconds: float


class Copy:
    """The sources beside the real ones, with a build folder of their own, so that an interrupted run harms nothing."""

    def __init__(self, folder: Path, preset: str) -> None:
        self.folder = folder
        self.build = folder / "build" / preset
        folder.mkdir(parents=True, exist_ok=True)
        listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=SOURCE, check=True,
                                capture_output=True)
        names = [name for name in listed.stdout.decode().split("\0") if name and (SOURCE / name).is_file()]
        for name in names:
            self.take(name)
        self.run_or_die(["cmake", "--preset", preset, "--log-level=WARNING"])

    def take(self, name: str) -> None:
        """The real file; one that is the same already keeps its time, so that nothing is built for it."""
        target = self.folder / name
        text = (SOURCE / name).read_bytes()
        if target.is_file() and target.read_bytes() == text:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text)
        shutil.copymode(SOURCE / name, target)

    def run_or_die(self, command: list[str]) -> None:
        subprocess.run(command, cwd=self.folder, check=True)

    def builds(self, targets: list[str]) -> bool:
        done = subprocess.run(["cmake", "--build", str(self.build), "--target", *targets], cwd=self.folder, capture_output=True,
                              timeout=BUILD_TIMEOUT)
        if done.returncode != 0:
            print(done.stdout.decode(errors="replace")[-2_000:])
        return done.returncode == 0

    def run(self, mutant: Mutant, timeout: float) -> Run:
        found = [path for path in (self.build / "tests").rglob(mutant.program) if path.is_file()]
        command = [str(found[0]), f"--gtest_filter={mutant.tests}"]
        environment = os.environ | {"GTEST_FAIL_FAST": "1", "GTEST_FAIL_IF_NO_TEST_SELECTED": "1"}
        began = time.monotonic()
        try:
            done = subprocess.run(command, cwd=self.build, capture_output=True, timeout=timeout, env=environment)
        except subprocess.TimeoutExpired as expired:
            # A test that hangs would be noticed.
            return Run(False, f"{noticed_by(expired.stdout or b'', mutant)} hangs", time.monotonic() - began)
        output = done.stdout.decode(errors="replace")
        if "Running 0 tests" in output:
            raise AssertionError(f"{mutant.name}: no test is called {mutant.tests}")
        failed = "" if done.returncode == 0 else noticed_by(done.stdout, mutant)
        return Run(done.returncode == 0, failed, time.monotonic() - began)


def noticed_by(output: bytes, mutant: Mutant) -> str:
    """The first test that failed, or that had begun when the program ended."""
    text = output.decode(errors="replace")
    failed = re.findall(r"^\[  FAILED  \] ([^\s,]+)", text, re.MULTILINE)
    begun = re.findall(r"^\[ RUN      \] (\S+)", text, re.MULTILINE)
    return failed[0] if failed else begun[-1] if begun else mutant.program


def check(copy: Copy, mutant: Mutant, timeout: float) -> tuple[str, str]:
    """The verdict, and the test that noticed."""
    path = copy.folder / mutant.file
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if text.count(mutant.old) != 1:
        return f"STALE: its text stands {text.count(mutant.old)} times", ""
    path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        if not copy.builds([mutant.program]):
            return "DOES NOT COMPILE", ""
        run = copy.run(mutant, timeout)
        return ("SURVIVED" if run.passed else "noticed"), run.failed
    finally:
        path.write_text(text, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=SOURCE / "build" / "mutation", help="for the copy and its build")
    parser.add_argument("--preset", default="dev")
    parser.add_argument("--only", default="", help="mutants whose name, file or program holds this text")
    parser.add_argument("--stale", action="store_true", help="only look whether each mutant's text is still there")
    arguments = parser.parse_args()

    chosen = [mutant for mutant in MUTANTS if arguments.only in f"{mutant.name} {mutant.file} {mutant.program}"]
    stale = [mutant for mutant in chosen if (SOURCE / mutant.file).read_text(encoding="utf-8").count(mutant.old) != 1]
    for mutant in stale:
        print(f"STALE: {mutant.name}: its text does not stand exactly once in {mutant.file}")
    if arguments.stale or not chosen:
        print(f"{len(chosen)} mutants, {len(stale)} stale")
        return 1 if stale or not chosen else 0

    copy = Copy(arguments.folder, arguments.preset)
    programs = sorted({mutant.program for mutant in chosen})
    print(f"building {', '.join(programs)}", flush=True)
    if not copy.builds(programs):
        return 2
    timeouts: dict[tuple[str, str], float] = {}
    for mutant in chosen:
        if (mutant.program, mutant.tests) in timeouts:
            continue
        run = copy.run(mutant, TEST_TIMEOUT)
        if not run.passed:
            print(f"{mutant.program} {mutant.tests} fails without any mutant: {run.failed}")
            return 2
        timeouts[mutant.program, mutant.tests] = min(TEST_TIMEOUT, max(SHORTEST_HANG, HANGS_AFTER * run.seconds))
    results: list[Result] = []
    for mutant in chosen:
        began = time.monotonic()
        verdict, test = check(copy, mutant, timeouts[mutant.program, mutant.tests])
        results.append(Result(mutant, verdict, test, time.monotonic() - began))
        print(f"{verdict:<10} {mutant.name:<62} {test or mutant.program}  ({results[-1].seconds:.0f} s)", flush=True)
    noticed = sum(result.verdict == "noticed" for result in results)
    print(f"\n{noticed} of {len(results)} broken promises were noticed")
    for result in results:
        if result.verdict != "noticed":
            print(f"{result.verdict}: {result.mutant.name}: {result.mutant.file}")
    return 0 if noticed == len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
