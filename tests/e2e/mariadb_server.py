"""A MariaDB server of the test's own, on a Unix socket in a temporary folder."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import harness
from harness import Program, wait_until


class MariaDbServer(Program):
    """Anybody is its `root`, and its clocks are those of +05:30."""

    def __init__(self) -> None:
        program = shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin")
        if program is None or shutil.which("mariadb") is None:
            harness.skip("no MariaDB; scripts/install_dependencies.sh --test installs it")
        assert program is not None
        # A socket's path is short.
        self.folder = Path(tempfile.mkdtemp(prefix="hs-my-"))
        self.socket = self.folder / "socket"
        data = self.folder / "data"
        data.mkdir()
        user = ["--user=nobody"] if os.geteuid() == 0 else []
        if user:
            shutil.chown(self.folder, "nobody")
            shutil.chown(data, "nobody")
        # Without its system tables, which only grants and the like need.
        super().__init__("mariadb", [program, "--no-defaults", f"--datadir={data}", f"--socket={self.socket}", "--skip-networking", *user,
                                     "--skip-grant-tables", "--character-set-server=utf8mb4", "--default-time-zone=+05:30",
                                     "--innodb-flush-log-at-trx-commit=0", "--sql-mode="], self.folder)
        wait_until(lambda: self._answers() or not self.running(), "MariaDB to answer")
        if not self.running():
            raise AssertionError(f"MariaDB ended\n{self.output()}")
        self.sql("CREATE DATABASE shop", database="")

    def _answers(self) -> bool:
        return subprocess.run([*self._mariadb(""), "--execute=SELECT 1"], capture_output=True, timeout=harness.PATIENCE).returncode == 0

    def _mariadb(self, database: str) -> list[str]:
        return ["mariadb", "--no-defaults", f"--socket={self.socket}", "--default-character-set=utf8mb4", "--skip-column-names",
                f"--database={database}"]

    def sql(self, text: str, database: str = "shop") -> None:
        """Runs statements."""
        done = subprocess.run(self._mariadb(database), input=text, capture_output=True, text=True, timeout=3 * harness.PATIENCE)
        if done.returncode != 0:
            raise AssertionError(f"mariadb: {done.stderr}")

    def remove(self) -> None:
        """An immediate end, and no folder is left."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
