#!/usr/bin/env python3
"""Every command of docs/runbook.md, run against a real server that has the troubles it is about.

A block of commands is checked by the comments behind it: each regular expression after "shows:" must match its output, and
"sets: NAME=…" keeps what matched for the blocks that follow.
"""

import json
import os
import re
import subprocess
import unittest
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import harness
import raw_calls
import yaml
from harness import APP_EU, APP_US, SOURCE, Binaries, FakeHeap, Server, temporary_folder, wait_until

RUNBOOK = SOURCE / "docs/runbook.md"
TRACE = "0af7651916cd43dd8448eb211c80319c"
ALERTS = SOURCE / "docker/prometheus/alerts.yaml"


@dataclass
class Block:
    question: str
    kind: str  # what stands behind "```sh"
    commands: str
    shows: list[str] = field(default_factory=list)
    sets: list[str] = field(default_factory=list)


def blocks() -> list[Block]:
    found: list[Block] = []
    question = ""
    fence: list[str] | None = None
    for line in RUNBOOK.read_text().splitlines():
        if fence is not None:
            if line == "```":
                found[-1].commands = "\n".join(fence)
                fence = None
            else:
                fence.append(line)
        elif line.startswith("```sh"):
            found.append(Block(question, line.removeprefix("```sh").strip(), ""))
            fence = []
        elif line.startswith("## "):
            question = line.removeprefix("## ")
        elif match := re.fullmatch(r"<!-- (shows|sets): (.*) -->", line):
            getattr(found[-1], match.group(1)).append(match.group(2))
    return found


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


class RunbookTest(unittest.TestCase):
    folder: Path
    server: Server
    environment: dict[str, str]

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = temporary_folder(cls)
        heap = FakeHeap(cls.folder)
        cls.addClassCleanup(heap.kill)
        config = cls.folder / "heapsync.json"
        config.write_text(json.dumps({"destinations": [
            {"name": "prod", "app_id": APP_US, "region": "us"},
            {"name": "crm", "app_id": "3333333333", "region": "us", "limits": {"events_per_minute": 100}},
            {"name": "europe", "app_id": APP_EU, "region": "eu"}], "default_destination": "prod"}))
        cls.server = Server(cls.folder, heap, f"--config={config}", "--log_level=debug", "--drain_timeout=1s")
        cls.addClassCleanup(cls.server.kill)
        heap.set_faults({"match": {"body_contains": "poisoned"}, "times": 1, "action": {"type": "poison"}},
                        {"match": {"app_id": APP_EU}, "action": {"type": "status", "status": 403}})
        with grpc.insecure_channel(cls.server.address) as channel:
            answer = raw_calls.call(channel, "TrackEvent", raw_calls.event("somebody"), "prod", request_id="order-17",
                                    metadata=[("traceparent", f"00-{TRACE}-b7ad6b7169203331-01")])
            wait_until(lambda: heap.events_of("somebody"), "the event at Heap")  # alone, before there is trouble
            raw_calls.call(channel, "TrackEvent", raw_calls.event("poisoned"), "prod")
            for number in range(150):
                raw_calls.call(channel, "TrackEvent", raw_calls.event(f"person-{number}"), "crm",
                               metadata=[("heapsync-caller", "import-job")])
            raw_calls.call(channel, "TrackEvent", raw_calls.event("somebody"), "europe")
            try:
                raw_calls.call(channel, "TrackEvent", raw_calls.event(""), "prod")
            except grpc.RpcError:
                pass
        receipt = re.search(rb"r1\.[\w-]+", answer)
        assert receipt is not None, answer
        cls.environment = os.environ | {
            "PATH": f"{Binaries.cli.resolve().parent}:{os.environ['PATH']}", "HEAPSYNC_SERVER": cls.server.address,
            "HEAPSYNC_HTTP": cls.server.http_url, "LOG": str(cls.server.log), "DATA_DIR": str(cls.server.data_dir),
            "RECEIPT": receipt.group().decode(), "TRACE_ID": TRACE, "PID": str(cls.server.process.pid)}

    def run_block(self, block: Block) -> str:
        """What it prints once it shows what it must: the world of the server needs a moment to get there."""
        output = ""

        def shown() -> bool:
            nonlocal output
            result = subprocess.run(["bash", "-euo", "pipefail", "-c", block.commands], cwd=self.folder, env=self.environment,
                                    capture_output=True, text=True, timeout=harness.PATIENCE, check=False)
            output = f"exit code {result.returncode}\n{result.stdout}{result.stderr}"
            return result.returncode == 0 and all(re.search(pattern, result.stdout, re.MULTILINE) for pattern in block.shows)

        # Looking again is harmless, doing again is not.
        looks = re.match(r"(heapsync (receipt|status|health|dead-letters (list|show))|curl|jq|tail|tar)\b", block.commands)
        try:
            wait_until(shown, "it", 20.0 if looks else 0.0)
        except AssertionError:
            self.fail(f"{block.question}\n{block.commands}\nmust show {block.shows} and gave\n{output}")
        return output

    def test_every_command_does_what_the_runbook_says(self) -> None:
        running = [block for block in blocks() if block.kind == ""]
        self.assertGreaterEqual(len({block.question for block in running}), 12)
        for block in running:
            with self.subTest(block.question, commands=block.commands):
                output = self.run_block(block)
                for rule in block.sets:
                    name, pattern = rule.split("=", 1)
                    match = re.search(pattern, output.split("\n", 2)[2])
                    self.assertIsNotNone(match, output)
                    self.environment[name] = match.group(1)  # type: ignore[union-attr]
        self.assertEqual(self.server.wait(), 0)
        for block in blocks():
            if block.kind == "after-stop":
                with self.subTest(block.question, commands=block.commands):
                    self.run_block(block)

    def test_every_question_has_a_command(self) -> None:
        questions = re.findall(r"^## (.*)", RUNBOOK.read_text(), re.MULTILINE)
        self.assertGreaterEqual(len(questions), 12)
        self.assertEqual([question for question in questions if question not in {block.question for block in blocks()}], [])

    def test_every_command_but_doing_ones_is_checked_by_what_it_shows(self) -> None:
        unchecked = [block.commands for block in blocks() if not block.shows and block.kind != "setup"]
        self.assertEqual(unchecked, ['kill -HUP "${PID}"', 'kill -TERM "${PID}"'])

    def test_links_lead_to_a_question(self) -> None:
        text = RUNBOOK.read_text()
        anchors = {anchor(question) for question in re.findall(r"^## (.*)", text, re.MULTILINE)}
        links = re.findall(r"\]\(#([^)]+)\)", text)
        for group in yaml.safe_load(ALERTS.read_text())["groups"]:
            for alert in group["rules"]:
                page, _, part = alert["annotations"]["runbook_url"].partition("#")
                self.assertEqual(page, "docs/runbook.md")
                links.append(part)
        self.assertEqual([link for link in links if link not in anchors], [])


if __name__ == "__main__":
    harness.run()
