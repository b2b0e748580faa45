#!/usr/bin/env python3
"""Measures what an open status page costs: CPU of the server and of the browser, and bytes a minute, with 10, 1,000 and 10,000 destinations.

    cmake --build --preset release --target heapsync-server fake-heap && /usr/bin/python3 tests/bench/status_page.py

Each destination gets an event first, so that each has a history of its own. Then the server is watched without a page, with one that is
left alone, and with one that is in use, in a real browser that is driven by chromedriver. Prints a table; asserts nothing. Pictures of each, on
a desk and on a phone, by day and by night, are left in HEAPSYNC_SCREENSHOTS.
"""

import argparse
import json
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import grpc
import raw_calls
from harness import SOURCE, Binaries, FakeHeap, Server, wait_until
from status_page_test import DESK, PHONE, Browser


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def with_descendants(pid: int) -> list[int]:
    children = [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
    return [pid, *(found for child in children for found in with_descendants(child))]


def memory_mib(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def watch(seconds: float, *pids: int) -> list[float]:
    """Per cent of a core that each of the processes takes, with its descendants."""
    trees = [with_descendants(pid) for pid in pids]
    before = [sum(map(cpu_seconds, tree)) for tree in trees]
    time.sleep(seconds)
    return [100 * (sum(map(cpu_seconds, tree)) - start) / seconds for tree, start in zip(trees, before, strict=True)]


class Page:
    def __init__(self, folder: Path, server: Server) -> None:
        self.server = server
        self.browser = Browser(folder)
        self.show(DESK, "light")

    def show(self, size: tuple[int, int], scheme: str) -> None:
        self.browser.become(size, scheme)
        self.browser.driver.get(self.server.http_url + "/")
        wait_until(lambda: "Live" in self.browser.text(), "the page to be live")

    def watch(self, seconds: float, touched: str) -> str:
        """Per cent of a core of the server and of the browser, and KiB a minute over the network, after `touched` was run."""
        self.browser.driver.execute_script(touched)
        self.browser.driver.execute_script("performance.clearResourceTimings(); performance.setResourceTimingBufferSize(10000)")
        server, browser = watch(seconds, self.server.process.pid, self.browser.driver.service.process.pid)
        moved = self.browser.ask("performance.getEntriesByType('resource').reduce((sum, e) => sum + e.transferSize, 0)")
        return f"{server:.2f} % | {browser:.1f} % | {moved / 1024 * 60 / seconds:,.0f} KiB"

    def draw(self, folder: Path, count: int) -> None:
        for name, size in (("desk", DESK), ("phone", PHONE)):
            for scheme in ("light", "dark"):
                self.show(size, scheme)
                wait_until(lambda: self.browser.ask("document.querySelectorAll('#rows > .row').length") > 0, "the destinations")
                self.browser.screenshot(folder / f"status-{count}-{name}-{scheme}.png")


class Filled:
    """A server each of whose destinations got an event."""

    def __init__(self, folder: Path, count: int) -> None:
        folder.mkdir()
        self.folder, self.count = folder, count
        config = folder / "heapsync.json"
        config.write_text(json.dumps({"default_destination": "app-00000", "destinations": [
            {"name": f"app-{number:05}", "app_id": str(7_000_000_000 + number), "region": "us"} for number in range(count)]}))
        self.heap = FakeHeap(folder)
        self.server = Server(folder, self.heap, f"--config={config}")
        with grpc.insecure_channel(self.server.address) as channel:
            for number in range(count):
                raw_calls.call(channel, "TrackEvent", raw_calls.event("someone"), f"app-{number:05}")

    def stop(self) -> None:
        self.server.kill()
        self.heap.kill()

    def measure(self, seconds: float) -> str:
        [without] = watch(seconds, self.server.process.pid)
        page = Page(self.folder, self.server)
        try:
            alone = page.watch(seconds, "touchedAt = 0")
            used = page.watch(seconds, "setInterval(() => { touchedAt = Date.now(); }, 1000); refresh()")
            if "HEAPSYNC_SCREENSHOTS" in os.environ:
                page.draw(Path(os.environ["HEAPSYNC_SCREENSHOTS"]), self.count)
        finally:
            page.browser.driver.quit()
        return f"| {self.count:,} | {without:.2f} % | {alone} | {used} | {memory_mib(self.server.process.pid):.0f} MiB |"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures what an open status page costs.")
    parser.add_argument("--preset", default="release")
    parser.add_argument("--seconds", type=float, default=60, help="of each measurement")
    parser.add_argument("--history", type=float, default=930, help="seconds for the charts to fill")
    parser.add_argument("--counts", type=int, nargs="*", default=[10, 1_000, 10_000])
    arguments = parser.parse_args()
    build = SOURCE / "build" / arguments.preset
    Binaries.server, Binaries.fake_heap = build / "server/heapsync-server", build / "tests/fake_heap/fake-heap"
    with TemporaryDirectory() as folder, ExitStack() as stack:
        servers = []
        for count in arguments.counts:
            servers.append(Filled(Path(folder) / str(count), count))
            stack.callback(servers[-1].stop)
        time.sleep(arguments.history)
        print("| destinations | server without a page | left alone: server | browser | bytes a minute | in use: server | browser | bytes a minute "
              "| memory |\n|---|---|---|---|---|---|---|---|---|")
        for server in servers:
            print(server.measure(arguments.seconds), flush=True)


if __name__ == "__main__":
    main()
