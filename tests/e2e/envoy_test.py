#!/usr/bin/env python3
"""With the configuration of docker/proxies/envoy.yaml everything works through Envoy."""

import unittest
from pathlib import Path

import harness
from behind_proxy import ProxyTests
from harness import SOURCE, Binaries, Program, Server, skip

DOCUMENTED = SOURCE / "docker" / "proxies" / "envoy.yaml"


def envoy() -> Path:
    return Binaries.grpcurl.with_name("envoy")


class EnvoyTest(ProxyTests, unittest.TestCase):
    silence_ended = r"SI\n"  # The access log's flag of a stream that was idle for too long.

    @classmethod
    def setUpClass(cls) -> None:
        if not envoy().exists():
            skip(f"no {envoy()}; scripts/install_test_tools.sh puts it there")
        super().setUpClass()

    @classmethod
    def start_proxy(cls, folder: Path, port: int, server: Server, silence: str = "") -> Program:
        text = DOCUMENTED.read_text()
        changes = {
            "address: 0.0.0.0, port_value: 443": f"address: 127.0.0.1, port_value: {port}",
            "address: heapsync, port_value: 50051": f"address: 127.0.0.1, port_value: {server.ports[0]}",
            "address: heapsync, port_value: 9464": f"address: 127.0.0.1, port_value: {server.ports[1]}",
            "/etc/envoy/tls/tls.crt": str(cls.served.cert),
            "/etc/envoy/tls/tls.key": str(cls.served.key),
            "stat_prefix: heapsync": """stat_prefix: heapsync
                access_log:
                  - name: stdout
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
                      log_format: {text_format_source: {inline_string: "%RESPONSE_FLAGS%\\n"}}""",
        }
        if silence:
            changes["stream_idle_timeout: 3600s"] = f"stream_idle_timeout: {silence}"
        for documented, here in changes.items():
            assert documented in text, documented
            text = text.replace(documented, here)
        path = folder / "envoy.yaml"
        path.write_text(text)
        # Without a base id several Envoys share memory, and with the hot restart of one the other ends.
        return Program("envoy", [envoy(), "--config-path", path, "--log-level", "warn", "--concurrency", "1", "--disable-hot-restart"], folder)


if __name__ == "__main__":
    harness.run()
