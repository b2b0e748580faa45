#!/usr/bin/env python3
"""Imports the sample exports and compares what arrived, and what was refused and why, with tests/samples/expected.json."""

import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import harness
from harness import SOURCE, Binaries, wait_until

SAMPLES = SOURCE / "tests/samples"
EXPECTED: dict[str, Any] = json.loads((SAMPLES / "expected.json").read_text())
# The flags that each file needs; users.csv and accounts.ndjson have Heap's own names.
FLAGS = {
    "events.csv": ["--type=track", "--map=identity=user_email,event=event_name,timestamp=created_at,idempotency_key=event_id"],
    "users.csv": ["--type=user"],
    "accounts.ndjson": ["--type=account"],
}


class SamplesTest(harness.EndToEnd):
    def load(self, name: str, path: Path | None = None, stdin: bytes | None = None) -> Path:
        rejects = self.folder / f"{name}.rejects"
        rejects.unlink(missing_ok=True)
        source = "-" if stdin is not None else str(path or SAMPLES / name)
        command = [str(Binaries.cli), "import", f"--server={self.server.address}", *FLAGS[name], f"--rejects={rejects}",
                   f"--state={self.folder / name}.state", source]
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=3 * harness.PATIENCE)
        self.assertIn(done.returncode, (0, 3), done.stderr.decode())
        return rejects

    def assert_refused_as_expected(self, name: str, rejects: Path) -> None:
        lines = [json.loads(line) for line in rejects.read_text(encoding="utf-8").splitlines()]
        self.assertEqual(len(lines), EXPECTED[name]["invalid"])
        self.assertEqual([line for line in lines if len(line["violations"]) != 1], [], "each bad row has one fault")
        self.assertEqual(Counter(line["violations"][0]["reason"] for line in lines), Counter(EXPECTED[name]["rejected"]))

    def test_events(self) -> None:
        self.assert_refused_as_expected("events.csv", self.load("events.csv"))
        wait_until(lambda: self.heap.count("events", "unique_keys") >= EXPECTED["events.csv"]["distinct"], "the events")
        self.assertEqual(self.heap.count("events", "unique_keys"), EXPECTED["events.csv"]["distinct"])

    def test_users(self) -> None:
        self.assert_refused_as_expected("users.csv", self.load("users.csv"))
        wait_until(lambda: self.heap.count("users", "identities") >= EXPECTED["users.csv"]["distinct"], "the users")
        self.assertEqual(self.heap.count("users", "identities"), EXPECTED["users.csv"]["distinct"])

    def test_accounts(self) -> None:
        self.assert_refused_as_expected("accounts.ndjson", self.load("accounts.ndjson"))
        wait_until(lambda: self.heap.count("accounts", "identities") >= EXPECTED["accounts.ndjson"]["distinct"], "the accounts")
        self.assertEqual(self.heap.count("accounts", "identities"), EXPECTED["accounts.ndjson"]["distinct"])

    def test_a_dry_run_finds_the_same_and_stores_nothing(self) -> None:
        for name, flags in FLAGS.items():
            with self.subTest(name):
                state = self.folder / f"{name}.dry"
                done = subprocess.run([str(Binaries.cli), "import", f"--server={self.server.address}", "--dry_run", "--json", *flags,
                                       f"--state={state}", str(SAMPLES / name)], capture_output=True, timeout=harness.PATIENCE)
                report = json.loads(done.stdout)
                self.assertEqual({reason: fault["rows"] for reason, fault in report["faults"].items()}, EXPECTED[name]["rejected"])
                self.assertEqual((report["rows"], report["accepted"]), (EXPECTED[name]["rows"], EXPECTED[name]["valid"]))
                self.assertFalse(state.exists())

    def test_compressed_and_piped_input_gives_the_same(self) -> None:
        for tool, suffix in (("gzip", ".gz"), ("zstd", ".zst")):
            with self.subTest(tool):
                packed = subprocess.run([tool, "--stdout", str(SAMPLES / "users.csv")], check=True, capture_output=True).stdout
                path = self.folder / f"users.csv{suffix}"
                path.write_bytes(packed)
                self.assert_refused_as_expected("users.csv", self.load("users.csv", path))
                self.assert_refused_as_expected("users.csv", self.load("users.csv", stdin=packed))


if __name__ == "__main__":
    harness.run()
