"""What the tests of `heapsync import --odbc` share, whatever the database."""

import json
import subprocess
from pathlib import Path
from typing import Any

import harness
from harness import APP_US, Binaries, wait_until


def require_drivers(*drivers: str) -> None:
    known = subprocess.run(["odbcinst", "-q", "-d"], capture_output=True, text=True).stdout if Path("/usr/bin/odbcinst").exists() else ""
    for driver in drivers:
        if f"[{driver}]" not in known:
            harness.skip(f"no ODBC driver {driver}; scripts/install_dependencies.sh --test installs it")


class OdbcImports(harness.EndToEnd):
    """A server that takes nested objects, and imports of queries into it."""

    maxDiff = None

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = harness.temporary_folder(cls)
        cls.heap = harness.FakeHeap(cls.folder)
        cls.addClassCleanup(cls.heap.kill)
        config = cls.folder / "heapsync.json"
        config.write_text(json.dumps({"destinations": [{"name": "prod", "app_id": APP_US, "region": "us", "flatten_nested": True}]}))
        cls.server = harness.Server(cls.folder, cls.heap, f"--config={config}")
        cls.addClassCleanup(cls._end_server)

    @property
    def source(self) -> str:
        """The connection string."""
        raise NotImplementedError

    def command(self, query: str, *flags: str, source: str | None = None, kind: str = "user") -> list[str]:
        return [str(Binaries.cli), "import", f"--type={kind}", f"--server={self.server.address}", f"--odbc={source or self.source}",
                f"--query={query}", "--progress=none", *flags]

    def load(self, query: str, *flags: str, source: str | None = None, kind: str = "user", code: int = 0) -> str:
        """What the import says on standard error."""
        done = subprocess.run(self.command(query, *flags, source=source, kind=kind), capture_output=True, text=True,
                              timeout=3 * harness.PATIENCE)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stderr

    def properties(self, identity: str) -> dict[str, Any]:
        return dict(self.wait_for_user(identity)["properties"])

    def wait_for(self, identity: str, **properties: Any) -> None:
        wait_until(lambda: properties.items() <= self.properties(identity).items(), f"{properties} of {identity}")
