#!/usr/bin/env python3
"""Fails when an #include points the wrong way.

    server, client  →  heap_adapter  →  proto messages

heap_adapter never sees gRPC, so that all of it can run under ThreadSanitizer. Inside it an arrow goes to the same row or to one
above, never in a circle:

    model  clock  sync
    encoding  transport  config  access  scheduling  spool
    engine

The Heap simulator in tests/fake_heap sees the first row only.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROWS = (
    ("heap_adapter/model", "heap_adapter/clock", "heap_adapter/sync"),
    ("heap_adapter/encoding", "heap_adapter/transport", "heap_adapter/config", "heap_adapter/access", "heap_adapter/scheduling", "heap_adapter/spool"),
    ("heap_adapter/engine",),
    ("server", "client"),
)
RANK = {layer: rank for rank, row in enumerate(ROWS) for layer in row}
SOURCES = ("heap_adapter", "server", "client", "tests/fake_heap")
SUFFIXES = {".h", ".cc"}
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')

# What links gRPC, or is generated for those who do.
GRPC = re.compile(r"^(grpc|grpcpp|grpc\+\+|google/rpc)/|\.grpc\.pb\.h$|^heapsync/v1/heap_sync_\w*service|^heapsync/client/")


@dataclass(frozen=True)
class Include:
    path: str
    line: int
    target: str

    def __str__(self) -> str:
        return f'{self.path}:{self.line}: #include "{self.target}"'


def layer_of(path: str) -> str:
    """"heap_adapter/spool" for a file in there; the first folder for any other."""
    parts = path.split("/")
    if parts[0] == "heap_adapter" and len(parts) > 2:
        return "/".join(parts[:2])
    if path.startswith("heapsync/client/"):
        return "client"
    if path.startswith("tests/fake_heap/"):
        return "tests/fake_heap"
    return parts[0]


def includes(root: Path) -> Iterator[Include]:
    for top in SOURCES:
        for file in sorted((root / top).rglob("*")):
            if file.suffix not in SUFFIXES:
                continue
            path = file.relative_to(root).as_posix()
            for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
                match = INCLUDE.match(line)
                if match:
                    yield Include(path, number, match.group(1))


def fault(include: Include) -> str | None:
    """Why this one line is wrong, or None."""
    here, there = layer_of(include.path), layer_of(include.target)
    if here == "tests/fake_heap":
        judges_itself = RANK.get(there, 0) > 0
        return "the simulator shares names and time with what it tests, never behaviour" if judges_itself else None
    if here not in RANK:
        return f"{here} has no row; give it one in layer_check.py"
    if there == "tests":
        return "only tests include tests"
    if here.startswith("heap_adapter/") and GRPC.search(include.target):
        return "heap_adapter never sees gRPC"
    if there not in RANK:
        return f"{there} has no row; give it one in layer_check.py" if there.startswith("heap_adapter") else None
    if {here, there} == {"server", "client"}:
        return "server and client meet on the wire only"
    if RANK[there] > RANK[here]:
        return f"{there} is above {here}"
    return None


def circle(arrows: dict[str, dict[str, Include]]) -> list[Include] | None:
    """The includes that lead from a folder back to itself, or None."""
    done: set[str] = set()

    def visit(layer: str, path: list[str]) -> list[Include] | None:
        if layer in path:
            ring = path[path.index(layer) :] + [layer]
            return [arrows[a][b] for a, b in zip(ring, ring[1:])]
        if layer in done:
            return None
        for target in sorted(arrows.get(layer, {})):
            found = visit(target, path + [layer])
            if found:
                return found
        done.add(layer)
        return None

    for layer in sorted(arrows):
        found = visit(layer, [])
        if found:
            return found
    return None


def check(root: Path) -> list[str]:
    faults: list[str] = []
    arrows: dict[str, dict[str, Include]] = {}
    seen = 0
    for include in includes(root):
        seen += 1
        reason = fault(include)
        if reason:
            faults.append(f"{include}  ({reason})")
            continue
        here, there = layer_of(include.path), layer_of(include.target)
        if here in RANK and there in RANK and here != there:
            arrows.setdefault(here, {}).setdefault(there, include)
    ring = circle(arrows)
    if ring:
        faults.append("a circle:" + "".join(f"\n  {include}" for include in ring))
    if seen == 0:
        faults.append(f"no sources under {root}: nothing was checked")
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description="Fails when an #include points the wrong way.")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2])
    faults = check(parser.parse_args().root)
    print("\n".join(faults), file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
