#!/usr/bin/env python3
"""Exports as real tools write them arrive as the rows that they were made of: pandas, DuckDB and Spark, and the public shapes of Snowflake,
BigQuery, Mixpanel and Amplitude.

scripts/install_test_tools.sh installs the tools in build/tools/exports.
"""

import datetime
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

import harness
from harness import APP_US, SOURCE, Binaries, FakeHeap, Server, temporary_folder, two_regions

PYTHON = Path(os.environ.get("HEAPSYNC_TOOLS_DIR", SOURCE / "build" / "tools")) / "exports" / "bin" / "python"
UTC = datetime.timezone.utc
NOTE = 'say "hi", ok\nforged@example.com,Refunded \\" end'
ROWS = {
    "ada@example.com": {"amount": 9.5, "seats": 3, "note": "Free", "active": "true"},
    "bob@example.com": {},
    "eve@example.com": {"amount": 12, "seats": 5, "note": NOTE, "active": "false"},
    "kim@example.com": {"amount": 0.25, "seats": 0, "note": "C:\\dir\\", "active": "true"},
}
TIMES = {"ada@example.com": "2024-01-15T10:30:00.123Z", "bob@example.com": "2024-01-15T10:31:00Z",
         "eve@example.com": "2024-01-15T00:00:00Z", "kim@example.com": "2024-01-15T00:00:00Z"}
FLAGS = {"spark.csv": ["--escape=spark"], "spark-null.csv": ["--escape=spark"], "spark.csv.gz": ["--escape=spark"],
         "spark-noheader.csv": ["--escape=spark", "--columns=identity,event,timestamp,amount,seats,note,active"],
         "pandas.tsv": ["--delimiter=tab"], "duckdb.tsv": ["--delimiter=tab"]}
DOUBLED = ["--escape=double"]
# What is not read says so in one sentence.
REFUSED = {"pandas-utf16.csv": "UTF-16", "pandas-columns.json": "must be a string or a number", "pandas-split.json": "inside of \"data\"",
           "duckdb.parquet": "Parquet"}


class ExportsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = temporary_folder(cls)
        cls.exports = Path(tempfile.mkdtemp(prefix="exports-", dir=cls.folder))
        if PYTHON.exists():
            subprocess.run([PYTHON, Path(__file__).with_name("make_exports.py"), cls.exports], check=True, capture_output=True)
        cls.heap = FakeHeap(cls.folder)
        cls.addClassCleanup(cls.heap.kill)
        cls.server = Server(cls.folder, cls.heap, f"--config={two_regions(cls.folder)}", "--max_batch_wait=10ms")
        cls.addClassCleanup(cls.server.kill)

    def setUp(self) -> None:
        self.heap._ask("/_fake/state", "DELETE")

    def run_import(self, path: Path, *flags: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(Binaries.cli), "import", f"--server={self.server.address}", "--type=track", "--ack=delivered",
                               "--progress=none", *flags, str(path)], capture_output=True, text=True, timeout=harness.PATIENCE, check=False)

    def arrived(self) -> dict[str, list[dict[str, Any]]]:
        events = self.heap.get("events", app_id=APP_US, limit="100000")["events"]
        people: dict[str, list[dict[str, Any]]] = {}
        for event in events:
            people.setdefault(event["identity"], []).append(event["event"])
        return people

    def check_rows(self, name: str) -> None:
        people = self.arrived()
        self.assertEqual(sorted(people), sorted(ROWS), name)
        for person, events in people.items():
            self.assertEqual(len(events), 1, name)
            self.assertEqual(events[0]["timestamp"], TIMES[person], name)
            properties = dict(events[0].get("properties", {}))
            properties.pop("Unnamed: 0", None)
            if name.startswith("pandas"):  # whose booleans are Python's
                properties = {key: str(value).lower() if key == "active" else value for key, value in properties.items()}
            if name == "pandas-nan.csv":  # which only a person can tell from text
                properties = {key: value for key, value in properties.items() if str(value).lower() != "nan"}
            self.assertEqual(properties, ROWS[person], f"{name}: {person}")

    def test_each_export_of_a_tool_arrives_as_its_rows(self) -> None:
        if not PYTHON.exists():
            self.skipTest("no build/tools/exports")
        files = sorted(path for path in self.exports.iterdir() if path.is_file())
        self.assertGreater(len(files), 20)
        if shutil.which("java") is not None:
            self.assertTrue(any(path.name.startswith("spark") for path in files))
        for path in files:
            with self.subTest(path.name):
                self.heap._ask("/_fake/state", "DELETE")
                escape = DOUBLED if path.name.startswith(("pandas", "duckdb", "spark-doubled")) else []
                done = self.run_import(path, *FLAGS.get(path.name, []), *escape)
                if path.name in REFUSED:
                    self.assertIn(done.returncode, (2, 3), done.stderr)
                    self.assertIn(REFUSED[path.name], done.stdout + done.stderr)
                    self.assertEqual(self.arrived(), {})
                elif path.name == "spark-empty.ndjson":
                    self.assertEqual(done.returncode, 0, done.stderr)
                else:
                    self.assertEqual(done.returncode, 0, path.name + done.stdout + done.stderr)
                    self.check_rows(path.name)

    def test_without_its_dialect_an_export_is_read_right_or_not_at_all(self) -> None:
        if not PYTHON.exists():
            self.skipTest("no build/tools/exports")
        for path in sorted(self.exports.glob("*.csv*")):
            with self.subTest(path.name):
                self.heap._ask("/_fake/state", "DELETE")
                self.run_import(path)
                self.assertNotIn("forged@example.com", self.arrived(), path.name)

    def write(self, name: str, text: str) -> Path:
        path: Path = self.folder / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path

    def event_of(self, person: str) -> dict[str, Any]:
        event = dict(self.arrived()[person][0])
        event.pop("identity")
        return event

    def test_a_snowflake_unload(self) -> None:
        path = self.write("data_0_0_0.csv.gz",
                          'IDENTITY,EVENT,TIMESTAMP,AMOUNT,NOTE\n'
                          '"ada@example.com","Signed Up","2024-01-15 10:30:00.123 Z",9.50,\\N\n'
                          '"eve@example.com","Signed Up","2024-01-14 16:00:00.000 -0800",\\N,"say ""hi"", ok"\n'
                          '\\N,"Signed Up","2024-01-15 00:00:00.000 Z",1.00,"nobody\'s"\n')
        refused = self.run_import(path)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("--map=identity=IDENTITY,event=EVENT,timestamp=TIMESTAMP", refused.stderr)
        done = self.run_import(path, "--map=identity=IDENTITY,event=EVENT,timestamp=TIMESTAMP")
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("row 3", done.stdout)
        self.assertEqual(sorted(self.arrived()), ["ada@example.com", "eve@example.com"])
        self.assertEqual(self.event_of("eve@example.com")["timestamp"], "2024-01-15T00:00:00Z")
        self.assertEqual(self.event_of("ada@example.com")["properties"], {"AMOUNT": 9.5})

    def test_a_bigquery_export(self) -> None:
        path = self.write("bq-000000000000.json",
                          '{"identity":"ada@example.com","event":"Signed Up","timestamp":"2024-01-15 10:30:00.123456 UTC","amount":9.5,'
                          '"seats":"3","active":true,"tags":["a","b"]}\n'
                          '{"identity":"eve@example.com","event":"Signed Up","timestamp":"2024-01-15 00:00:00 UTC","seats":"9007199254740993"}\n')
        self.assertEqual(self.run_import(path).returncode, 0)
        self.assertEqual(self.event_of("ada@example.com")["timestamp"], "2024-01-15T10:30:00.123456Z")
        self.assertEqual(self.event_of("ada@example.com")["properties"], {"amount": 9.5, "seats": "3", "active": "true", "tags": "a||b"})
        self.assertEqual(self.event_of("eve@example.com")["properties"], {"seats": "9007199254740993"})

    def test_a_mixpanel_export(self) -> None:
        path = self.write("mixpanel.jsonl",
                          '{"event":"Signed Up","properties":{"time":1705314600,"distinct_id":"ada@example.com","$insert_id":"0123456789abcdef",'
                          '"$city":"Wien","plan":"Free"}}\n')
        done = self.run_import(path, "--map=identity=properties.distinct_id,timestamp=properties.time,idempotency_key=properties.$insert_id")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(self.event_of("ada@example.com"),
                         {"event": "Signed Up", "timestamp": "2024-01-15T10:30:00Z", "idempotency_key": "0123456789abcdef",
                          "properties": {"$city": "Wien", "plan": "Free"}})

    def test_an_amplitude_export(self) -> None:
        rows = [{"$insert_id": "ins-1", "event_type": "Signed Up", "event_time": "2024-01-15 10:30:00.123000", "user_id": "ada@example.com",
                 "device_id": "d1", "session_id": 1705314600123, "event_properties": {"plan": "Free"}, "user_properties": {"seats": 3},
                 "uuid": "c6b6e8c6-0000-11ee-aaaa-0242ac120002", "groups": {}},
                {"event_type": "Signed Up", "event_time": "2024-01-15 00:00:00.000000", "user_id": "eve@example.com", "device_id": "d2",
                 "session_id": -1, "event_properties": {}, "user_properties": {}, "uuid": "c6b6e8c6-0001-11ee-aaaa-0242ac120002"}]
        path = self.write("1234_2024-01-15_10#0.json.gz", "".join(json.dumps(row) + "\n" for row in rows))
        done = self.run_import(path, "--map=identity=user_id,event=event_type,timestamp=event_time,idempotency_key=uuid,"
                               "properties=event_properties", "--properties=")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(self.event_of("ada@example.com"),
                         {"event": "Signed Up", "timestamp": "2024-01-15T10:30:00.123Z", "session_id": "1705314600123",
                          "idempotency_key": "c6b6e8c6-0000-11ee-aaaa-0242ac120002", "properties": {"plan": "Free"}})
        self.assertNotIn("session_id", self.event_of("eve@example.com"))


if __name__ == "__main__":
    if not PYTHON.exists():
        print("SKIPPED in part: no build/tools/exports; scripts/install_test_tools.sh makes it", file=sys.stderr)
        if os.environ.get("CI") == "true":
            sys.exit(1)
    harness.run()
