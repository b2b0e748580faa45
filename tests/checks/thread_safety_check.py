#!/usr/bin/env python3
"""Checks the lock annotations of everything that sees a lock, with clang's thread-safety analysis.

The analysis needs no code, so the sources are only parsed, with the commands of a build folder that gcc compiled. Sources that do
not include base/mutex.h, directly or not, cannot violate an annotation and are left out; ninja knows which those are.
Exits with 77 (skipped) where there is no clang, unless CI=true.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

COMPILER = "clang++-14"
LOCKS = "base/mutex.h"
FLAGS = ["-fsyntax-only", "-Wno-everything", "-Wthread-safety", "-Werror=thread-safety"]


def objects_with_locks(build: Path) -> set[str]:
    """The object files, relative to the build folder, whose sources include the locks."""
    listed = subprocess.run(["ninja", "-C", str(build), "-t", "deps"], check=True, capture_output=True, text=True).stdout
    found: set[str] = set()
    current = ""
    for line in listed.splitlines():
        if line and not line[0].isspace() and ": #deps" in line:
            current = line.split(":", 1)[0]
        elif line.strip().endswith(LOCKS):
            found.add(current)
    return found


def parse_command(entry: dict) -> list[str]:
    """The entry's command as one for clang that only parses."""
    words = shlex.split(entry["command"])
    compiler = next(i for i, word in enumerate(words) if word.endswith(("c++", "g++", "clang++-14")) and "ccache" not in word)
    arguments: list[str] = []
    skip = False
    for word in words[compiler + 1 :]:
        if skip:
            skip = False
        elif word in ("-o", "-MT", "-MF"):
            skip = True
        elif word in ("-MD", "-c") or word.startswith("-W"):
            continue
        else:
            arguments.append(word)
    return [COMPILER, *FLAGS, *arguments]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    build = parser.parse_args().build.resolve()
    if not shutil.which(COMPILER):
        print(f"SKIPPED: {COMPILER} is not installed (scripts/install_dependencies.sh --lint)", file=sys.stderr)
        return 1 if os.environ.get("CI") == "true" else 77
    wanted = objects_with_locks(build)
    entries = [entry for entry in json.loads((build / "compile_commands.json").read_text())
               if entry.get("output", "") in wanted or any(entry["command"].find(f" -o {name} ") >= 0 for name in wanted)]
    if not entries:
        print(f"nothing in {build} includes {LOCKS}: nothing was checked (is it built?)", file=sys.stderr)
        return 1

    def check(entry: dict) -> subprocess.CompletedProcess:
        return subprocess.run(parse_command(entry), cwd=entry["directory"], capture_output=True, text=True)

    failed = 0
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for entry, result in zip(entries, pool.map(check, entries)):
            if result.returncode != 0:
                failed += 1
                print(f"{entry['file']}:\n{result.stderr}", file=sys.stderr)
    print(f"thread safety: {len(entries)} sources checked, {failed} with findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
