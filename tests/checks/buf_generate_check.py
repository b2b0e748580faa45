#!/usr/bin/env python3
"""proto/buf.gen.yaml generates the code of every language whose plugins are installed; Debian's are those of C++, Java and Python.

buf_generate_check.py BUF. Exit code 77 (ctest: skipped) without buf, a failure with CI=true.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

PROTO = Path(__file__).resolve().parents[2] / "proto"
# A file of each language that holds a client's stub.
STUBS = {
    "cpp": "heapsync/v1/heap_sync_service.grpc.pb.h",
    "go": "heapsync/v1/heap_sync_service_grpc.pb.go",
    "java": "heapsync/v1/HeapSyncServiceGrpc.java",
    "node": "heapsync/v1/heap_sync_service.ts",
    "python": "heapsync/v1/heap_sync_service_pb2_grpc.py",
}
OF_DEBIAN = {"cpp", "java", "python"}


def language_of(plugin: dict[str, Any]) -> str:
    return str(plugin["out"]).removeprefix("gen/")


def main() -> int:
    buf = Path(sys.argv[1]).absolute()
    if not buf.exists():
        print(f"SKIPPED: no buf at {buf}; scripts/install_test_tools.sh puts it there", file=sys.stderr)
        return 1 if os.environ.get("CI") == "true" else 77
    template = yaml.safe_load((PROTO / "buf.gen.yaml").read_text())
    languages = {language_of(plugin) for plugin in template["plugins"]}
    assert languages == set(STUBS), languages
    # Not all can be installed everywhere; those of Go and Node are tried with their examples.
    missing = {language_of(plugin) for plugin in template["plugins"] if "local" in plugin and shutil.which(plugin["local"]) is None}
    if missing & OF_DEBIAN:
        print(f"SKIPPED: no plugins of {missing & OF_DEBIAN}; scripts/install_dependencies.sh --test", file=sys.stderr)
        return 1 if os.environ.get("CI") == "true" else 77
    template["plugins"] = [plugin for plugin in template["plugins"] if language_of(plugin) not in missing]
    with tempfile.TemporaryDirectory() as folder:
        shorter = Path(folder) / "buf.gen.yaml"
        shorter.write_text(yaml.safe_dump(template))
        subprocess.run([buf, "generate", "--template", shorter, "--output", folder], cwd=PROTO, check=True)
        for language in languages - missing:
            assert (Path(folder) / "gen" / language / STUBS[language]).exists(), f"no {STUBS[language]}"
        import_stub = "from heapsync.v1 import heap_sync_service_pb2_grpc as made; made.HeapSyncServiceStub"
        subprocess.run([sys.executable, "-c", import_stub], cwd=Path(folder) / "gen/python", check=True)
    print(f"generated: {', '.join(sorted(languages - missing))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
