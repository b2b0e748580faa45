#!/usr/bin/env python3
"""Measures an import of a query by ODBC beside one of the same rows as CSV: rows a second, and the client's CPU and memory.

    cmake --build --preset release --target heapsync-server heapsync fake-heap && /usr/bin/python3 tests/bench/odbc_import.py

The rows come from a PostgreSQL and an SQLite of the benchmark's own, through Debian's drivers; each import goes to a server that has just
been started. Prints a table, of each kind the run that took least time; asserts nothing but that all rows were accepted.
"""

import argparse
import csv
import io
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from harness import SOURCE, Binaries, FakeHeap, Server, two_regions
from odbc_imports import require_drivers
from postgres_server import PostgresServer

CREATE = """CREATE TABLE visits (idempotency_key varchar(40), identity varchar(40), event varchar(20), timestamp timestamp, page varchar(40),
                                 plan varchar(10), seats int, amount numeric(10,2), active boolean);
            INSERT INTO visits SELECT 'visit-' || 1000000 + g, 'user-' || g % 50000 || '@example.com', 'Page Viewed',
              timestamp '2024-01-15' + g * interval '1 second', '/products/' || g % 997, CASE g % 3 WHEN 0 THEN 'free' ELSE 'pro' END,
              g % 250, g % 10000 / 100.0, g % 2 = 0 FROM generate_series(1, {rows}) g"""


@dataclass
class Run:
    rows: int
    seconds: float
    cpu: float
    memory_mib: float

    def row(self, name: str) -> str:
        return (f"| {name} | {self.rows:,} | {self.rows / self.seconds:,.0f} | {1e6 * self.cpu / self.rows:.1f} µs | "
                f"{self.memory_mib:.0f} MiB |")


def peak_memory_mib(pid: int) -> float:
    """0 for a process that has ended."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def import_rows(folder: Path, heap: FakeHeap, rows: int, *what: str) -> Run:
    with TemporaryDirectory(dir=folder) as data:
        server = Server(Path(data), heap, f"--config={two_regions(Path(data))}")
        try:
            log = folder / "import.log"
            with log.open("wb") as output:
                begin = time.monotonic()
                process = subprocess.Popen([str(Binaries.cli), "import", "--type=track", f"--server={server.address}", "--progress=none", *what], stdout=output, stderr=output)
                # The kernel's own peak of a child begins with what its parent had.
                memory = 0.0
                while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
                    memory = max(memory, peak_memory_mib(process.pid))
                    time.sleep(0.02)
                _, status, used = ended
                seconds = time.monotonic() - begin
            process.returncode = os.waitstatus_to_exitcode(status)
            assert process.returncode == 0, log.read_text()
            return Run(rows, seconds, used.ru_utime + used.ru_stime, memory)
        finally:
            server.kill()


def fill(folder: Path, postgres: PostgresServer, rows: int) -> dict[str, list[str]]:
    """The same rows in a PostgreSQL, as a CSV file and in an SQLite; the flags that import each."""
    postgres.sql("DROP TABLE IF EXISTS visits;" + CREATE.format(rows=rows) + "; ANALYZE visits")
    text = postgres.sql("COPY visits TO STDOUT (FORMAT csv, HEADER)")
    table = folder / f"visits-{rows}.csv"
    table.write_text(text, encoding="utf-8")
    base = folder / f"visits-{rows}.db"
    with sqlite3.connect(base) as connection:
        connection.execute(CREATE.split(";")[0])
        lines = csv.reader(io.StringIO(text))
        next(lines)
        connection.executemany("INSERT INTO visits VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (line[:8] + [line[8] == "t"] for line in lines))
    connection.close()
    query = "--query=SELECT * FROM visits"
    return {
        "CSV": [f"--state={table}.state", "--restart", str(table)],
        "PostgreSQL by ODBC": [
            f"--odbc=Driver=PostgreSQL Unicode;Servername={postgres.folder};Port={postgres.port};Database=postgres;Username=postgres", query],
        "SQLite by ODBC": [f"--odbc=Driver=SQLite3;Database={base}", query],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures imports by ODBC beside those of CSV.")
    parser.add_argument("--preset", default="release")
    parser.add_argument("--rows", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--runs", type=int, default=3, help="of each kind, alternately")
    arguments = parser.parse_args()
    build = SOURCE / "build" / arguments.preset
    Binaries.server, Binaries.cli = build / "server/heapsync-server", build / "client/cli/heapsync"
    Binaries.fake_heap = build / "tests/fake_heap/fake-heap"
    require_drivers("PostgreSQL Unicode", "SQLite3")
    postgres = PostgresServer()
    try:
        with TemporaryDirectory() as name:
            folder = Path(name)
            heap = FakeHeap(folder, "--no_store")
            try:
                print("| from | rows | rows a second | CPU of each | peak memory |\n|---|---|---|---|---|")
                for rows in arguments.rows:
                    kinds = fill(folder, postgres, rows)
                    runs: dict[str, list[Run]] = {kind: [] for kind in kinds}
                    for _ in range(arguments.runs):
                        for kind, flags in kinds.items():
                            runs[kind].append(import_rows(folder, heap, rows, *flags))
                    seconds: Callable[[Run], float] = lambda run: run.seconds
                    for kind, done in runs.items():
                        print(min(done, key=seconds).row(kind), flush=True)
            finally:
                heap.kill()
    finally:
        postgres.remove()


if __name__ == "__main__":
    main()
