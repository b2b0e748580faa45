#!/usr/bin/env python3
"""Fails when a document says something that the sources do not bear out.

Every relative link and anchor resolves. Every test, path, flag and program named in code exists. Commands in shell blocks parse:
grpcurl lines name services, methods, fields and enum values of the protos, heapsync lines name its subcommands. JSON examples
parse. The README stays short.
"""

import argparse
import fnmatch
import json
import os
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

MAX_README_BYTES = 8_192
SKIPPED_FOLDERS = {"build", ".git", "node_modules", ".venv"}
OWN_PROGRAMS = ("heapsync", "heapsync-server", "fake-heap")
# Flags that libraries add to every program.
LIBRARY_FLAGS = {"help", "version"}
# Values whose fields no proto of ours describes.
OPAQUE_TYPES = {"google.protobuf.Struct", "google.protobuf.Timestamp", "google.protobuf.Duration"}
FOREIGN_FIELDS = {"grpc.health.v1.HealthCheckRequest": {"service": "string"}}
FOREIGN_METHODS = {"grpc.health.v1.Health/Check": "grpc.health.v1.HealthCheckRequest"}


@dataclass
class Document:
    path: Path
    name: str  # relative to the root
    text: str
    blocks: list[tuple[int, str, str]] = field(default_factory=list)  # line, kind, contents
    prose: list[str] = field(default_factory=list)  # the lines outside of blocks; empty ones inside

    def __post_init__(self) -> None:
        kind, start, inside = "", 0, None
        for number, line in enumerate(self.text.splitlines(), start=1):
            if inside is not None:
                if line.startswith("```"):
                    self.blocks.append((start, kind, "\n".join(inside)))
                    inside = None
                else:
                    inside.append(line)
                self.prose.append("")
            elif line.startswith("```"):
                kind, start, inside = line[3:].strip(), number, []
                self.prose.append("")
            else:
                self.prose.append(line)

    def anchors(self) -> set[str]:
        found: set[str] = set()
        for line in self.prose:
            if match := re.match(r"#{1,6} (.*)", line):
                slug = re.sub(r"[^\w\- ]", "", match.group(1).lower()).replace(" ", "-")
                unique, count = slug, 0
                while unique in found:
                    count += 1
                    unique = f"{slug}-{count}"
                found.add(unique)
        return found

    def spans(self) -> Iterator[tuple[int, str]]:
        for number, line in enumerate(self.prose, start=1):
            for span in re.findall(r"`([^`]+)`", line):
                yield number, span


class Sources:
    """What the documents may name."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tests: set[str] = set()
        self.functions: set[str] = set()
        self.cmake_tests: set[str] = set()
        for file in self.files("tests", "*.cc"):
            text = file.read_text(encoding="utf-8")
            self.tests.update(".".join(pair) for pair in re.findall(r"\b(?:TYPED_)?TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\s*\)", text))
            self.tests.update(f"{prefix}/{suite}" for prefix, suite in re.findall(r"INSTANTIATE_TEST_SUITE_P\(\s*(\w+),\s*(\w+)", text))
        for file in self.files("tests", "*.py"):
            self.functions.update(re.findall(r"def (test_\w+)\(", file.read_text(encoding="utf-8")))
        for file in self.files("tests", "CMakeLists.txt"):
            text = file.read_text(encoding="utf-8")
            self.cmake_tests.update(f"e2e.{name}" for name in re.findall(r"heapsync_e2e_test\((\w+)", text))
            self.cmake_tests.update(re.findall(r"NAME\s+((?:e2e|check)\.\w+)", text))
            self.cmake_tests.update(re.findall(r"heapsync_(?:test|benchmark)\((\w+)", text))
            self.cmake_tests.update(re.findall(r"add_executable\((\w+)", text))
        self.flags = set(LIBRARY_FLAGS)
        for folder in ("server/config", "client/cli", "tests/fake_heap", "tests/bench", "tests/e2e", "scripts"):
            for file in self.files(folder, "*"):
                if file.suffix in {".cc", ".h", ".py", ".sh"}:
                    text = file.read_text(encoding="utf-8")
                    self.flags.update(re.findall(r"--([a-z][\w-]*)", text))
                    if folder == "server/config":  # The settings' table names its flags as text.
                        self.flags.update(re.findall(r'"([a-z][a-z0-9_]*)"', text))
        self.subcommands: set[str] = set()
        for file in self.files("client/cli", "*command*.cc"):
            self.subcommands.update(re.findall(r'"([a-z][a-z-]*)"', file.read_text(encoding="utf-8")))
        self.read_protos()

    def files(self, folder: str, pattern: str) -> list[Path]:
        return sorted(path for path in (self.root / folder).rglob(pattern) if path.is_file())

    def read_protos(self) -> None:
        self.messages: dict[str, dict[str, str]] = dict(FOREIGN_FIELDS)
        self.methods: dict[str, str] = dict(FOREIGN_METHODS)
        self.enums: dict[str, set[str]] = {}
        for file in self.files("proto/heapsync", "*.proto"):
            text = re.sub(r"//[^\n]*", "", file.read_text(encoding="utf-8"))
            package = re.search(r"^package ([\w.]+);", text, re.MULTILINE)
            prefix = f"{package.group(1)}." if package else ""
            for kind, name, body in re.findall(r"^(message|enum|service) (\w+) \{(\}|.*?^\})", text, re.MULTILINE | re.DOTALL):
                if kind == "message":
                    self.messages[prefix + name] = {
                        field: of if "." in of else prefix + of
                        for of, field in re.findall(r"(?:repeated |optional )?([\w.]+) (\w+) = \d+;", body)}
                elif kind == "enum":
                    self.enums[prefix + name] = set(re.findall(r"(\w+) = \d+;", body))
                else:
                    for method, request in re.findall(r"rpc (\w+)\((?:stream )?([\w.]+)\)", body):
                        self.methods[f"{prefix}{name}/{method}"] = prefix + request

    def has_test(self, name: str) -> bool:
        prefix, _, rest = name.rpartition("/")
        suite, dot, test = rest.partition(".")
        known = any(fnmatch.fnmatchcase(found, f"{suite}.{test if dot else '*'}") for found in self.tests)
        return known and (not prefix or f"{prefix}/{suite}" in self.tests)

    def has_flag(self, name: str) -> bool:
        return name in self.flags

    def json_faults(self, value: object, of: str, path: str) -> list[str]:
        """Names in `value` that the message or enum `of` does not have."""
        if isinstance(value, list):
            return [fault for part in value for fault in self.json_faults(part, of, path)]
        if of in OPAQUE_TYPES:
            return []
        if of in self.enums:
            return [] if value in self.enums[of] else [f"{path}: {of} has no {value}"]
        if of not in self.messages or not isinstance(value, dict):
            return []
        faults = []
        for name, part in value.items():
            if name not in self.messages[of]:
                faults.append(f"{path}: {of} has no field {name}")
            else:
                faults += self.json_faults(part, self.messages[of][name], f"{path}.{name}")
        return faults


def split_commands(block: str) -> list[tuple[list[str], str]]:
    """The simple commands of a shell block, each with its here-document."""
    here: list[str] = []

    def take(match: re.Match[str]) -> str:
        here.append(match.group(2))
        return f" <<{len(here) - 1}\n"

    block = re.sub(r"<<'(\w+)'\n(.*?)\n\1(?:\n|$)", take, block, flags=re.DOTALL).replace("\\\n", " ")
    commands: list[tuple[list[str], str]] = []
    variables: dict[str, str] = {}
    line = ""
    for part in block.splitlines():
        line = f"{line}\n{part}" if line else part
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # a quotation that goes on
            continue
        line = ""
        command: list[str] = []
        document = ""
        for word in [*words, "|"]:
            if word in ("|", "&&", "||", ";"):
                if command:
                    commands.append((command, document))
                command, document = [], ""
            elif match := re.fullmatch(r"<<(\d+)", word):
                document = here[int(match.group(1))]
            elif not command and (match := re.fullmatch(r"(\w+)=(.*)", word)):
                variables[match.group(1)] = match.group(2)
            else:
                command.append(re.sub(r"\$\{?(\w+)\}?", lambda m: variables.get(m.group(1), m.group(0)), word))
    if line:
        raise ValueError(f"a quotation does not end: {line.splitlines()[0]}")
    return commands


def grpcurl_faults(sources: Sources, words: list[str], document: str) -> list[str]:
    data = words[words.index("-d") + 1] if "-d" in words else ""
    symbol = words[-1]
    if symbol == "list" or "describe" in words:
        known = sources.messages.keys() | {name.split("/")[0] for name in sources.methods} | {"list", "describe"}
        return [] if symbol in known else [f"grpcurl: no {symbol} in the protos"]
    if symbol not in sources.methods:
        return [f"grpcurl: no method {symbol} in the protos"]
    texts = document.splitlines() if data == "@" else [data] if data else []
    faults = []
    for text in texts:
        try:
            faults += sources.json_faults(json.loads(text), sources.methods[symbol], symbol)
        except json.JSONDecodeError as error:
            faults.append(f"grpcurl: {error}")
    return faults


def command_faults(sources: Sources, words: list[str], document: str = "") -> list[str]:
    program = words[0].rsplit("/", 1)[-1]
    if program == "grpcurl":
        return grpcurl_faults(sources, words, document)
    ours = program in OWN_PROGRAMS or words[0].startswith("scripts/")
    if not ours:
        return []
    faults = []
    if words[0].startswith("scripts/") and not (sources.root / words[0]).exists():
        faults.append(f"there is no {words[0]}")
    if program == "heapsync" and len(words) > 1 and not words[1].startswith("-") and words[1] not in sources.subcommands:
        faults.append(f"heapsync has no command {words[1]}")
    for word in words[1:]:
        if (match := re.match(r"--([A-Za-z][\w-]*)", word)) and not sources.has_flag(match.group(1)):
            faults.append(f"{program}: there is no flag --{match.group(1)}")
    return faults


def span_faults(sources: Sources, span: str) -> list[str]:
    if re.fullmatch(r"(\w+/)?[A-Z]\w*Test(\.[\w*]+)?", span):
        return [] if sources.has_test(span) else [f"there is no test {span}"]
    if re.fullmatch(r"(e2e|check)\.\w+", span):
        return [] if span in sources.cmake_tests else [f"there is no test {span}"]
    if re.fullmatch(r"test_\w+", span):
        return [] if span in sources.functions else [f"there is no test {span}"]
    if re.fullmatch(r"\w+_(test|bench)", span):
        return [] if span in sources.cmake_tests else [f"there is no program {span}"]
    if match := re.fullmatch(r"--([a-z][\w-]*)(=.*| .*)?", span):
        return [] if sources.has_flag(match.group(1)) else [f"there is no flag --{match.group(1)}"]
    first = span.split()[0] if span.split() else ""
    tops = {path.name for path in sources.root.iterdir() if path.is_dir()} - SKIPPED_FOLDERS
    if "/" in first and first.split("/")[0] in tops and re.fullmatch(r"[\w./-]+", first) and not (sources.root / first).exists():
        return [f"there is no {first}"]
    if first in OWN_PROGRAMS or first.startswith("scripts/"):
        return command_faults(sources, span.split())
    return []


def link_faults(documents: dict[str, Document], root: Path, document: Document) -> list[str]:
    faults = []
    for number, line in enumerate(document.prose, start=1):
        line = re.sub(r"`[^`]*`", lambda match: "`" * len(match.group(0)), line) if "](" not in line else line
        for target in re.findall(r"\]\(([^)\s]+)\)", line) + re.findall(r'(?:src|href)="([^"]+)"', line):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            file = (document.path.parent / path).resolve() if path else document.path
            where = f"{document.name}:{number}"
            if not file.is_relative_to(root):
                faults.append(f"{where}: the link {target} leaves the repository")
                continue
            name = file.relative_to(root).as_posix()
            if not file.exists():
                faults.append(f"{where}: the link {target} leads nowhere")
            elif anchor and name in documents and anchor not in documents[name].anchors():
                faults.append(f"{where}: {name} has no heading #{anchor}")
    return faults


def check(root: Path) -> list[str]:
    root = root.resolve()
    documents = {}
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in SKIPPED_FOLDERS]
        for file in files:
            if file.endswith(".md"):
                path = Path(folder, file)
                name = path.relative_to(root).as_posix()
                documents[name] = Document(path, name, path.read_text(encoding="utf-8"))
    documents = dict(sorted(documents.items()))
    if "README.md" not in documents:
        return [f"there is no README.md in {root}: nothing was checked"]
    faults = []
    size = (root / "README.md").stat().st_size
    if size > MAX_README_BYTES:
        faults.append(f"README.md has {size} bytes; at most {MAX_README_BYTES}: details belong to docs/")
    sources = Sources(root)
    for document in documents.values():
        faults += link_faults(documents, root, document)
        for number, span in document.spans():
            faults += [f"{document.name}:{number}: {fault}" for fault in span_faults(sources, span)]
        for number, kind, text in document.blocks:
            found: list[str] = []
            try:
                if kind.split(" ")[0] == "sh":
                    for words, here in split_commands(text):
                        found += command_faults(sources, words, here)
                elif kind in ("json", "jsonc"):
                    json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))
            except ValueError as error:
                found.append(str(error))
            faults += [f"{document.name}:{number}: {fault}" for fault in found]
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description="Fails when a document says something that the sources do not bear out.")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2])
    faults = check(parser.parse_args().root)
    print("\n".join(faults), file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
