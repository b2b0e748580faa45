#!/usr/bin/env python3
"""A real Prometheus scrapes a real server under traffic; every alert and every panel of the dashboard asks it.

What is shipped in docker/prometheus and docker/grafana is what is loaded here, but for addresses and intervals.
"""

import json
import math
import re
import shutil
import subprocess
import threading
import unittest
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import harness
import raw_calls
import yaml
from harness import APP_EU, APP_US, SOURCE, FakeHeap, Program, Server, free_ports, temporary_folder, wait_until

RULES = SOURCE / "docker/prometheus/alerts.yaml"
RULES_TEST = SOURCE / "docker/prometheus/alerts_test.yaml"
CONFIG = SOURCE / "docker/prometheus/prometheus.yaml"
DASHBOARDS = sorted((SOURCE / "docker/grafana/dashboards").glob("*.json"))
VARIABLES = {"$instance": ".*", "$destination": ".*", "$__rate_interval": "20s"}
METRIC = re.compile(r"\b(?:heapsync|grpc_server|process)_[a-z_]+\b")


def alerts() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels() -> Iterator[dict[str, Any]]:
    for path in DASHBOARDS:
        yield from json.loads(path.read_text())["panels"]


def dashboard_queries() -> list[tuple[str, str]]:
    """(where it stands, the query as Prometheus gets it)"""
    queries = []
    for panel in panels():
        for target in panel.get("targets", []):
            queries.append((f"panel {panel['title']!r}", target["expr"]))
    for path in DASHBOARDS:
        for annotation in json.loads(path.read_text())["annotations"]["list"]:
            queries.append((f"annotation {annotation['name']!r}", annotation["expr"]))
    for variable, text in VARIABLES.items():
        queries = [(place, query.replace(variable, text)) for place, query in queries]
    return queries


def promtool(*arguments: str | Path, text: str | None = None) -> None:
    result = subprocess.run(["promtool", *map(str, arguments)], input=text, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise AssertionError(f"promtool {arguments[0]} {arguments[1]}: {result.stdout}{result.stderr}")


class Prometheus(Program):
    def __init__(self, folder: Path, target: str) -> None:
        config = yaml.safe_load(CONFIG.read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(RULES)]
        config["scrape_configs"][0]["static_configs"][0]["targets"] = [target]
        path = folder / "prometheus.yaml"
        path.write_text(yaml.safe_dump(config))
        self.address = f"127.0.0.1:{free_ports(1)[0]}"
        super().__init__("prometheus", ["prometheus", f"--config.file={path}", f"--storage.tsdb.path={folder / 'tsdb'}",
                                        f"--web.listen-address={self.address}", "--log.level=warn"], folder)
        wait_until(lambda: self.ready() or not self.running(), "Prometheus to be ready")
        if not self.running():
            raise AssertionError(f"prometheus ended\n{self.output()}")

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError):
            return False

    def ask(self, path: str, **query: str) -> Any:
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=harness.PATIENCE) as answer:
                return json.loads(answer.read())["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{query}: {error.read().decode()}") from None

    def samples(self, query: str) -> list[float]:
        return [float(sample["value"][1]) for sample in self.ask("query", query=query)["result"]]


class PrometheusTest(unittest.TestCase):
    heap: FakeHeap
    server: Server
    prometheus: Prometheus

    @classmethod
    def setUpClass(cls) -> None:
        if shutil.which("prometheus") is None or shutil.which("promtool") is None:
            harness.skip("no prometheus; scripts/install_dependencies.sh --test installs it")
        folder = temporary_folder(cls)
        cls.heap = FakeHeap(folder)
        cls.addClassCleanup(cls.heap.kill)
        config = folder / "heapsync.json"
        config.write_text(json.dumps({"destinations": [
            {"name": "prod", "app_id": APP_US, "region": "us", "limits": {"events_per_identity_per_minute": 5}},
            {"name": "europe", "app_id": APP_EU, "region": "eu"}]}))
        cls.server = Server(folder, cls.heap, f"--config={config}")
        cls.addClassCleanup(cls.server.kill)
        cls.prometheus = Prometheus(folder, cls.server.http_url.removeprefix("http://"))
        cls.addClassCleanup(cls.prometheus.kill)
        # Data for the error panels: a refused item, and two regions that fail at times.
        cls.heap.set_faults(
            {"name": "bad", "match": {"body_contains": "poisoned"}, "action": {"type": "poison"}},
            {"name": "down", "every": 3, "action": {"type": "status", "status": 503}})
        # Counters are seen to grow only by who saw them before.
        wait_until(lambda: cls.prometheus.samples("heapsync_items_dead_lettered_total"), "the first scrape")
        cls.over = threading.Event()
        traffic = threading.Thread(target=cls.send_until_over)
        traffic.start()
        cls.addClassCleanup(traffic.join)
        cls.addClassCleanup(cls.over.set)

    @classmethod
    def send_until_over(cls) -> None:
        with grpc.insecure_channel(cls.server.address) as channel:
            raw_calls.call(channel, "TrackEvent", raw_calls.event("poisoned"), "europe")
            number = 0
            while not cls.over.is_set() and number < 200_000:
                number += 1
                raw_calls.call(channel, "TrackEvent", raw_calls.event(f"person-{number}"), "prod")
                raw_calls.call(channel, "TrackEvent", raw_calls.event("keen"), "prod")
                raw_calls.call(channel, "TrackEvent", raw_calls.event(f"person-{number}"), "europe")
                raw_calls.call(channel, "UserProperties", raw_calls.user("keen", "plan", f"plan-{number}"), "prod")
                try:
                    raw_calls.call(channel, "TrackEvent", raw_calls.event(""), "prod")
                except grpc.RpcError:
                    pass
                cls.over.wait(0.01)

    def test_the_rules_are_valid_and_do_what_their_own_tests_say(self) -> None:
        promtool("check", "config", CONFIG)
        promtool("check", "rules", RULES)
        promtool("test", "rules", RULES_TEST)

    def test_every_alert_has_a_severity_words_a_runbook_and_a_test(self) -> None:
        tested = RULES_TEST.read_text()
        self.assertGreaterEqual(len(alerts()), 7)
        for alert in alerts():
            self.assertIn(alert["labels"]["severity"], ("page", "ticket"), alert["alert"])
            self.assertLessEqual({"summary", "description", "runbook_url"}, alert["annotations"].keys(), alert["alert"])
            self.assertIn(f'alertname="{alert["alert"]}"', tested)

    def test_the_scrape_keeps_to_the_conventions(self) -> None:
        with urllib.request.urlopen(f"{self.server.http_url}/metrics", timeout=harness.PATIENCE) as answer:
            promtool("check", "metrics", text=answer.read().decode())

    def test_every_metric_that_is_asked_for_exists(self) -> None:
        wanted = set()
        for _, query in dashboard_queries() + [(alert["alert"], alert["expr"]) for alert in alerts()]:
            wanted.update(METRIC.findall(query))
        self.assertGreater(len(wanted), 30)
        # Only a server with a shared spool has these; e2e.failover and e2e.databases ask there.
        wanted.remove("heapsync_spool_owner")
        wanted.remove("heapsync_spool_database_up")
        # Only a server with certificates; e2e.security asks there.
        wanted.remove("heapsync_certificate_expiration_timestamp_seconds")

        def missing() -> set[str]:
            return wanted - set(self.prometheus.ask("label/__name__/values"))

        wait_until(lambda: not missing(), f"all of {sorted(wanted)}")

    def test_every_query_of_the_dashboard_is_answered_with_data(self) -> None:
        queries = dashboard_queries()
        self.assertGreater(len(queries), 40)
        for place, query in queries:
            with self.subTest(place, query=query):
                if place.startswith("annotation"):
                    self.prometheus.samples(query)  # a start is an event: most of the time there is none
                    continue
                wait_until(lambda query=query: any(math.isfinite(value) for value in self.prometheus.samples(query)), f"{place}: {query}")

    def test_what_happened_is_what_the_numbers_say(self) -> None:
        for query in (
            'heapsync_items_delivered_total{destination="prod",type="track_event"} > 0',
            'heapsync_items_dead_lettered_total{destination="europe",type="track_event",reason="refused"} == 1',
            'heapsync_retries_total{class="transient"} > 0',
            'heapsync_items_coalesced_total{destination="prod",type="user_properties"} > 0',
            'heapsync_deferred_items{destination="prod",type="track_event"} > 0',
            'grpc_server_handled_total{grpc_method="TrackEvent",grpc_code="InvalidArgument"} > 0',
        ):
            with self.subTest(query):
                wait_until(lambda query=query: self.prometheus.samples(query), query)

    def test_every_alert_can_be_asked_and_the_right_one_fires(self) -> None:
        for alert in alerts():
            self.prometheus.samples(alert["expr"])
        wait_until(lambda: self.prometheus.samples(
            'ALERTS{alertname="HeapSyncDeadLettersGrowing",alertstate="firing",destination="europe",reason="refused"}'), "the alert")
        self.assertEqual(self.prometheus.samples('ALERTS{severity="page",alertstate="firing"}'), [])

    def test_panels_have_their_own_place_and_name(self) -> None:
        seen: set[int] = set()
        taken: dict[tuple[int, int], str] = {}
        for panel in panels():
            self.assertNotIn(panel["id"], seen)
            seen.add(panel["id"])
            self.assertTrue(panel["title"])
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24, panel["title"])
            for x in range(place["x"], place["x"] + place["w"]):
                for y in range(place["y"], place["y"] + place["h"]):
                    self.assertNotIn((x, y), taken, panel["title"])
                    taken[x, y] = panel["title"]


if __name__ == "__main__":
    harness.run()
