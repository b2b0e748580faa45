#!/usr/bin/env python3
"""Fails when a tracked text file names a folder of somebody's own machine, which would work nowhere else."""

import argparse
import re
import subprocess
import sys
from pathlib import Path

# Homes and work folders. Paths of the installed system, and of the image, are everybody's.
PRIVATE = re.compile(r"(?<![\w.$}/-])/(?:home|root|work|Users|workspace)/[\w.-]+")


def faults(root: Path) -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, check=True, capture_output=True).stdout
    names = [name for name in listed.decode().split("\0") if name]
    if not names:
        return [f"{root} has no tracked files: nothing was checked"]
    found = []
    for name in names:
        path = root / name
        if not path.is_file() or path.is_symlink():
            continue
        content = path.read_bytes()
        if b"\0" in content:
            continue
        for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), start=1):
            for match in PRIVATE.finditer(line):
                found.append(f"{name}:{number}: {match.group(0)}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Fails when a tracked file names a private folder.")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2])
    found = faults(parser.parse_args().root)
    print("\n".join(found), file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
