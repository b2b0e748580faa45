#!/usr/bin/env python3
"""Writes the sample warehouse exports and what is to be expected of them.

The exports are as messy as real ones: quotes, line breaks inside cells, umlauts and emoji, empty cells, mixed line ends, a
byte order mark, repeated rows, and rows that cannot be sent at all. Every row that must be refused has exactly one fault, and
expected.json counts them by the reason that Heap Sync gives. The same seed always gives the same bytes:

    tests/samples/generate.py                 rewrites the committed files
    tests/samples/generate.py --check         fails if they are not what this script writes
"""

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

SEED = 20240115
EVENTS, USERS, ACCOUNTS = 6_000, 2_400, 1_200
LONGEST_VALUE = 1_023  # UTF-16 units; Heap takes fewer than 1,024.

FIRST_NAMES = ("Jürgen", "Zoë", "Łukasz", "Siobhán", "Renée", "Søren", "Ana", "Björn", "D'Arcy", "Çağla", "Ωmega", "Mei", "李雷",
               "Олена", "علي", "Noël", "Åsa", "Iñigo", "Chloe", "Max")
LAST_NAMES = ("Müller", "O'Brien", "Nowak", "García", "Sørensen", "Smith", "Weiß", "Dvořák", "Nguyễn", "van der Berg", "Şahin",
              "Иваненко", "Straße", "Jones-Lee", "Ångström", "Costa")
CITIES = ("Köln", "Zürich", "São Paulo", "Kraków", "Malmö", "İstanbul", "東京", "Reykjavík", "Galway", "New York, NY", "Łódź", "Αθήνα")
EVENT_NAMES = ("Purchase Completed", "Trial Started", "Invoice Paid", "Seat Added", "Plan Upgraded", "Refund Issued",
               "Einführung abgeschlossen", "Report “Q1” Exported", "🎉 Onboarding Done", "Checkout, Step 2")
PLANS = ("Free", "Starter", "Pro", "Enterprise", "Pro (jährlich)", "")
CURRENCIES = ("USD", "EUR", "GBP", "CHF", "PLN", "JPY", "")
NOTES = ("", "", "", "", "ok", "called back", 'said "call me later", then hung up', "two\nlines", "Windows\r\nline ends", "tab\there",
         "Grüße aus Köln", "🚀🚀🚀", "family 👨‍👩‍👧‍👦 plan", "comma, semicolon; pipe|", "'single' and \"double\"", "=SUM(A1:A9)",
         "<b>not markup</b>", "back\\slash", "trailing space ", " leading space", "NULL", "NaN", "007", "1e5", "-0", "+49 221 123",
         "9007199254740993", "00012345678901234567890", "{\"looks\": \"like json\"}", "a\u00a0no-break space", "right\u200fto-left",
         "e\u0301 combining", "ﬁ ligature", "line one\nline \"two\", quoted\n\nline four")
INDUSTRIES = ("Technology", "Maschinenbau", "Retail & Wholesale", "Santé", "Pädagogik", "物流", "Fin\"tech\"")
PLACEHOLDERS = ("undefined", "null", "NULL", "N/A", "unknown", "Undefined", "0", "anonymous")


@dataclass
class Expectation:
    """What becomes of one file."""

    type: str
    rows: int = 0
    valid: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    keys: set[str] = field(default_factory=set)

    def good(self, key: str) -> None:
        self.rows += 1
        self.valid += 1
        self.keys.add(key)

    def bad(self, reason: str) -> None:
        self.rows += 1
        self.rejected[reason] += 1

    def as_json(self) -> dict[str, object]:
        return {
            "type": self.type,
            "rows": self.rows,
            "valid": self.valid,
            "invalid": sum(self.rejected.values()),
            "rejected": dict(sorted(self.rejected.items())),
            # Distinct idempotency keys, identities or account ids among the valid rows: what Heap ends up with.
            "distinct": len(self.keys),
        }


def utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def email(rng: random.Random, number: int) -> str:
    """Plus signs, capitals (Heap tells them apart), sub-domains; never two for one number."""
    stem = rng.choice(("anna.k", "J.Doe", "info", "zoe+news", "o'neil", "m_mueller", "kim-lee", "X"))
    host = rng.choice(("example.com", "example.org", "mail.example.net", "Example.COM"))
    return f"{stem}.{number}@{host}"


def timestamp(rng: random.Random, at: datetime) -> str:
    """RFC 3339, and what warehouses print instead."""
    local = at + timedelta(hours=2)
    return rng.choice((
        at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{rng.randrange(1000):03d}Z",
        at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{rng.randrange(10**6):06d}+00:00",
        local.strftime("%Y-%m-%dT%H:%M:%S+02:00"),
        local.strftime("%Y-%m-%d %H:%M:%S+02"),
        at.strftime("%Y-%m-%d %H:%M:%S UTC"),
        at.strftime("%Y-%m-%d %H:%M:%S.") + f"{rng.randrange(1000):03d}",
        str(int(at.timestamp() * 1000)),
    ))


def amount(rng: random.Random) -> str:
    cents = rng.randrange(-5_000, 250_000)
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"


def longest_value(rng: random.Random) -> str:
    """Just short enough; of one, two or three bytes in UTF-8, or of two units in UTF-16, per character."""
    return rng.choice(("x" * LONGEST_VALUE, "ä" * LONGEST_VALUE, "字" * LONGEST_VALUE, "🙂" * (LONGEST_VALUE // 2)))


def too_long_value(rng: random.Random) -> str:
    return rng.choice(("x" * (LONGEST_VALUE + 1), "ä" * (LONGEST_VALUE + 1), "🙂" * (LONGEST_VALUE // 2 + 1), "lorem ipsum " * 400))


def cell(text: str, quote_always: bool) -> str:
    if quote_always or any(char in text for char in ',"\r\n') or text != text.strip():
        return '"' + text.replace('"', '""') + '"'
    return text


class CsvFile:
    """Rows as several tools in a row would have left them: CRLF here, LF there, quotes where not needed."""

    def __init__(self, rng: random.Random, columns: list[str], line_ends: tuple[str, ...]) -> None:
        self._rng = rng
        self._line_ends = line_ends
        self._bytes = bytearray()
        self.columns = columns
        self.add(columns)

    def add(self, cells: list[str]) -> None:
        quote_always = self._rng.randrange(12) == 0
        line = ",".join(cell(text, quote_always) for text in cells) + self._rng.choice(self._line_ends)
        self._bytes += line.encode()

    @staticmethod
    def line(cells: list[str]) -> bytes:
        return ",".join(cell(text, False) for text in cells).encode()

    def add_raw(self, line: bytes) -> None:
        self._bytes += line

    def __bytes__(self) -> bytes:
        return bytes(self._bytes)


def spread(rng: random.Random, total: int, faults: dict[str, int]) -> list[str]:
    """For each row, "" or the name of the fault that it is to have; never in the first rows, so that a preview looks sane."""
    plan = [""] * total
    places = rng.sample(range(10, total), sum(faults.values()))
    for name, count in faults.items():
        for _ in range(count):
            plan[places.pop()] = name
    return plan


def events(rng: random.Random) -> tuple[bytes, Expectation]:
    expectation = Expectation("event")
    columns = ["event_id", "user_email", "event_name", "created_at", "amount", "currency", "plan", "quantity", "is_trial", "notes"]
    out = CsvFile(rng, columns, ("\n", "\n", "\n", "\r\n"))
    people = [email(rng, number) for number in range(700)]
    start = datetime(2024, 1, 15, 10, 30, tzinfo=timezone.utc)
    faults = {
        "REQUIRED": 34,
        "EVENT_MISSING": 11,
        "IDENTITY_DENIED": 23,
        "IDENTITY_TOO_LONG": 7,
        "VALUE_TOO_LONG": 19,
        "INVALID_TIMESTAMP": 27,
        "INVALID_UTF8": 4,
        "WRONG_CELL_COUNT": 6,
        "STRAY_QUOTE": 3,
    }
    repeats: list[list[str]] = []
    for number, fault in enumerate(spread(rng, EVENTS, faults)):
        row = [
            f"evt-{rng.getrandbits(64):016x}",
            rng.choice(people),
            rng.choice(EVENT_NAMES),
            timestamp(rng, start + timedelta(seconds=61 * number)) if rng.randrange(60) else "",
            amount(rng) if rng.randrange(8) else "",
            rng.choice(CURRENCIES),
            rng.choice(PLANS),
            str(rng.randrange(1, 40)),
            rng.choice(("true", "false", "")),
            rng.choice(NOTES),
        ]
        if rng.randrange(400) == 0:
            row[9] = longest_value(rng)
        if rng.randrange(500) == 0:
            row[2] = "Ein sehr langer Name " * 48  # 1,008 characters: allowed.
        if rng.randrange(300) == 0:
            row[1] = f"{'x' * 225}{number:05d}@long.example.com"  # 246: allowed, and nobody else's.

        if fault == "REQUIRED":
            row[1] = ""
        elif fault == "EVENT_MISSING":
            row[2], fault = "", "REQUIRED"
        elif fault == "IDENTITY_DENIED":
            row[1] = rng.choice(PLACEHOLDERS)
        elif fault == "IDENTITY_TOO_LONG":
            row[1], fault = "x" * 244 + "@example.com", "VALUE_TOO_LONG"
        elif fault == "VALUE_TOO_LONG":
            row[9] = too_long_value(rng)
        elif fault == "INVALID_TIMESTAMP":
            row[3] = rng.choice(("yesterday", "2024-02-30T10:00:00Z", "2024-13-05T10:00:00Z", "0000-00-00 00:00:00", "#VALUE!", "n/a",
                                 "2024-01-15T25:61:00Z"))
        elif fault == "INVALID_UTF8":
            row[9] = "Latin-1"
        if fault == "INVALID_UTF8":
            out.add_raw(out.line(row) + b": Gr\xfc\xdfe\n")
        elif fault == "STRAY_QUOTE":
            out.add_raw(out.line(row[:9]) + b',27" monitor\n')
            fault = "BAD_QUOTING"
        elif fault == "WRONG_CELL_COUNT":
            out.add(row + ["left over"] if rng.randrange(2) else row[:6])
        else:
            out.add(row)
        if fault:
            expectation.bad(fault)
            continue
        expectation.good(row[0])
        if rng.randrange(250) == 0:
            repeats.append(row)
        # Exports that ran twice over the same hour repeat rows, key and all.
        if len(repeats) == 6:
            for repeated in repeats:
                out.add(repeated)
                expectation.good(repeated[0])
            repeats.clear()
    return bytes(out), expectation


def users(rng: random.Random) -> tuple[bytes, Expectation]:
    expectation = Expectation("user")
    columns = ["identity", "email", "name", "city", "postcode", "plan", "lifetime_value", "signed_up_on", "newsletter", "Notes (internal)"]
    out = CsvFile(rng, columns, ("\r\n", "\r\n", "\n"))
    people = [email(rng, 10_000 + number) for number in range(2_150)]
    faults = {"REQUIRED": 21, "IDENTITY_DENIED": 17, "VALUE_TOO_LONG": 12, "INVALID_UTF8": 3}
    for number, fault in enumerate(spread(rng, USERS, faults)):
        identity = people[number] if number < len(people) else rng.choice(people)
        row = [
            identity,
            identity.lower() if rng.randrange(9) else "",
            f"{rng.choice(FIRST_NAMES)} {rng.choice(LAST_NAMES)}",
            rng.choice(CITIES),
            f"{rng.randrange(100_000):05d}",
            rng.choice(PLANS),
            amount(rng) if rng.randrange(6) else "",
            (datetime(2019, 3, 1, tzinfo=timezone.utc) + timedelta(days=rng.randrange(2_000))).strftime("%d.%m.%Y"),
            rng.choice(("true", "false", "TRUE", "")),
            rng.choice(NOTES),
        ]
        if rng.randrange(300) == 0:
            row[9] = longest_value(rng)
        if fault == "REQUIRED":
            row[0] = ""
        elif fault == "IDENTITY_DENIED":
            row[0] = rng.choice(PLACEHOLDERS)
        elif fault == "VALUE_TOO_LONG":
            row[9] = too_long_value(rng)
        if fault == "INVALID_UTF8":
            row[9] = "Latin-1"
            out.add_raw(out.line(row) + b": Stra\xdfe\r\n")
        else:
            out.add(row)
        if fault:
            expectation.bad(fault)
        else:
            expectation.good(identity)
    # As spreadsheets save "CSV UTF-8".
    return b"\xef\xbb\xbf" + bytes(out), expectation


def accounts(rng: random.Random) -> tuple[bytes, Expectation]:
    expectation = Expectation("account")
    faults = {"REQUIRED": 9, "NESTED_OBJECT": 13, "NESTED_LIST": 4, "VALUE_TOO_LONG": 8, "INVALID_JSON": 6}
    lines: list[str] = []
    for number, fault in enumerate(spread(rng, ACCOUNTS, faults)):
        account_id = f"acme-{number:04d}" if rng.randrange(20) else f"Größe & Söhne {number} GmbH"
        properties: dict[str, object] = {
            "industry": rng.choice(INDUSTRIES),
            "arr": rng.choice((150_000, 0, 12_345.67, "150000", -1, 1e6)),
            "employees": rng.randrange(1, 90_000),
            "active": rng.choice((True, False, None)),
            "owner": f"{rng.choice(FIRST_NAMES)} {rng.choice(LAST_NAMES)}",
            "regions": rng.sample(["DACH", "Nordics", "UK&I", "LATAM", "日本"], rng.randrange(4)),
            "note": rng.choice(NOTES),
        }
        if rng.randrange(200) == 0:
            properties["note"] = longest_value(rng)
        item: dict[str, object] = {"account_id": account_id, "properties": properties}
        if rng.randrange(90) == 0:
            del item["properties"]
        if fault == "REQUIRED":
            item["account_id"] = ""
        elif fault == "NESTED_OBJECT":
            item["properties"] = properties | {"address": {"city": rng.choice(CITIES), "zip": "01067"}}
        elif fault == "NESTED_LIST":
            item["properties"] = properties | {"seats": [[1, 2]]}
        elif fault == "VALUE_TOO_LONG":
            item["properties"] = properties | {"note": too_long_value(rng)}
        text = json.dumps(item, ensure_ascii=rng.randrange(5) == 0, separators=rng.choice(((",", ":"), (", ", ": "))))
        if fault == "INVALID_JSON":
            text = rng.choice((text[: len(text) // 2], text.replace('"account_id"', "account_id"), "42"))
        lines.append(text + rng.choice(("\n", "\n", "\n", "\r\n")))
        if rng.randrange(150) == 0:
            lines.append("\n")
        if fault:
            expectation.bad(fault)
        else:
            expectation.good(account_id)
    # No line end after the last line: the export's writer was closed too early to add one.
    return "".join(lines).rstrip("\r\n").encode(), expectation


def generate() -> dict[str, bytes]:
    makers: dict[str, Callable[[random.Random], tuple[bytes, Expectation]]] = {
        "events.csv": events,
        "users.csv": users,
        "accounts.ndjson": accounts,
    }
    files: dict[str, bytes] = {}
    expected: dict[str, object] = {}
    for number, (name, maker) in enumerate(makers.items()):
        files[name], expectation = maker(random.Random(SEED + number))
        expected[name] = expectation.as_json()
    files["expected.json"] = (json.dumps(expected, indent=2) + "\n").encode()
    return files


def main() -> int:
    parser = argparse.ArgumentParser(description="Writes the sample warehouse exports.")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent, help="folder to write to")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the files in the folder differ")
    arguments = parser.parse_args()
    stale = []
    for name, content in generate().items():
        path = arguments.out / name
        if not arguments.check:
            path.write_bytes(content)
        elif not path.exists() or path.read_bytes() != content:
            stale.append(name)
    if stale:
        print(f"not what {Path(__file__).name} writes: {', '.join(stale)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
