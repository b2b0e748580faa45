"""What every client below examples/ has to do, against real servers.

They are built as docs/clients.md says, by running its block of commands in a copy of the tree, build/examples, which keeps what package
managers have fetched.
"""

import json
import os
import re
import shutil
import socket
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Any

import certificates
import grpc
import harness
from harness import SOURCE, Binaries, FakeHeap, Program, Server, free_ports, skip, temporary_folder, two_regions, wait_until

COPY = SOURCE / "build" / "examples"
TOKEN = "hst_example"
EVENTS = 6_000
# A stream of this caller takes seconds, so there is a middle of it in which the server can be restarted.
EVENTS_PER_SECOND = 1_000
BURST = 500
EVERY_BAD = 1_000
BUILD_PATIENCE = 600.0


def require(*programs: str) -> None:
    for program in programs:
        if shutil.which(program, path=search_path()) is None:
            skip(f"no {program}; scripts/install_dependencies.sh --test --tools and scripts/install_test_tools.sh install it")


def search_path() -> str:
    return f"{Binaries.grpcurl.resolve().parent}:{os.environ['PATH']}"


def commands_of(language: str) -> str:
    """The block of docs/clients.md that builds and tries the client."""
    found = re.search(rf"^```sh example {language}\n(.*?)^```$", (SOURCE / "docs/clients.md").read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/clients.md has no commands for {language}"
    return found.group(1)


def copy_sources() -> None:
    """Copies what git knows, and leaves all else in the copy as it is."""
    names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "examples", "proto"], cwd=SOURCE, check=True,
                           capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        source, copy = SOURCE / name, COPY / name
        if source.exists() and not (copy.exists() and copy.read_bytes() == source.read_bytes()):
            copy.parent.mkdir(parents=True, exist_ok=True)
            # Other languages' tests may be reading it.
            part = copy.with_name(f".{copy.name}.{os.getpid()}")
            shutil.copy(source, part)
            part.replace(copy)


def event(index: int) -> dict[str, Any]:
    identity = "" if index % EVERY_BAD == EVERY_BAD // 2 else f"example-{index}@example.com"
    return {"identity": identity, "event": "Seen", "timestamp": "2024-01-15T10:30:00Z", "properties": {"index": index}}


def code_and_reason(code: str, reason: str) -> str:
    """A pattern of the line that reports an error, with the code as each language spells it."""
    return rf"(?im)^{code.replace('_', '_?')} {reason}: "


class ExampleTests:
    """Mixed into a TestCase of each language."""

    language: str
    programs: tuple[str, ...]
    command: tuple[str, ...]  # relative to the language's folder

    @classmethod
    def setUpClass(cls) -> None:
        require(*cls.programs)
        cls.folder = temporary_folder(cls)
        cls.heap = FakeHeap(cls.folder)
        cls.addClassCleanup(cls.heap.kill)
        cls.build_and_try()
        cls.prepare_tls()

    @classmethod
    def build_and_try(cls) -> None:
        copy_sources()
        server = Server(cls.folder, cls.heap, f"--config={two_regions(cls.folder)}")
        try:
            done = subprocess.run(["bash", "-euo", "pipefail", "-c", commands_of(cls.language)], cwd=COPY, capture_output=True, text=True,
                                  env=os.environ | {"PATH": search_path(), "HEAPSYNC_SERVER": server.address} | cls.environment(), timeout=BUILD_PATIENCE, check=False)
            cls.tried = done
            wait_until(lambda: done.returncode or cls.heap.count("events", "appended") == 3, "the events of docs/clients.md")
        finally:
            server.kill()
        assert done.returncode == 0, f"the commands of docs/clients.md failed\n{done.stdout}{done.stderr}"

    @classmethod
    def environment(cls) -> dict[str, str]:
        """What the commands need besides the address of the server."""
        return {}

    @classmethod
    def prepare_tls(cls) -> None:
        cls.ca = certificates.new_ca(cls.folder, "ca")
        cls.served = certificates.new_certificate(cls.folder, cls.ca, "server", "DNS:localhost,IP:127.0.0.1")
        cls.token_file = cls.folder / "token"
        cls.token_file.write_text(TOKEN + "\n")
        cls.auth = cls.folder / "callers.json"
        cls.auth.write_text(json.dumps({"callers": [
            {"name": "example", "token_sha256": [sha256(TOKEN.encode()).hexdigest()], "items_per_second": EVENTS_PER_SECOND, "burst": BURST}]}))
        cls.ports = free_ports(2)

    def start_tls_server(self) -> Server:
        server = Server(self.folder, self.heap, f"--config={two_regions(self.folder)}", f"--tls_cert={self.served.cert}",
                        f"--tls_key={self.served.key}", f"--auth={self.auth}", "--drain_timeout=100ms", ports=self.ports,
                        credentials=grpc.ssl_channel_credentials(self.ca.cert.read_bytes()))
        self.addCleanup(server.kill)
        return server

    def start(self, *arguments: str | Path, token_file: Path | None = None) -> Program:
        """Starts the client towards the server with TLS."""
        environment = {"HEAPSYNC_SERVER": f"localhost:{self.ports[0]}", "HEAPSYNC_TLS_CA": str(self.ca.cert),
                       "HEAPSYNC_TOKEN_FILE": str(token_file or self.token_file)}
        here = COPY / "examples" / self.language
        command = [str(here / part) if "/" in part else part for part in self.command]
        (self.folder / "client.log").unlink(missing_ok=True)
        client = Program("client", [*command, *arguments], self.folder, environment)
        self.addCleanup(client.kill)
        return client

    def run_client(self, *arguments: str | Path, token_file: Path | None = None) -> tuple[int, str]:
        client = self.start(*arguments, token_file=token_file)
        return client.wait(), client.output()

    def keys(self) -> set[str]:
        return set(self.heap.keys())

    def test_the_documents_commands_send_and_report(self) -> None:
        output = self.tried.stdout
        self.assertRegex(output, r"receipt r1\.")
        self.assertIn("rejected 1: events[1].identity REQUIRED\n", output)
        self.assertIn("durable 3\n", output)
        self.assertIn("done: 2 accepted, 1 rejected", output)

    def test_an_invalid_event_is_refused_with_all_its_faults(self) -> None:
        self.start_tls_server()
        code, output = self.run_client("track", "undefined", "")
        self.assertEqual(code, 1, output)
        self.assertRegex(output, code_and_reason("INVALID_ARGUMENT", "INVALID_REQUEST"))
        self.assertIn("  event.identity: IDENTITY_DENIED", output)
        self.assertIn("  event.event: REQUIRED", output)

    def test_a_wrong_token_is_an_error_that_is_not_repeated(self) -> None:
        self.start_tls_server()
        wrong = self.folder / "wrong"
        wrong.write_text("hst_wrong")
        events = self.write_events(3)
        for arguments in (("track", "ada@example.com", "Seen"), ("bulk", events, "wrong")):
            code, output = self.run_client(*arguments, token_file=wrong)
            self.assertEqual(code, 1, output)
            self.assertEqual(len(re.findall(code_and_reason("UNAUTHENTICATED", "TOKEN_UNKNOWN"), output)), 1, output)

    def test_a_line_that_is_no_event_ends_the_job_and_is_not_taken_for_a_broken_stream(self) -> None:
        self.start_tls_server()
        events = self.folder / "broken.ndjson"
        events.write_text(json.dumps(event(0)) + "\n{\n")
        code, output = self.run_client("bulk", events, "broken")
        self.assertNotEqual(code, 0, output)
        self.assertNotIn("done: ", output)
        self.assertEqual(self.breaks(output), 0, output)

    def test_a_call_is_repeated_while_the_server_starts(self) -> None:
        with socket.create_server(("127.0.0.1", self.ports[0])) as stand_in:
            client = self.start("track", "patient@example.com", "Seen")
            stand_in.settimeout(harness.PATIENCE)
            stand_in.accept()[0].close()
        self.start_tls_server()
        self.assertEqual(client.wait(), 0, client.output())
        wait_until(lambda: len(self.heap.events_of("patient@example.com")) == 1, "the event")

    def test_a_bulk_stream_goes_on_after_a_stop_and_after_a_crash(self) -> None:
        before = self.keys()
        server = self.start_tls_server()
        client = self.start("bulk", self.write_events(EVENTS), f"{self.language}-job")
        for end in (Server.stop, Server.kill):
            reached = self.positions(client)
            wait_until(lambda: len(self.positions(client)) > len(reached) or not client.running(), "progress of the stream")
            self.assertTrue(client.running(), client.output())
            end(server)
            server = self.start_tls_server()
        self.assertEqual(client.wait(), 0, client.output())
        bad = [index for index in range(EVENTS) if not event(index)["identity"]]
        self.assertIn(f"done: {EVENTS - len(bad)} accepted, {len(bad)} rejected", client.output())
        self.assertEqual([int(index) for index in re.findall(r"^rejected (\d+): ", client.output(), re.MULTILINE)], bad)
        self.assertGreaterEqual(self.breaks(client.output()), 2)
        positions = self.positions(client)
        self.assertEqual(positions, sorted(set(positions)))
        wait_until(lambda: len(self.keys() - before) == EVENTS - len(bad), "each event at Heap, once")
        self.assertEqual(server.stop(), 0)
        self.assertEqual(len(self.keys() - before), EVENTS - len(bad))

    def breaks(self, output: str) -> int:
        """How often the client reports that its stream ended."""
        return len(re.findall(code_and_reason("UNAVAILABLE", ".*"), output))

    def positions(self, client: Program) -> list[int]:
        return [int(position) for position in re.findall(r"^durable (\d+)$", client.output(), re.MULTILINE)]

    def write_events(self, count: int) -> Path:
        path = self.folder / f"events-{count}.ndjson"
        path.write_text("".join(json.dumps(event(index)) + "\n" for index in range(count)))
        return path

