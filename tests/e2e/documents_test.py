#!/usr/bin/env python3
"""The shell blocks of README.md and docs/ that are marked "run", executed in their order against a real server.

They speak to localhost:50051, as a reader would; here that is a server on a free port.
"""

import os
import re
import subprocess

import harness
from harness import SOURCE, Binaries

DOCUMENTS = (SOURCE / "README.md", SOURCE / "docs/api.md")


class DocumentsTest(harness.EndToEnd):
    def test_every_block_that_is_marked_runs(self) -> None:
        environment = os.environ | {"HEAPSYNC_SERVER": self.server.address, "PATH": ":".join(
            [str(Binaries.grpcurl.resolve().parent), str(Binaries.cli.resolve().parent), os.environ["PATH"]])}
        for document in DOCUMENTS:
            blocks = re.findall(r"^```sh run\n(.*?)^```$", document.read_text(), re.MULTILINE | re.DOTALL)
            self.assertGreaterEqual(len(blocks), 2, document)
            for block in blocks:
                with self.subTest(document.name, commands=block):
                    result = subprocess.run(["bash", "-euo", "pipefail", "-c", block.replace("localhost:50051", self.server.address)],
                                            env=environment, capture_output=True, text=True, timeout=harness.PATIENCE, check=False)
                    self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
                    if receipt := re.search(r'"receipt": "([^"]+)"', result.stdout):
                        environment["RECEIPT"] = receipt.group(1)
        events = [event["event"] for event in self.heap.events_of("user@example.com")]
        self.assertIn("Purchase Completed", events)


if __name__ == "__main__":
    harness.run()
