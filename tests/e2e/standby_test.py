#!/usr/bin/env python3
"""Servers share a spool in a PostgreSQL with a synchronous standby. The primary is lost with its disk, the standby is promoted, servers
are killed and frozen, Heap breaks connections after it took a request: every acknowledged item reaches Heap once.

HEAPSYNC_STANDBY_EVENTS, HEAPSYNC_STANDBY_UPDATES and HEAPSYNC_STANDBY_ROUNDS say how many items the imports have and how often a server
dies; HEAPSYNC_STANDBY_FREEZE for how many seconds every fifth one freezes instead."""

import os
import random
import shutil
import signal
import threading
import time
import unittest
from pathlib import Path

import harness
from cluster import LEASE, LOST_SPOOL, Load, Member, wait_for_service
from envoy_test import envoy
from harness import APP_US, SOURCE, Binaries, FakeHeap, Program, free_ports, skip, temporary_folder, two_regions, wait_until
from postgres_server import PostgresServer
from proto_stubs import generate_stubs

EVENTS = int(os.environ.get("HEAPSYNC_STANDBY_EVENTS", "20000"))
UPDATES = int(os.environ.get("HEAPSYNC_STANDBY_UPDATES", "3000"))
USERS = 500
ROUNDS = int(os.environ.get("HEAPSYNC_STANDBY_ROUNDS", "12"))  # A server dies in each.
FREEZE = float(os.environ.get("HEAPSYNC_STANDBY_FREEZE", str(LEASE + 3.0)))


class StandbyTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        if not envoy().exists():
            skip(f"no {envoy()}; scripts/install_test_tools.sh puts it there")

    def setUp(self) -> None:
        self.folder = temporary_folder(type(self))
        self.primary = PostgresServer("-c", "fsync=on")
        self.addCleanup(self.primary.remove)
        self.standby = PostgresServer(f"--standby_of={self.primary.port}", "-c", "fsync=on")
        self.addCleanup(self.standby.remove)
        wait_until(lambda: self.primary.sql("SELECT sync_state FROM pg_stat_replication").strip() == "sync", "the synchronous standby")
        self.heap = FakeHeap(self.folder, "--limit_app_events=0", "--limit_user_requests=0", "--limit_identity_events=0")
        self.addCleanup(self.heap.kill)
        config = two_regions(self.folder, {
            "events_per_minute": 0, "events_per_identity_per_minute": 0, "user_requests_per_identity_per_30s": 0})
        spool = f"postgresql://postgres@127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}/postgres"
        self.members = [self.start(f"server-{number}", spool, config, free_ports(2)) for number in range(3)]
        wait_for_service(self.members)

    def start(self, name: str, spool: str, config: Path, ports: list[int]) -> Member:
        member = Member(name, self.folder, self.heap, spool, config, "127.0.0.1", ports)
        self.addCleanup(member.kill)
        self.spool, self.config = spool, config
        return member

    def start_again(self, member: Member) -> Member:
        again = self.start(member.name, self.spool, self.config, member.ports)
        self.members[self.members.index(member)] = again
        return again

    def lose_primary(self) -> None:
        """As if its machine had burnt down; a fail-over manager then promotes the standby."""
        self.primary.crash()
        shutil.rmtree(self.primary.folder)
        # A promoted server has no standby of its own yet, and must not wait for one.
        self.standby.sql("SELECT pg_promote();")

    def test_what_was_acknowledged_survives_the_loss_of_the_primary(self) -> None:
        self.heap.process.send_signal(signal.SIGSTOP)  # What is acknowledged is in the database only.
        self.addCleanup(self.heap.process.send_signal, signal.SIGCONT)
        load = Load(generate_stubs(temporary_folder(type(self))), self.members)
        self.addCleanup(load.stop)
        wait_until(lambda: sum(load.accepted) > 300 or load.errors, "acknowledged items")
        self.lose_primary()
        acknowledged = sum(load.accepted)
        wait_until(lambda: sum(load.accepted) > acknowledged + 300 or load.errors, "calls to be taken again")
        load.stop()
        self.assertEqual(load.errors, [])
        self.heap.process.send_signal(signal.SIGCONT)
        expected = {f"kept-{writer}-{number:06}" for writer, count in enumerate(load.accepted) for number in range(count)}
        wait_until(lambda: expected <= self.heap.keys().keys(), "every acknowledged event at Heap")
        self.assertEqual(self.heap.count("events", "appended"), len(self.heap.keys()), "an event was appended twice")
        for writer, count in enumerate(load.accepted):
            wait_until(lambda w=writer, last=count - 1: self.value(f"w{w}") >= last, "the last update of each writer")
        self.assertTrue(all(member.running() for member in self.members), "a server ended")

    def test_imports_through_servers_that_die_while_the_database_fails_over(self) -> None:
        self.heap.set_faults({"name": "reset after taking", "probability": 0.05, "action": {"type": "reset_after_body"}})
        addresses = "ipv4:" + ",".join(member.address for member in self.members)
        imports, pipes = [], []
        for kind, header in (("track", "identity,event,idempotency_key"), ("user", "identity,v")):
            pipe = self.folder / kind
            os.mkfifo(pipe)
            imports.append(Program(f"import-{kind}", [Binaries.cli, "import", f"--server={addresses}", f"--type={kind}", pipe], self.folder))
            self.addCleanup(imports[-1].kill)
            pipes.append(pipe.open("w", buffering=1 << 20))
            pipes[-1].write(header + "\n")
        began = time.monotonic()
        draw = random.Random(15)
        freezes = 0
        for number in range(ROUNDS):
            seen = self.heap.count("events", "appended")
            for n in range(number * EVENTS // ROUNDS, (number + 1) * EVENTS // ROUNDS):
                pipes[0].write(f"visitor-{n},Kept,key-{n:07}\n")
            for n in range(number * UPDATES // ROUNDS, (number + 1) * UPDATES // ROUNDS):
                pipes[1].write(f"user-{n % USERS},{n}\n")
            for pipe in pipes:
                pipe.flush()
            if number == ROUNDS // 2:
                self.lose_primary()
            victim = draw.choice(self.members)
            if number % 5 == 4:
                freezes += 1
                self.freeze(victim)
            else:
                victim.kill()
            if not victim.running():
                self.start_again(victim)
            wait_until(lambda then=seen: self.heap.count("events", "appended") > then, "progress at Heap")
        for pipe in pipes:
            pipe.close()
        for program in imports:
            self.assertEqual(program.wait(), 0, program.output()[-4000:])
        self.heap.clear_faults()
        wait_until(lambda: self.heap.count("events", "appended") >= EVENTS, "every event at Heap")
        self.assertEqual(set(self.heap.keys()), {f"key-{n:07}" for n in range(EVENTS)})
        self.assertEqual(self.heap.count("events", "appended"), EVENTS, "an event was appended twice")
        for user in range(USERS):
            last = UPDATES - USERS + (user - UPDATES) % USERS
            wait_until(lambda u=user, v=last: self.value(f"user-{u}") == v, f"the last value of user-{user}")
        print(f"{EVENTS} events and {UPDATES} updates at Heap after {time.monotonic() - began:.0f} s; {ROUNDS - freezes} servers killed, "
              f"{freezes} frozen for {FREEZE:.0f} s, the primary lost")

    def test_behind_the_documented_load_balancer_a_server_that_dies_is_avoided(self) -> None:
        port = free_ports(1)[0]
        balancer = Program("envoy", [envoy(), "--config-path", self.balancer_config(port), "--log-level", "warn", "--concurrency", "1",
                                     "--disable-hot-restart"], self.folder)
        self.addCleanup(balancer.kill)
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        program = Program("import", [Binaries.cli, "import", f"--server=127.0.0.1:{port}", "--type=track", pipe], self.folder)
        self.addCleanup(program.kill)
        with pipe.open("w") as rows:
            rows.write("identity,event,idempotency_key\n")
            for number, victim in enumerate((*self.members, None)):
                rows.write("".join(f"visitor-{n},Kept,key-{number}-{n:05}\n" for n in range(100)))
                rows.flush()
                wait_until(lambda then=number: self.heap.count("events", "appended") >= 100 * (then + 1), "the events at Heap")
                if victim is not None:
                    victim.kill()
                    self.start_again(victim)
        self.assertEqual(program.wait(), 0, program.output()[-4000:])
        self.assertEqual(self.heap.count("events", "appended"), 400)

    def balancer_config(self, port: int) -> Path:
        text = (SOURCE / "docker/cluster/envoy.yaml").read_text()
        changes = {f"address: server-{number + 1}, port_value: {documented}": f"address: 127.0.0.1, port_value: {member.ports[which]}"
                   for number, member in enumerate(self.members) for which, documented in enumerate((50051, 9464))}
        changes["address: 0.0.0.0, port_value: 50051"] = f"address: 127.0.0.1, port_value: {port}"
        changes["address: 0.0.0.0, port_value: 9464"] = f"address: 127.0.0.1, port_value: {free_ports(1)[0]}"
        for documented, here in changes.items():
            self.assertIn(documented, text)
            text = text.replace(documented, here)
        path = self.folder / "envoy.yaml"
        path.write_text(text)
        return path

    def freeze(self, member: Member) -> None:
        member.process.send_signal(signal.SIGSTOP)
        threading.Event().wait(FREEZE)
        member.process.send_signal(signal.SIGCONT)
        wait_until(lambda: not member.running() or member.serves(), "the frozen server to wake up")
        if not member.running():
            self.assertEqual(member.wait(), LOST_SPOOL, member.output()[-4000:])

    def value(self, identity: str) -> int:
        found = self.heap.find("users", app_id=APP_US, identity=identity)
        return int(found["properties"]["v"]) if found else -1


if __name__ == "__main__":
    harness.run()
