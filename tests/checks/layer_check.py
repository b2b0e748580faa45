#!/usr/bin/env python3
"""Fails when an #include is not backed by a declared link.

The CMakeLists.txt files say which library links which. A source or header may include a header of the project only if the library
that the header belongs to is its own or is declared in DEPS: directly for a source, and for a header so that everything that
includes it can. Circles between libraries are impossible in the declaration and therefore in the includes.

Three rules come on top, because they hold whatever somebody declares: heap_adapter never sees gRPC, so that all of it can run under
ThreadSanitizer, and shipped code never sees tests. The Heap simulator in tests/fake_heap shares names and time with what it tests,
never behaviour. And the server knows heap_adapter by a few headers, its doors, so that what is behind them can change: docs/architecture.md
lists them.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SHIPPED = ("base", "heap_adapter", "server", "client", "packaging")
SIMULATOR = "tests/fake_heap"
SIMULATOR_MAY_SEE = {"base", "heap_adapter/model"}
MAX_DOORS = 10
SUFFIXES = {".h", ".cc"}
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')

# What links gRPC, or is generated for those who do.
GRPC = re.compile(r"^(grpc|grpcpp|grpc\+\+|google/rpc)/|\.grpc\.pb\.h$|^heapsync/v1/heap_sync_\w*service|^heapsync/client/(?!violation)")
# Headers that are included by another path than their own, by their library.
OWNERS = (
    (re.compile(r"^(client/include/)?heapsync/client/violation\.h$"), "heapsync_violation"),
    (re.compile(r"^(client/include/)?heapsync/client/"), "heapsync_client"),
    (re.compile(r"^heapsync/v1/items\.pb\.h$"), "heapsync_item_proto"),
    (re.compile(r"^heapsync/v1/heap_sync_\w*service(\.grpc)?\.pb\.h$"), "heapsync_service_proto"),
)

COMMAND = re.compile(r"(heapsync_library|add_library|add_executable|target_link_libraries)\s*\(([^()]*)\)")


@dataclass
class Library:
    """A target of the CMakeLists.txt in `folder`."""

    name: str
    folder: str
    sources: set[str] = field(default_factory=set)
    links: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Include:
    path: str
    line: int
    target: str

    def __str__(self) -> str:
        return f'{self.path}:{self.line}: #include "{self.target}"'


def read_libraries(root: Path) -> dict[str, Library]:
    """Every target that is declared below the shipped folders and the simulator."""
    libraries: dict[str, Library] = {}
    for top in (*SHIPPED, SIMULATOR):
        for file in sorted((root / top).rglob("CMakeLists.txt")):
            folder = file.parent.relative_to(root).as_posix()
            text = re.sub(r"#[^\n]*", "", file.read_text(encoding="utf-8"))
            for command, arguments in COMMAND.findall(text):
                words = arguments.split()
                name, words = words[0], words[1:]
                library = libraries.setdefault(name, Library(name, folder))
                in_deps = command == "target_link_libraries"
                for word in words:
                    if word in ("SOURCES", "STATIC", "PUBLIC", "PRIVATE", "INTERFACE", "ALIAS"):
                        in_deps = command == "target_link_libraries"
                    elif word == "DEPS":
                        in_deps = True
                    elif in_deps:
                        library.links.add(word)
                    else:
                        library.sources.add(f"{folder}/{word}")
    return libraries


class Tree:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.libraries = read_libraries(root)
        self.by_folder: dict[str, list[Library]] = {}
        self.owner_of_source: dict[str, list[str]] = {}
        for library in self.libraries.values():
            self.by_folder.setdefault(library.folder, []).append(library)
            for source in library.sources:
                self.owner_of_source.setdefault(source, []).append(library.name)

    def owners(self, path: str) -> list[str]:
        """The libraries that a file belongs to: that of its source, or for a header alone all of its folder."""
        for pattern, name in OWNERS:
            if pattern.match(path):
                return [name]
        source = re.sub(r"\.h$", ".cc", path)
        if source in self.owner_of_source:
            return self.owner_of_source[source]
        folder = path.rsplit("/", 1)[0] if "/" in path else ""
        return [library.name for library in self.by_folder.get(folder, [])]

    def reachable(self, name: str) -> set[str]:
        """What `name` declares, and what those declare in turn."""
        found: set[str] = set()
        left = [name]
        while left:
            for link in self.libraries[left.pop()].links:
                if link in self.libraries and link not in found:
                    found.add(link)
                    left.append(link)
        return found

    def includes(self) -> Iterator[Include]:
        for top in (*SHIPPED, SIMULATOR):
            for file in sorted((self.root / top).rglob("*")):
                if file.suffix not in SUFFIXES:
                    continue
                path = file.relative_to(self.root).as_posix()
                for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
                    match = INCLUDE.match(line)
                    if match:
                        yield Include(path, number, match.group(1))

    def fault(self, include: Include) -> str | None:
        """Why this line is wrong, or None."""
        here, there = include.path, include.target
        ours = there.startswith((*(f"{top}/" for top in SHIPPED), "tests/", "heapsync/"))
        if here.startswith(f"{SIMULATOR}/"):
            folder = there.rsplit("/", 1)[0]
            if there.startswith(tuple(f"{top}/" for top in SHIPPED)) and folder not in SIMULATOR_MAY_SEE:
                return "the simulator shares names and time with what it tests, never behaviour"
            return None
        if there.startswith("tests/"):
            return "only tests include tests"
        if here.startswith("heap_adapter/") and GRPC.search(there):
            return "heap_adapter never sees gRPC"
        if not ours:
            return None
        owners = self.owners(here)
        targets = self.owners(there)
        if not owners:
            return "it belongs to no library; declare it in the CMakeLists.txt of its folder"
        if not targets:
            return f"{there} belongs to no library"
        if set(owners) & set(targets):
            return None
        declared = set().union(*(self.libraries[owner].links for owner in owners))
        if not declared & set(targets):
            return f"{' or '.join(sorted(owners))} does not declare a link to {' or '.join(sorted(targets))}"
        return None

    def doors(self) -> list[str]:
        """The headers of heap_adapter that the server includes."""
        return sorted({i.target for i in self.includes() if i.path.startswith("server/") and i.target.startswith("heap_adapter/")})

    def circle(self) -> str | None:
        for name in sorted(self.libraries):
            if name in self.reachable(name):
                return f"a circle of links through {name}"
        return None


def check(root: Path) -> list[str]:
    tree = Tree(root)
    faults: list[str] = []
    seen = 0
    for include in tree.includes():
        seen += 1
        reason = tree.fault(include)
        if reason:
            faults.append(f"{include}  ({reason})")
    doors = tree.doors()
    if len(doors) > MAX_DOORS:
        faults.append(f"the server includes {len(doors)} headers of heap_adapter, and may include {MAX_DOORS}: {', '.join(doors)}")
    ring = tree.circle()
    if ring:
        faults.append(ring)
    for name, library in sorted(tree.libraries.items()):
        if library.folder.startswith("heap_adapter") and any("gRPC" in link for link in library.links):
            faults.append(f"{library.folder}/CMakeLists.txt: {name} links gRPC  (heap_adapter never sees gRPC)")
    if seen == 0:
        faults.append(f"no sources under {root}: nothing was checked")
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description="Fails when an #include is not backed by a declared link.")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2])
    faults = check(parser.parse_args().root)
    print("\n".join(faults), file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
