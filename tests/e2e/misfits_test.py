#!/usr/bin/env python3
"""What breaks the protocols hurts nobody else: floods of odd frames, headers, messages, records, tokens and HTTP requests.

HEAPSYNC_ATTACKS=full makes each attack last 20 seconds instead of 4.
"""

import certificates
import grpc
import harness
from attacks import AttackTest, caller

TOKEN, BAD = "hst_shop", "hst_bad"


class MisfitsTest(AttackTest):
    script = harness.SOURCE / "tests" / "attack" / "misfits.py"
    token = TOKEN
    callers = [caller("shop", TOKEN), caller("bad", BAD)]

    def attack(self, *names: str, port: int = 0, uses_processor: bool = False) -> None:
        """Fails if others notice more than their part of the processor, which some attacks use up, or if memory has no bound."""
        for name in names:
            with self.subTest(name):
                innocents = self.run_attack(name, BAD, port=port)
                self.assertEqual(innocents.failures + innocents.lost_probes, [])
                if not uses_processor:
                    self.assert_served(innocents)

    def test_control_frames(self) -> None:
        self.attack("settings", "settings_acks", "table_sizes", "priorities", "unread_watch_pings", "goaways", "pushes", "unknown_frames")

    def test_frames_without_content(self) -> None:
        self.attack("empty_data", "padding")
        self.attack("empty_data_of_a_caller", uses_processor=True)

    def test_headers(self) -> None:
        self.attack("continuations", "empty_continuations", "table_churn", "odd_headers", "many_paths")

    def test_streams_that_the_server_has_to_reset(self) -> None:
        self.attack("own_resets")

    def test_messages(self) -> None:
        self.attack("wrong_lengths")
        self.attack("split_messages", uses_processor=True)

    def test_tokens(self) -> None:
        self.attack("wrong_tokens")

    def test_requests_to_the_http_port(self) -> None:
        self.attack("http_requests", port=self.server.ports[1])

    def test_tls(self) -> None:
        ca = certificates.new_ca(self.folder, "ca")
        served = certificates.new_certificate(self.folder, ca, "server", "DNS:localhost,IP:127.0.0.1")
        self.server.kill()
        self.server = self.start(f"--app_id={harness.APP_US}", f"--tls_cert={served.cert}", f"--tls_key={served.key}",
                                 credentials=grpc.ssl_channel_credentials(ca.cert.read_bytes()))
        self.attack("small_records", "handshakes")


if __name__ == "__main__":
    harness.run()
