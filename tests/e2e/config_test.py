#!/usr/bin/env python3
"""A server with an invalid configuration reports all faults together and does not start."""

import os
import subprocess
import unittest
from pathlib import Path

import harness
from harness import Binaries, temporary_folder


class ConfigTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = temporary_folder(cls)

    def refuse(self, *flags: str, environment: dict[str, str] | None = None) -> str:
        """What the server prints as it refuses to start."""
        first, second = harness.free_ports(2)
        done = subprocess.run([
            str(Binaries.server), f"--listen=127.0.0.1:{first}", f"--http_listen=127.0.0.1:{second}", f"--data_dir={self.folder / 'data'}",
            *flags
        ], capture_output=True, env=os.environ | (environment or {}), timeout=harness.PATIENCE)
        text = (done.stdout + done.stderr).decode()
        self.assertGreater(done.returncode, 0, text)
        return text

    def config(self, text: str) -> str:
        path = Path(self.folder) / "heapsync.json"
        path.write_text(text, encoding="utf-8")
        return f"--config={path}"

    def test_a_file_with_three_mistakes_lists_three(self) -> None:
        text = self.refuse(self.config("""{
            // Three mistakes: letters in an App ID, a region that is none, a default that does not exist.
            "destinations": [
              {"name": "prod", "app_id": "12ab", "region": "us"},
              {"name": "europe", "app_id": "2222222222", "region": "moon"}
            ],
            "default_destination": "nowhere"
        }"""))
        for place in ("destinations[0].app_id", "destinations[1].region", "default_destination"):
            self.assertIn(place, text)
        self.assertNotIn("12ab", text)

    def test_faults_of_flags_environment_and_file_come_together(self) -> None:
        text = self.refuse(self.config('{"destinations": [{"name": "Prod!", "app_id": "1", "region": "us"}]}'), "--max_age=soon",
                           environment={"HEAPSYNC_HEAP_US_URL": "ftp://example.com"})
        for place in ("destinations[0].name", "max_age", "HEAPSYNC_HEAP_US_URL"):
            self.assertIn(place, text)

    def test_plain_http_to_another_machine_must_be_allowed(self) -> None:
        text = self.refuse("--app_id=1234567890", "--heap_us_url=http://heap.example.com")
        self.assertIn("allow_plaintext_heap", text)

    def test_without_any_destination_it_says_how_to_name_one(self) -> None:
        text = self.refuse()
        self.assertIn("app_id", text)
        self.assertIn("config", text)

    def test_a_flag_that_does_not_exist_is_named(self) -> None:
        self.assertIn("no_such_flag", self.refuse("--app_id=1234567890", "--no_such_flag=1"))

    def test_an_address_in_use_is_named(self) -> None:
        heap = harness.FakeHeap(self.folder)
        self.addCleanup(heap.kill)
        taken = heap.us_url.removeprefix("http://")
        self.assertIn(taken, self.refuse("--app_id=1234567890", f"--listen={taken}"))


if __name__ == "__main__":
    harness.run()
