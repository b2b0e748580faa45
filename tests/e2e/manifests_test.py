#!/usr/bin/env python3
"""The files for Docker and Kubernetes in docker/ agree with the flags and the behaviour of the programs."""

import json
import re
import subprocess
import unittest
from pathlib import Path
from typing import Any

import harness
import yaml
from harness import SOURCE, Binaries

DOCKER = SOURCE / "docker"
OPEN_PORTS = {"grpc": 50051, "http": 9464}


def manifests() -> dict[str, dict[str, Any]]:
    """By kind and name."""
    documents = yaml.safe_load_all((DOCKER / "kubernetes/heapsync.yaml").read_text())
    return {f"{document['kind']}/{document['metadata']['name']}": document for document in documents}


# Keys by which Kubernetes merges these lists; every other list is replaced as a whole.
MERGE_KEYS = {"containers": "name", "volumes": "name", "volumeMounts": "mountPath", "env": "name"}


def patched(value: Any, patch: Any, field: str = "") -> Any:
    """A strategic merge, as far as the overlays need it."""
    if isinstance(patch, dict) and isinstance(value, dict):
        merged = dict(value)
        for key, change in patch.items():
            merged[key] = patched(value.get(key), change, key)
        return {key: part for key, part in merged.items() if part is not None}
    key = MERGE_KEYS.get(field)
    if isinstance(patch, list) and key is not None:
        merged_list = {part[key]: part for part in value or []}
        for change in patch:
            merged_list[change[key]] = patched(merged_list.get(change[key]), change)
        return list(merged_list.values())
    return patch


def tls_manifests() -> dict[str, dict[str, Any]]:
    """As `kubectl --kustomize docker/kubernetes/tls` makes them."""
    folder = DOCKER / "kubernetes/tls"
    overlay = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert overlay["resources"] == ["../"], overlay
    assert yaml.safe_load((DOCKER / "kubernetes/kustomization.yaml").read_text())["resources"] == ["heapsync.yaml"]
    found = manifests()
    for patch in overlay["patches"]:
        change = yaml.safe_load((folder / patch["path"]).read_text())
        name = f"{change['kind']}/{change['metadata']['name']}"
        found[name] = patched(found[name], change)
    return found


def flags_of_the_server() -> set[str]:
    text = subprocess.run([Binaries.server, "--help"], capture_output=True, text=True, check=False).stdout
    return set(re.findall(r"^\s+--([a-z_]+) ", text, re.MULTILINE))


def seconds(text: str) -> float:
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h)", text).groups()  # type: ignore[union-attr]
    return int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]


def drain_default() -> float:
    text = subprocess.run([Binaries.server, "--help"], capture_output=True, text=True, check=True).stdout
    return seconds(re.search(r"--drain_timeout \([^)]*\) \[(\w+)\]", text).group(1))  # type: ignore[union-attr]


def arguments_of(container: dict[str, Any]) -> dict[str, str]:
    return {flag: text for flag, _, text in (argument.removeprefix("--").partition("=") for argument in container["args"])}


# The time for open calls to end, and a margin for a slow disk: kCallGrace and what follows it in server/main.cc.
STOP_MARGIN = 10


class KubernetesTest(unittest.TestCase):
    make = staticmethod(manifests)

    @classmethod
    def setUpClass(cls) -> None:
        cls.all = cls.make()
        cls.pod = cls.all["StatefulSet/heapsync"]["spec"]["template"]
        cls.container = cls.pod["spec"]["containers"][0]
        cls.arguments = arguments_of(cls.container)

    def test_every_flag_and_variable_exists(self) -> None:
        known = flags_of_the_server()
        self.assertGreater(len(known), 15)
        self.assertLessEqual(set(self.arguments), known)
        for variable in self.container.get("env", []):
            self.assertIn(variable["name"].removeprefix("HEAPSYNC_").lower(), known)

    def test_every_path_is_mounted(self) -> None:
        mounts = {mount["mountPath"]: mount for mount in self.container["volumeMounts"]}
        volumes = {volume["name"] for volume in self.pod["spec"]["volumes"]}
        volumes |= {claim["metadata"]["name"] for claim in self.all["StatefulSet/heapsync"]["spec"]["volumeClaimTemplates"]}
        for mount in mounts.values():
            self.assertIn(mount["name"], volumes)
        for flag, text in self.arguments.items():
            if text.startswith("/"):
                holder = [path for path in mounts if text == path or text.startswith(path + "/")]
                self.assertTrue(holder, f"--{flag}={text}")
                if flag != "data_dir":
                    self.assertTrue(mounts[holder[0]].get("readOnly"), flag)

    def test_the_import_of_the_documents_reaches_the_server_and_its_files(self) -> None:
        text = (SOURCE / "docs/import.md").read_text(encoding="utf-8")
        [pod] = [job["spec"]["jobTemplate"]["spec"]["template"] for job in map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", text, re.DOTALL))
                 if job["kind"] == "CronJob"]
        callers = self.all["NetworkPolicy/heapsync"]["spec"]["ingress"][0]["from"][0]["podSelector"]["matchLabels"]
        self.assertLessEqual(callers.items(), pod["metadata"]["labels"].items())
        server = self.pod["spec"]["securityContext"]
        for setting, value in pod["spec"]["securityContext"].items():
            self.assertEqual(value, server[setting])
        self.assertIn("fsGroup", pod["spec"]["securityContext"])
        [container] = pod["spec"]["containers"]
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        self.assertEqual(set(mounts.values()), {volume["name"] for volume in pod["spec"]["volumes"]})
        for path in re.findall(r"(?:^|=)(/\w+)/", "\n".join(container["command"]), re.MULTILINE):
            self.assertIn(path, mounts)

    def test_the_ports_are_those_that_it_listens_on(self) -> None:
        ports = {port["name"]: port["containerPort"] for port in self.container["ports"]}
        self.assertEqual(ports, OPEN_PORTS)
        self.assertEqual(self.arguments["listen"], f"[::]:{ports['grpc']}")
        self.assertEqual(self.arguments["http_listen"], f"[::]:{ports['http']}")
        self.assertEqual(self.pod["metadata"]["annotations"]["prometheus.io/port"], str(ports["http"]))
        for name in ("heapsync", "heapsync-headless"):
            for port in self.all[f"Service/{name}"]["spec"]["ports"]:
                self.assertEqual((port["port"], port["targetPort"]), (ports[port["name"]], port["name"]))
            self.assertEqual(self.all[f"Service/{name}"]["spec"]["ipFamilyPolicy"], "PreferDualStack")
        self.assertEqual(self.all["Service/heapsync-headless"]["spec"]["clusterIP"], "None")
        self.assertEqual(self.all["StatefulSet/heapsync"]["spec"]["serviceName"], "heapsync-headless")
        allowed = {port["port"] for rule in self.all["NetworkPolicy/heapsync"]["spec"]["ingress"] for port in rule["ports"]}
        self.assertEqual(allowed, set(ports.values()))

    def test_probes_ask_services_of_their_own(self) -> None:
        self.assertEqual(self.container["livenessProbe"]["grpc"], {"port": 50051, "service": "heapsync.liveness"})
        self.assertEqual(self.container["readinessProbe"]["grpc"], {"port": 50051, "service": "heapsync.readiness"})
        self.assertEqual(self.container["startupProbe"]["grpc"]["service"], "heapsync.liveness")

    def test_the_grace_period_outlasts_the_drain(self) -> None:
        drain = seconds(self.arguments["drain_timeout"]) if "drain_timeout" in self.arguments else drain_default()
        self.assertGreaterEqual(self.pod["spec"]["terminationGracePeriodSeconds"], drain + STOP_MARGIN)

    def test_it_may_do_next_to_nothing(self) -> None:
        pod, container = self.pod["spec"]["securityContext"], self.container["securityContext"]
        self.assertTrue(pod["runAsNonRoot"])
        self.assertEqual(pod["seccompProfile"], {"type": "RuntimeDefault"})
        uid = re.search(r"useradd --uid (\d+)", (DOCKER / "Dockerfile").read_text())
        self.assertEqual(pod["runAsUser"], int(uid.group(1)))  # type: ignore[union-attr]
        self.assertEqual(pod["fsGroup"], pod["runAsGroup"])
        self.assertTrue(container["readOnlyRootFilesystem"])
        self.assertFalse(container["allowPrivilegeEscalation"])
        self.assertEqual(container["capabilities"], {"drop": ["ALL"]})
        self.assertFalse(self.pod["spec"]["automountServiceAccountToken"])
        self.assertFalse(self.pod["spec"]["enableServiceLinks"])

    def test_what_belongs_together_is_found_by_the_same_labels(self) -> None:
        labels = self.pod["metadata"]["labels"]
        for selector in (self.all["StatefulSet/heapsync"]["spec"]["selector"]["matchLabels"],
                         self.all["Service/heapsync"]["spec"]["selector"], self.all["Service/heapsync-headless"]["spec"]["selector"],
                         self.all["PodDisruptionBudget/heapsync"]["spec"]["selector"]["matchLabels"],
                         self.all["NetworkPolicy/heapsync"]["spec"]["podSelector"]["matchLabels"]):
            self.assertLessEqual(selector.items(), labels.items())
        self.assertEqual(self.all["StatefulSet/heapsync"]["spec"]["replicas"], 1)

    def test_secrets_are_mounted_and_never_written_out(self) -> None:
        for volume in self.pod["spec"]["volumes"]:
            self.assertEqual(volume["secret"]["defaultMode"], 0o440)
        self.assertNotIn("app_id", self.arguments)
        self.assertFalse([name for name in self.all if name.startswith("Secret/")])


def authority_and_certificate(folder: Path) -> None:
    """ca.crt, tls.crt and tls.key for the name heapsync."""
    (folder / "names").write_text("subjectAltName=DNS:heapsync\n")
    for command in (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.crt",
        "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=heapsync -keyout tls.key -out tls.csr",
        "x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out tls.crt",
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)


class StartTest(unittest.TestCase):
    """The program, started as the manifests start it, but for ports and folders, and asked as the kubelet asks."""

    def start(self, documents: dict[str, dict[str, Any]]) -> None:
        spec = documents["StatefulSet/heapsync"]["spec"]["template"]["spec"]
        container = spec["containers"][0]
        folder = harness.temporary_folder(type(self))
        (folder / "heapsync.json").write_text('{"destinations": [{"name": "prod", "app_id": "1234567890"}]}')
        (folder / "callers.json").write_text(json.dumps({"callers": [{"name": "shop", "token_sha256": ["ab" * 32]}]}))
        authority_and_certificate(folder)
        ports = [str(port) for port in harness.free_ports(2)]

        def here(text: str) -> str:
            text = re.sub(r"/etc/heapsync/\w+", str(folder), text).replace("/var/lib/heapsync", str(folder / "data"))
            return text.replace(":50051", f":{ports[0]}").replace(":9464", f":{ports[1]}")

        environment = {variable["name"]: here(variable["value"]) for variable in container.get("env", [])}
        server = harness.Program("server", [Binaries.server, *map(here, container["args"])], folder, environment)
        self.addCleanup(server.kill)
        health = environment | {"HEAPSYNC_SERVER": f"127.0.0.1:{ports[0]}", "PATH": str(Binaries.cli.resolve().parent)}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            command = container[probe].get("exec", {}).get("command")
            if command is None:
                command = ["heapsync", "health", f"--service={container[probe]['grpc']['service']}"]
            harness.wait_until(lambda command=command: not server.running() or subprocess.run(
                command, env=health, capture_output=True, check=False).returncode == 0, " ".join(command))
        self.assertTrue(server.running(), server.output())
        self.assertEqual(server.stop(), 0, server.output())

    def test_it_starts_answers_its_probes_and_stops(self) -> None:
        self.start(manifests())

    def test_it_does_so_with_tls(self) -> None:
        self.start(tls_manifests())


class KubernetesWithTlsTest(KubernetesTest):
    make = staticmethod(tls_manifests)

    def test_probes_ask_services_of_their_own(self) -> None:
        for probe, service in (("startupProbe", "liveness"), ("livenessProbe", "liveness"), ("readinessProbe", "readiness")):
            self.assertNotIn("grpc", self.container[probe])
            self.assertEqual(self.container[probe]["exec"]["command"], ["heapsync", "health", f"--service=heapsync.{service}"])

    def test_every_flag_and_variable_exists(self) -> None:
        self.assertLessEqual(set(self.arguments), flags_of_the_server())
        text = subprocess.run([Binaries.cli, "health", "--help"], capture_output=True, text=True, check=True).stdout
        self.assertIn("--service", text)
        for variable in self.container["env"]:
            self.assertIn(f"(Env:{variable['name']})", text)
            if variable["value"].startswith("/"):
                self.assertIn(str(Path(variable["value"]).parent), {mount["mountPath"] for mount in self.container["volumeMounts"]})

    def test_callers_are_named_and_nothing_goes_in_plaintext(self) -> None:
        self.assertLessEqual({"tls_cert", "tls_key", "auth"}, set(self.arguments))
        self.assertNotIn("allow_plaintext", self.arguments)
        base = {name: text for name, text in arguments_of(manifests()["StatefulSet/heapsync"]["spec"]["template"]["spec"]["containers"][0]).items() if name != "allow_plaintext"}
        self.assertLessEqual(base.items(), self.arguments.items())


class SharedSpoolTest(unittest.TestCase):
    """docker/kubernetes/shared_spool.yaml is heapsync.yaml but for what a spool in a database changes."""

    @classmethod
    def setUpClass(cls) -> None:
        documents = yaml.safe_load_all((DOCKER / "kubernetes/shared_spool.yaml").read_text())
        cls.all = {f"{document['kind']}/{document['metadata']['name']}": document for document in documents}
        cls.spec = cls.all["Deployment/heapsync"]["spec"]
        cls.pod = cls.spec["template"]
        cls.container = cls.pod["spec"]["containers"][0]
        cls.base = manifests()
        cls.base_pod = cls.base["StatefulSet/heapsync"]["spec"]["template"]

    def test_the_pod_is_the_same_but_for_its_spool(self) -> None:
        expected = json.loads(json.dumps(self.base_pod))
        container = expected["spec"]["containers"][0]
        container["args"] = [argument for argument in container["args"] if not argument.startswith("--data_dir=")]
        container["volumeMounts"] = [mount for mount in container["volumeMounts"] if mount["name"] != "spool"]
        container["env"] = [{"name": name, "valueFrom": {"secretKeyRef": {"name": "heapsync-spool", "key": key}}}
                            for name, key in (("HEAPSYNC_SPOOL", "uri"), ("PGPASSWORD", "password"))]
        expected["spec"]["topologySpreadConstraints"] = self.pod["spec"]["topologySpreadConstraints"]
        self.assertEqual(self.pod, expected)
        self.assertIn("spool", flags_of_the_server())
        self.assertEqual(self.all["Service/heapsync"], self.base["Service/heapsync"])
        self.assertEqual(self.all["ServiceAccount/heapsync"], self.base["ServiceAccount/heapsync"])

    def test_an_update_and_a_drained_node_leave_servers_that_accept(self) -> None:
        self.assertGreater(self.spec["replicas"], 1)
        self.assertEqual(self.spec["strategy"]["rollingUpdate"]["maxUnavailable"], 0)
        budget = self.all["PodDisruptionBudget/heapsync"]["spec"]
        self.assertLess(budget["maxUnavailable"], self.spec["replicas"])
        self.assertEqual(budget["selector"], self.spec["selector"])

    def test_the_database_may_be_reached(self) -> None:
        base, network = self.base["NetworkPolicy/heapsync"]["spec"], self.all["NetworkPolicy/heapsync"]["spec"]
        self.assertEqual(network["ingress"], base["ingress"])
        added = [rule for rule in network["egress"] if rule not in base["egress"]]
        self.assertEqual([rule["ports"] for rule in added], [[{"protocol": "TCP", "port": 5432}]])


class ComposeTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.services = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]

    def test_the_server_alone_starts_with_its_simulator(self) -> None:
        plain = {name for name, service in self.services.items() if "profiles" not in service}
        self.assertEqual(plain, {"server", "fake-heap"})
        self.assertEqual(self.services["prometheus"]["profiles"], ["metrics", "dashboard"])
        self.assertEqual(self.services["grafana"]["profiles"], ["dashboard"])

    def test_every_variable_of_the_server_is_one_of_its_flags(self) -> None:
        known = flags_of_the_server()
        for name in self.services["server"]["environment"]:
            self.assertIn(name.removeprefix("HEAPSYNC_").lower(), known)
        for name in re.findall(r"HEAPSYNC_([A-Z_]+)=", (DOCKER / "Dockerfile").read_text()):
            self.assertIn(name.lower(), known)

    def test_ports_are_published_to_this_machine_only(self) -> None:
        for name, service in self.services.items():
            for port in service["ports"]:
                self.assertTrue(str(port).startswith("127.0.0.1:"), f"{name}: {port}")

    def test_the_grace_period_outlasts_the_drain(self) -> None:
        self.assertGreaterEqual(seconds(self.services["server"]["stop_grace_period"]), drain_default() + STOP_MARGIN)

    def test_every_container_may_do_next_to_nothing(self) -> None:
        for name, service in self.services.items():
            self.assertEqual(service["cap_drop"], ["ALL"], name)
            self.assertEqual(service["security_opt"], ["no-new-privileges:true"], name)
        self.assertTrue(self.services["server"]["read_only"])

    def test_every_file_that_is_mounted_exists(self) -> None:
        volumes = yaml.safe_load((DOCKER / "compose.yaml").read_text())["volumes"]
        for service in self.services.values():
            for mount in service.get("volumes", []):
                source = mount.split(":")[0]
                if source.startswith("."):
                    self.assertTrue((DOCKER / source).exists(), source)
                else:
                    self.assertIn(source, volumes)

    def test_prometheus_and_grafana_find_each_other_and_the_server(self) -> None:
        scrape = yaml.safe_load((DOCKER / "prometheus/prometheus.yaml").read_text())["scrape_configs"][0]
        self.assertEqual(scrape["static_configs"], [{"targets": [f"server:{OPEN_PORTS['http']}"]}])
        source = yaml.safe_load((DOCKER / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"][0]
        self.assertEqual(source["url"], "http://prometheus:9090")
        provider = yaml.safe_load((DOCKER / "grafana/provisioning/dashboards/heapsync.yaml").read_text())["providers"][0]
        self.assertIn(f"./grafana/dashboards:{provider['options']['path']}:ro", self.services["grafana"]["volumes"])


class ClusterComposeTest(unittest.TestCase):
    """The containers themselves, but for the images of PostgreSQL and Envoy, are what e2e.standby runs."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = DOCKER / "cluster"
        cls.compose = yaml.safe_load((cls.folder / "compose.yaml").read_text())
        cls.services = cls.compose["services"]
        cls.servers = {name: service for name, service in cls.services.items() if name.startswith("server-")}

    def test_every_variable_of_the_servers_is_one_of_their_flags(self) -> None:
        known = flags_of_the_server()
        for service in self.servers.values():
            ours = [name for name in service["environment"] if name.startswith("HEAPSYNC_")]
            self.assertIn("HEAPSYNC_SPOOL", ours)
            for name in ours:
                self.assertIn(name.removeprefix("HEAPSYNC_").lower(), known)

    def test_ports_are_published_to_this_machine_only(self) -> None:
        for name, service in self.services.items():
            for port in service.get("ports", []):
                self.assertTrue(str(port).startswith("127.0.0.1:"), f"{name}: {port}")

    def test_servers_keep_nothing_and_outlast_their_drain(self) -> None:
        for service in self.servers.values():
            self.assertNotIn("volumes", service)
            self.assertTrue(service["read_only"])
            self.assertGreaterEqual(seconds(service["stop_grace_period"]), drain_default() + STOP_MARGIN)

    def test_files_and_volumes_exist(self) -> None:
        for service in self.services.values():
            for mount in service.get("volumes", []):
                source = mount.split(":")[0]
                if source.startswith("."):
                    self.assertTrue((self.folder / source).exists(), source)
                else:
                    self.assertIn(source, self.compose["volumes"])

    def test_the_load_balancer_knows_every_server(self) -> None:
        for cluster in yaml.safe_load((self.folder / "envoy.yaml").read_text())["static_resources"]["clusters"]:
            (group,) = cluster["load_assignment"]["endpoints"]
            known = {end["endpoint"]["address"]["socket_address"]["address"] for end in group["lb_endpoints"]}
            self.assertEqual(known, set(self.servers))


if __name__ == "__main__":
    harness.run()
