"""A real PostgreSQL on loopback, in a folder of its own."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from harness import SKIPPED, SOURCE, free_ports, skip, wait_until

SCRIPT = SOURCE / "tests/spool/postgres/run_postgres.sh"


class Postgres:
    def __init__(self, *options: str) -> None:
        # Its user is not this one, and enters no folder of this one's.
        self.folder = Path(tempfile.mkdtemp(prefix="heapsync-postgres-"))
        self.port = free_ports(1)[0]
        self.options = options
        self.log = self.folder / "server.log"
        self.start()

    @property
    def uri(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([str(SCRIPT), str(self.folder), str(self.port), *self.options],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        wait_until(lambda: self.answers() or self.process.poll() is not None, "PostgreSQL to answer")
        if self.process.poll() == SKIPPED:
            self.remove()
            skip(self.log.read_text() if self.log.exists() else "there is no PostgreSQL")
        if self.process.poll() is not None:
            raise AssertionError(f"PostgreSQL ended\n{self.log.read_text()[-4000:]}")

    def answers(self) -> bool:
        try:
            return subprocess.run(["pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False).returncode == 0
        except FileNotFoundError:
            return False

    def crash(self) -> None:
        """As if it had been killed, but without shared memory left behind."""
        os.kill(self.process.pid, signal.SIGQUIT)
        self.process.wait()

    def stop(self) -> None:
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGINT)
        self.process.wait()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
