"""A PostgreSQL server of the test's own, on a Unix socket in a temporary folder."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import harness
from harness import Program, wait_until


def _programs() -> Path | None:
    """Debian keeps them out of the PATH, by version."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def _as_somebody() -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=nobody", f"--regid={pwd.getpwnam('nobody').pw_gid}", "--clear-groups"]


class PostgresServer(Program):
    """Its user is `postgres`, without a password."""

    port = 5432  # names the socket; nothing listens on the network

    def __init__(self) -> None:
        programs = _programs()
        if programs is None or shutil.which("psql") is None:
            harness.skip("no PostgreSQL; scripts/install_dependencies.sh --test installs it")
        assert programs is not None
        # A socket's path is short.
        self.folder = Path(tempfile.mkdtemp(prefix="hs-pg-"))
        data = self.folder / "data"
        if os.geteuid() == 0:
            shutil.chown(self.folder, "nobody")
        # Others connect to the socket.
        self.folder.chmod(0o755)
        subprocess.run([*_as_somebody(), str(programs / "initdb"), f"--pgdata={data}", "--auth=trust", "--username=postgres", "--no-sync",
                        "--encoding=UTF8", "--locale=C"], check=True, capture_output=True, timeout=harness.PATIENCE, cwd="/")
        super().__init__("postgres", [*_as_somebody(), programs / "postgres", "-D", data, "-k", self.folder, "-p", str(self.port),
                                      "-c", "listen_addresses=", "-c", "fsync=off"], self.folder)
        wait_until(lambda: self._answers() or not self.running(), "PostgreSQL to answer")
        if not self.running():
            raise AssertionError(f"PostgreSQL ended\n{self.output()}")

    def _answers(self) -> bool:
        return subprocess.run([*self._psql(), "--command=SELECT 1"], capture_output=True, timeout=harness.PATIENCE).returncode == 0

    def _psql(self) -> list[str]:
        return ["psql", "--no-psqlrc", f"--host={self.folder}", f"--port={self.port}", "--username=postgres", "--dbname=postgres",
                "--set=ON_ERROR_STOP=1", "--quiet", "--no-align", "--tuples-only"]

    def sql(self, text: str) -> str:
        """Runs statements; what they print."""
        done = subprocess.run(self._psql(), input=text, capture_output=True, text=True, timeout=3 * harness.PATIENCE)
        if done.returncode != 0:
            raise AssertionError(f"psql: {done.stderr}")
        return done.stdout

    def remove(self) -> None:
        """An immediate end, and no folder is left."""
        if self.running():
            self.process.send_signal(signal.SIGQUIT)
        self.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
