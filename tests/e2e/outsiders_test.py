#!/usr/bin/env python3
"""Attackers without credentials are bounded, and keep neither known callers nor probes out.

HEAPSYNC_ATTACKS=full makes each attack last 20 seconds instead of 4.
"""

import re
import subprocess
import sys
import time
import urllib.request

import grpc
import harness
from attacks import AttackTest, caller
from harness import Server, wait_until
from innocents import MAX_LOST, MIB

TOKEN = "hst_shop"


class OutsidersTest(AttackTest):
    script = harness.SOURCE / "tests" / "attack" / "outsiders.py"
    token = TOKEN
    callers = [caller("shop", TOKEN)]

    def metric(self, name: str, **labels: str) -> float:
        text = urllib.request.urlopen(self.server.http_url + "/metrics", timeout=harness.PATIENCE).read().decode()
        wanted = name + ("{" + ",".join(f'{label}="{value}"' for label, value in labels.items()) + "}" if labels else "")
        found = re.search(rf"^{re.escape(wanted)} (\S+)$", text, re.MULTILINE)
        assert found is not None, f"no {wanted}"
        return float(found[1])

    def ended(self, reason: str) -> float:
        return self.metric("heapsync_connections_ended_total", reason=reason)

    def attack(self, name: str, uses_processor: bool = False, port: int = 0) -> None:
        """Fails if others notice more than their part of the processor, which some attacks use up, or if memory has no bound."""
        files = self.metric("process_open_fds")
        innocents = self.run_attack(name, port=port, note=lambda: "ended: " + ", ".join(
            f"{reason} {self.ended(reason):.0f}" for reason in ("unproven", "gave_way", "bytes", "calls", "protocol")))
        if not uses_processor:
            self.assert_served(innocents)
            self.assertEqual(innocents.lost_probes, [])
        # Nothing of an attack is left.
        wait_until(lambda: self.metric("heapsync_connections", standing="stranger") == 0, "the attacker's connections to be forgotten")
        wait_until(lambda: self.metric("process_open_fds") <= files + 4, "the attacker's descriptors to be closed")

    def test_thousands_of_silent_connections_give_way(self) -> None:
        self.attack("silent")
        self.assertGreater(self.ended("gave_way"), 0)

    def test_most_get_in_beside_thousands_of_silent_connections_from_their_own_address(self) -> None:
        innocents = self.run_attack("silent_neighbours")
        self.assertEqual(innocents.failures, [])
        self.assertLess(len(innocents.lost_probes), len(innocents.probes) / 4)

    def test_greetings_that_drip_in_take_no_place(self) -> None:
        self.attack("drips")

    def assert_newcomers_get_in(self, *names: str) -> None:
        for name in names:
            with self.subTest(name):
                innocents = self.run_attack(name)
                self.assert_served(innocents)
                self.assertLessEqual(len(innocents.lost_probes), len(innocents.probes) * MAX_LOST)

    def test_newcomers_get_in_beside_calls_from_their_own_address_that_never_become_whole(self) -> None:
        self.assert_newcomers_get_in("slow_calls", "slow_calls_crowd")

    def test_newcomers_get_in_beside_calls_from_their_own_address_that_are_refused(self) -> None:
        self.assert_newcomers_get_in("refused_calls")

    def test_calls_that_are_opened_and_left_are_bounded(self) -> None:
        self.attack("open_streams", uses_processor=True)

    def test_answers_that_are_not_read_are_bounded(self) -> None:
        for name in ("unread", "unread_at_once"):
            with self.subTest(name):
                self.attack(name, uses_processor=True)

    def test_withheld_messages_are_bounded(self) -> None:
        self.attack("withheld")
        self.assertGreater(self.ended("bytes"), 0)

    def test_rapid_resets_are_ended(self) -> None:
        for name in ("rapid_reset", "rapid_reset_unary", "rapid_reset_health"):
            with self.subTest(name):
                before = self.ended("calls")
                self.attack(name)
                self.assertGreater(self.ended("calls"), before)

    def test_a_flood_of_pings_is_ended(self) -> None:
        self.attack("pings")

    def test_slow_clients_of_the_http_port_keep_no_probe_out(self) -> None:
        self.attack("slow_http", port=self.server.ports[1])
        start = time.monotonic()
        with urllib.request.urlopen(self.server.http_url + "/healthz", timeout=harness.PATIENCE) as answer:
            self.assertEqual(answer.status, 200)
        self.assertLess(time.monotonic() - start, 5)

    def test_a_silent_connection_is_ended_in_time(self) -> None:
        (self.folder / "short").mkdir()
        server = Server(self.folder / "short", self.heap, f"--app_id={harness.APP_US}", "--unproven_time=1s")
        self.addCleanup(server.kill)
        done = subprocess.run([sys.executable, self.script, str(server.ports[0]), "few_silent", "3"], capture_output=True, text=True,
                              timeout=harness.PATIENCE, check=True)
        self.assertIn("'kept': 0", done.stdout)

    def test_a_first_call_with_a_long_message_passes(self) -> None:
        bearer = [("authorization", f"Bearer {TOKEN}")]
        item = self.protos["service"].TrackEventRequest(request_id="r" * 3 * MIB, event={"identity": "ada", "event": "Seen"})
        for _ in range(3):
            with self.server.channel() as channel, self.assertRaises(grpc.RpcError) as refused:
                self.protos["stubs"].HeapSyncServiceStub(channel).TrackEvent(item, timeout=harness.PATIENCE, metadata=bearer)
            # It was read as a whole.
            self.assertEqual(refused.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
        # So is one that is far too long, or its client would take the end of the connection for a reason to repeat it.
        item.request_id = "r" * 40 * MIB
        for _ in range(3):
            with self.server.channel() as channel, self.assertRaises(grpc.RpcError) as refused:
                self.protos["stubs"].HeapSyncServiceStub(channel).TrackEvent(item, timeout=harness.PATIENCE, metadata=bearer)
            self.assertEqual(refused.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        request = self.protos["service"].BulkTrackEventsRequest(events=[{"identity": "x" * 200, "event": "E" * 200}] * 9_000)
        self.assertGreater(request.ByteSize(), 3 * MIB)
        with self.server.channel() as channel:
            answers = list(self.protos["stubs"].HeapSyncServiceStub(channel).BulkTrackEvents(
                iter([request] * 5), timeout=harness.PATIENCE, metadata=bearer))
        self.assertEqual(answers[-1].accepted, 45_000)


if __name__ == "__main__":
    harness.run()
