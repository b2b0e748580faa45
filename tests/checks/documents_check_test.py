#!/usr/bin/env python3
"""Tests of documents_check.py, each with a small tree of its own."""

import tempfile
import unittest
from pathlib import Path

import documents_check

PROTO = """syntax = "proto3";
package heapsync.v1;
// A service.
service HeapSyncService {
  rpc TrackEvent(TrackEventRequest) returns (TrackEventResponse);
}
enum AckLevel {
  ACK_LEVEL_DURABLE = 1;
}
message TrackEvent {
  string identity = 1;
  google.protobuf.Struct properties = 2;
}
message TrackEventRequest {
  AckLevel ack_level = 1;
  repeated TrackEvent events = 2;
}
"""


class DocumentsCheckTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.write("README.md", "# Top\n\n## A heading, with `code`\n")
        self.write("proto/heapsync/v1/service.proto", PROTO)
        self.write("tests/delivery/x_test.cc", "TEST_F(DispatcherTest,\n       SendsOnce) {}\nINSTANTIATE_TEST_SUITE_P(All, DispatcherTest, 1);\n")
        self.write("tests/e2e/CMakeLists.txt", "heapsync_e2e_test(crash)\n")
        self.write("tests/checks/CMakeLists.txt", "add_test(NAME check.layers COMMAND x)\n")
        self.write("server/config/settings.cc", "{.name = \"max_age\"}\n")
        self.write("client/cli/x_command.cc", 'add_subcommand("track"); add_option("--identity");\n')
        self.write("scripts/demo.sh", "true\n")

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def faults(self, text: str) -> str:
        self.write("docs/page.md", text)
        return "\n".join(documents_check.check(self.root))

    def test_documents_of_installed_packages_are_not_read(self) -> None:
        self.write("examples/node/node_modules/a/README.md", "[a](gone.md)")
        self.assertEqual(self.faults(""), "")

    def test_links_and_anchors_resolve(self) -> None:
        self.assertEqual(self.faults("[a](../README.md#a-heading-with-code) [b](#own) [c](https://example.com/x)\n\n# Own\n"), "")
        self.assertIn("docs/page.md:1: the link gone.md leads nowhere", self.faults("[a](gone.md)"))
        self.assertIn("README.md has no heading #other", self.faults("[a](../README.md#other)"))
        self.assertIn("has no heading #other", self.faults("[a](#other)"))
        self.assertIn("the link gone.png leads nowhere", self.faults('<img src="gone.png">'))
        self.assertIn("leaves the repository", self.faults("[a](../../x)"))

    def test_a_link_may_be_an_example_in_code(self) -> None:
        self.assertEqual(self.faults("```\n[a](gone.md)\n```\n"), "")

    def test_named_tests_exist(self) -> None:
        self.assertEqual(self.faults("`DispatcherTest.SendsOnce` `DispatcherTest.Sends*` `All/DispatcherTest.*` `e2e.crash` `check.layers`"), "")
        for name in ("DispatcherTest.SendsTwice", "OtherTest.*", "Some/DispatcherTest.*", "e2e.other", "check.other", "test_other"):
            with self.subTest(name):
                self.assertIn(f"there is no test {name}", self.faults(f"`{name}`"))

    def test_named_flags_exist(self) -> None:
        self.assertEqual(self.faults("`--max_age` `--max_age=1h` `heapsync track --identity=a`"), "")
        self.assertIn("there is no flag --min_age", self.faults("`--min_age`"))
        self.assertIn("there is no flag --other", self.faults("```sh\nheapsync track --other=a\n```"))

    def test_flags_of_other_programs_are_not_ours(self) -> None:
        self.assertEqual(self.faults("```sh\ncurl --silent x | grep --invert-match y\n```"), "")

    def test_named_commands_scripts_and_paths_exist(self) -> None:
        self.assertEqual(self.faults("`scripts/demo.sh` `tests/delivery`\n```sh\nscripts/demo.sh  # all\nheapsync track\n```"), "")
        self.assertIn("there is no scripts/other.sh", self.faults("`scripts/other.sh`"))
        self.assertIn("there is no tests/other", self.faults("`tests/other`"))
        self.assertIn("heapsync has no command other", self.faults("```sh\nheapsync other\n```"))

    def test_grpcurl_lines_follow_the_protos(self) -> None:
        call = "```sh\nA=heapsync.v1\ngrpcurl -plaintext -d '%s' \\\n  localhost:1 $A.HeapSyncService/TrackEvent\n```"
        good = '{"ack_level":"ACK_LEVEL_DURABLE",\n"events":[{"identity":"a","properties":{"any":{"thing":1}}}]}'
        self.assertEqual(self.faults(call % good), "")
        self.assertIn("TrackEventRequest has no field event", self.faults(call % '{"event":{}}'))
        self.assertIn("TrackEvent has no field user", self.faults(call % '{"events":[{"user":"a"}]}'))
        self.assertIn("AckLevel has no ACK_LEVEL_ANY", self.faults(call % '{"ack_level":"ACK_LEVEL_ANY"}'))
        self.assertIn("no method heapsync.v1.HeapSyncService/Other", self.faults((call % "{}").replace("TrackEvent", "Other")))

    def test_here_documents_are_messages(self) -> None:
        block = "```sh\ngrpcurl -d @ localhost:1 heapsync.v1.HeapSyncService/TrackEvent <<'EOF'\n{\"events\":[]}\n{\"%s\":[]}\nEOF\n```"
        self.assertEqual(self.faults(block % "events"), "")
        self.assertIn("no field users", self.faults(block % "users"))

    def test_examples_of_json_parse(self) -> None:
        self.assertEqual(self.faults('```jsonc\n{\n  // why\n  "a": 1\n}\n```'), "")
        self.assertIn("docs/page.md:1:", self.faults('```json\n{"a": 1,}\n```'))

    def test_the_readme_is_short(self) -> None:
        self.write("README.md", "x" * 8_192)
        self.assertEqual(self.faults(""), "")
        self.write("README.md", "x" * 8_193)
        self.assertIn("README.md has 8193 bytes", self.faults(""))

    def test_an_empty_tree_is_a_fault_and_not_a_pass(self) -> None:
        (self.root / "README.md").unlink()
        self.assertIn("nothing was checked", self.faults(""))


if __name__ == "__main__":
    unittest.main()
