#!/usr/bin/env python3
"""Counts the words and constructions that this project does not write, and fails where there are more than allowed.

Two things are counted. Comment blocks of production code that begin with a headless clause ("What waits ...", "Whether ...",
"Of these ..."): a reader has to parse them twice to find out that no main clause follows. And words that are ambiguous, archaic or
not the field's term, each with what to write instead.

    words_check.py [--counts] [--list RULE]

    --counts      the counts of each rule, by folder
    --list RULE   every place that the rule finds
"""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PRODUCTION = ("base", "heap_adapter", "server", "client", "proto")
# Besides production code, what people read.
PROSE = ("docs", "docker", "examples", "scripts", "tests/fake_heap/README.md", "README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
CODE_SUFFIXES = {".h", ".cc", ".proto"}
TEXT_SUFFIXES = CODE_SUFFIXES | {".md", ".yaml", ".json", ".sh", ".html", ".in", ".go", ".java", ".py", ".ts"}
# What the builds of the examples make beside their sources.
BUILT = {".venv", "build", "dist", "gen", "heapsync", "node_modules", "target"}
HEADLESS = "headless"
# Of comment blocks, one in so many may begin with a headless clause.
BLOCKS_PER_HEADLESS = 100


@dataclass(frozen=True)
class Rule:
    pattern: str  # a blank also matches a line break inside a comment or a string literal
    instead: str
    where: str = "text"  # or "code": without comments and string literals


RULES = {
    "under way": Rule(r"\bunder(?: |_|-)?way\b|UnderWay|UNDER_WAY", "in flight"),
    "set aside": Rule(r"\baside\b(?! from)|\baside_|_aside\b|Aside[A-Z]|[a-z]Aside\b", "deferred"),
    "bury": Rule(r"\b[Bb]ur(?:y|ies|ied|ying)\b", "dead-letter"),
    "so many": Rule(r"\bso many\b", "a number, or max_…"),
    "whoever": Rule(r"\b[Ww]hoever\b", "the caller, the reader, …"),
    "somebody": Rule(r"\b[Ss]omebody\b", "the person, the program, …"),
    "for good": Rule(r"\bfor good\b(?! measure)", "permanently"),
    "anew": Rule(r"\banew\b", "again"),
    # "no more than" and "no more bytes" are fine: only where it ends its clause.
    "no more": Rule(r"(?<!are\s)(?<!takes\s)\bno more(?=[.,;:)\"]|\n\n| (?:and|or|once|after)\b)", "no longer"),
    # "64 callers at once" is fine: only at the start of a sentence, and after verbs that mean a time.
    "at once": Rule(r"(?<=\. )At once\b|(?<=// )At once\b|\b(?:answers?|answered|delivered|exits?|fails?|looks?|returns?|sends?|sent|starts?|stops?|told)"
                    r" at once\b|\bat once (?:when|if|after)\b", "immediately"),
    "most_": Rule(r"\b(?:most|longest|least)_\w+|\bk(?:Most|Longest|Least)[A-Z]\w*", "max_, min_", "code"),
    "told": Rule(r"\b\w*(?:[Uu]ntold|(?<![a-z])told|Told)\w*", "notified, pending, unsent", "code"),
    "std::mutex": Rule(r"std::(?:mutex|condition_variable)\b", "Mutex, CondVar of base/mutex.h", "code"),
}

# How many of each there may be. To be lowered with every pass over the prose, and never raised.
ALLOWANCE: dict[str, int] = {"somebody": 1}

# Places that are meant so.
EXCEPTIONS = {
    ("std::mutex", "base/mutex.h"): "wraps them",
}


@dataclass(frozen=True)
class Hit:
    rule: str
    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


def files(root: Path, tops: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for top in tops:
        found = [root / top] if (root / top).is_file() else sorted((root / top).rglob("*"))
        for path in found:
            built = top == "examples" and BUILT & set(path.relative_to(root).parts)
            if path.is_file() and path.suffix in TEXT_SUFFIXES and not built:
                yield path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")


def without_comments(text: str) -> str:
    """Code alone, with every line where it was."""
    return re.sub(r'//[^\n]*|"(?:\\.|[^"\\\n])*"', lambda match: '""' if match.group(0)[0] == '"' else "", text)


def comment_blocks(text: str) -> Iterator[tuple[int, str]]:
    """Whole-line comments that follow each other, joined: the first line's number and the text. Paragraphs are one block."""
    block: list[str] = []
    start = 0
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        if match := re.match(r"\s*//+ ?(.*)", line):
            if not block:
                start = number
            block.append(match.group(1).strip())
        elif block:
            yield start, " ".join(block)
            block = []


def is_headless(comment: str) -> bool:
    """Whether it begins with a relative or partitive clause instead of a noun phrase or a sentence."""
    sentence = re.split(r"(?<=[.:;?])(?: |$)", comment, maxsplit=1)[0]
    if sentence.endswith("?"):
        return False
    if re.match(r"(?:What|Whatever|Whether|Who|Whoever|Whose|Whom|How)\b(?! to\b)", sentence):
        return True
    if re.match(r"Of (?:the|these|those|them|it|its|all|a|an|this|that|each|which|one|whom?)\b", sentence):
        return True
    # "Where the disk is full, the caller waits." has its main clause behind the comma.
    return bool(re.match(r"Where\b", sentence)) and not re.search(r", (?:\S+ ){2}", sentence)


def headless(root: Path) -> tuple[int, list[Hit]]:
    """How many comment blocks there are, and those that begin with a headless clause."""
    blocks = 0
    hits = []
    for path, text in files(root, PRODUCTION):
        if Path(path).suffix in CODE_SUFFIXES:
            for line, comment in comment_blocks(text):
                blocks += 1
                if is_headless(comment):
                    hits.append(Hit(HEADLESS, path, line, comment[:90]))
    return blocks, hits


def banned(root: Path) -> list[Hit]:
    gap = r'(?:[ \t]+|[ \t]*"?[ \t]*\n[ \t]*(?://+[ \t]*|#[ \t]*|")?)'
    compiled = {name: re.compile(rule.pattern.replace(" ", gap) if rule.where == "text" and "(?<=" not in rule.pattern else rule.pattern)
                for name, rule in RULES.items()}
    hits = []
    for path, text in files(root, PRODUCTION + PROSE):
        code = without_comments(text) if Path(path).suffix in CODE_SUFFIXES else ""
        for name, rule in RULES.items():
            if (name, path) in EXCEPTIONS:
                continue
            for match in compiled[name].finditer(text if rule.where == "text" else code):
                line = match.string.count("\n", 0, match.start()) + 1
                hits.append(Hit(name, path, line, text.splitlines()[line - 1].strip()[:110]))
    return hits


def folder_of(path: str) -> str:
    parts = path.split("/")
    return "/".join(parts[:2]) if len(parts) > 2 and parts[0] in ("heap_adapter", "server", "client") else parts[0]


def report(hits: list[Hit]) -> str:
    lines = []
    for name in (HEADLESS, *RULES):
        counts = Counter(folder_of(hit.path) for hit in hits if hit.rule == name)
        parts = ", ".join(f"{folder} {count}" for folder, count in counts.most_common())
        lines.append(f"{name}: {sum(counts.values())} of {ALLOWANCE.get(name, 0)} allowed{f' ({parts})' if parts else ''}")
    return "\n".join(lines)


def check(root: Path, allowance: dict[str, int]) -> tuple[list[str], list[Hit], int]:
    """The faults, all hits, and the number of comment blocks."""
    blocks, hits = headless(root)
    hits += banned(root)
    if blocks == 0:
        return [f"no comments under {root}: nothing was checked"], hits, blocks
    faults = []
    for name in (HEADLESS, *RULES):
        found = [hit for hit in hits if hit.rule == name]
        limit = allowance.get(name, 0)
        if name == HEADLESS:
            limit = max(limit, blocks // BLOCKS_PER_HEADLESS)
        if len(found) > limit:
            instead = "begin with a noun or a full sentence" if name == HEADLESS else f"write: {RULES[name].instead}"
            faults.append(f"{name}: {len(found)}, and {limit} are allowed; {instead}\n" + "\n".join(f"  {hit}" for hit in found))
    return faults, hits, blocks


def main() -> int:
    parser = argparse.ArgumentParser(description="Fails on words and constructions that this project does not write.")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--counts", action="store_true")
    parser.add_argument("--list", choices=[HEADLESS, *RULES])
    arguments = parser.parse_args()
    faults, hits, blocks = check(arguments.root, ALLOWANCE)
    if arguments.list:
        print("\n".join(str(hit) for hit in hits if hit.rule == arguments.list))
    else:
        print(f"{blocks} comment blocks\n{report(hits)}")
    print("\n".join(faults), file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
