"""A PostgreSQL server of the test's own, on loopback and on a Unix socket, in a temporary folder."""

import contextlib
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import harness
from harness import SKIPPED, SOURCE, Program, free_ports, wait_until

SCRIPT = SOURCE / "tests/spool/postgres/run_postgres.sh"


class PostgresServer(Program):
    """Its user is `postgres`, without a password. The socket is in `folder`."""

    def __init__(self, *options: str) -> None:
        # A socket's path is short, and PostgreSQL's user enters no folder of this one's.
        self.folder = Path(tempfile.mkdtemp(prefix="hs-pg-"))
        self.port = free_ports(1)[0]
        self.options = options
        self.start()

    @property
    def uri(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        super().__init__("postgres", [SCRIPT, self.folder, str(self.port), *self.options], self.folder)
        # Others connect to the socket.
        self.folder.chmod(0o755)
        wait_until(lambda: self._answers() or not self.running(), "PostgreSQL to answer")
        if not self.running():
            said, code = self.output(), self.wait()
            if code == SKIPPED:
                self.remove()
                harness.skip(said)
            raise AssertionError(f"PostgreSQL ended\n{said[-4000:]}")

    def _answers(self) -> bool:
        try:
            return subprocess.run(["pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False).returncode == 0
        except FileNotFoundError:
            return False

    def sql(self, text: str) -> str:
        """Runs statements; what they print."""
        done = subprocess.run(["psql", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--quiet", "--no-align", "--tuples-only", self.uri],
                              input=text, capture_output=True, text=True, timeout=3 * harness.PATIENCE, check=False)
        if done.returncode != 0:
            raise AssertionError(f"psql: {done.stderr}")
        return done.stdout

    @contextlib.contextmanager
    def transaction(self, text: str) -> Iterator[None]:
        """Keeps a transaction with these statements open meanwhile."""
        with subprocess.Popen(["psql", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--quiet", "--no-align", "--tuples-only", self.uri],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as psql:
            assert psql.stdin is not None and psql.stdout is not None
            psql.stdin.write(f"BEGIN;\n{text}\n\\echo ready\n")
            psql.stdin.flush()
            for line in psql.stdout:
                if line.strip() == "ready":
                    break
            yield
            psql.stdin.close()  # The end of the session is the end of the transaction.

    def crash(self) -> None:
        """As if it had been killed, but without shared memory left behind."""
        self._end(signal.SIGQUIT)

    def stop(self) -> int:
        return self._end(signal.SIGINT)

    def _end(self, how: signal.Signals) -> int:
        if self.running():
            self.process.send_signal(how)
        return self.wait()

    def remove(self) -> None:
        """An immediate end, and no folder is left."""
        self.crash()
        shutil.rmtree(self.folder, ignore_errors=True)
