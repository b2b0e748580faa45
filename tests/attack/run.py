#!/usr/bin/env python3
"""Runs every attack of this folder in full size against a server of this build, and prints what each one did.

    tests/attack/run.py [--build build/release] [--small] [outsiders] [insiders] [misfits] [neighbours] [bombs]

"beside" is the p99 of a caller of another server on the same cores, which nobody attacks: what sharing the cores costs. A row holds if
memory grows by less than the default --max_memory_bytes and 128 MiB, the log by less than 10 MiB a minute, no call or probe fails, and the
p99 during the attack is at most 3 times that before it or 1.5 times that beside it.

Takes some half an hour. Needs the programs of the build and Debian's python3-grpcio, python3-h2 and protobuf-compiler-grpc.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
PARTS = ("outsiders", "insiders", "misfits", "neighbours", "bombs")
COLUMNS = (("attack", "attack", 36), ("growth_mib", "MiB", 5), ("p99_before_ms", "p99", 7), ("p99_during_ms", "during", 8), ("p99_beside_ms", "beside", 8),
           ("admin_during_ms", "admin p99", 10), ("probe_during_ms", "slowest probe", 14), ("log_kib_a_minute", "log KiB/min", 12), ("failures", "failures", 9),
           ("verdict", "", 10))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(PARTS) + "; all of them if none is named")
    parser.add_argument("--build", type=Path, default=SOURCE / "build" / "release")
    parser.add_argument("--small", action="store_true", help="the size that the tests have")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(unknown)}")
    build = arguments.build.resolve()
    programs = ["--server", build / "server/heapsync-server", "--cli", build / "client/cli/heapsync", "--fake-heap",
                build / "tests/fake_heap/fake-heap"]
    held = True
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "attacks.jsonl"
        report.touch()
        environment = os.environ | {"HEAPSYNC_ATTACK_REPORT": str(report)} | ({} if arguments.small else {"HEAPSYNC_ATTACKS": "full"})
        for part in arguments.parts or PARTS:
            test = SOURCE / "tests/e2e" / f"{part}_test.py"
            held &= subprocess.run(["/usr/bin/python3", test, *programs], env=environment, check=False).returncode == 0
        rows = [json.loads(line) for line in report.read_text().splitlines()]
    print("".join(title.ljust(width) if name == "attack" else title.rjust(width) for name, title, width in COLUMNS))
    for row in rows:
        print("".join(str(row.get(name, "-")).ljust(width) if name == "attack" else str(row.get(name, "-")).rjust(width) for name, _, width in COLUMNS))
    print("all held" if held else "NOT all held: see above")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
