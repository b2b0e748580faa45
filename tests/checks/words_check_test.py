#!/usr/bin/env python3
"""Tests of words_check.py, each with a small tree of its own."""

import tempfile
import unittest
from pathlib import Path

import words_check


class WordsCheckTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def found(self, text: str, path: str = "heap_adapter/a.h") -> list[str]:
        """The rules that `text` breaks."""
        self.write(path, text)
        self.write("server/b.h", "// A comment.\n")
        _, hits, _ = words_check.check(self.root, {})
        return [hit.rule for hit in hits]

    def test_headless_clauses_are_found(self) -> None:
        for comment in ("What waits of one type.", "Whether there is any limit at all.", "How often a person sent it.", "Whoever waits for it.",
                        "Of these: valid and durable.", "Of the accepted: given up.", "Who makes a call, and what it may do.",
                        "Where only logs are damaged.", "What waits for\n  // space goes first."):
            with self.subTest(comment):
                self.assertIn("headless", self.found(f"  // {comment}\nint a;\n"))

    def test_nouns_sentences_and_questions_are_fine(self) -> None:
        for comment in ("Items that wait.", "True if there is a limit.", "Number of replays.", "What is a lane? See the glossary.",
                        "Where the disk is full, the caller waits for space.", "Offers an item.", "How to add a flag: see below."):
            with self.subTest(comment):
                self.assertEqual(self.found(f"// {comment}\nint a;\n"), [])

    def test_only_the_beginning_of_a_block_counts(self) -> None:
        self.assertEqual(self.found("// A lane.\n// What waits of it.\nint a;\n"), [])

    def test_banned_words_are_found_over_line_breaks(self) -> None:
        for rule, text in (("under way", "// It is under\n// way.\n"), ("set aside", "// It was set aside.\n"), ("so many", "// At most so many bytes.\n"),
                           ("for good", 'const char kText[] = "merged for "\n    "good";\n'), ("anew", "// Reads it anew.\n"),
                           ("no more", "// It exists no more.\n"), ("at once", "// At once.\n"), ("at once", "// It returns at once.\n"),
                           ("bury", "// It buries the item.\n"), ("somebody", "// Somebody waits.\n"),
                           ("whoever", "// The lock of whoever waits.\n")):
            with self.subTest(text):
                self.assertIn(rule, self.found(text))

    def test_other_meanings_are_fine(self) -> None:
        for text in ("// Sends 64 calls at once.\n", "// Takes no more than ten.\n", "// There are no more.\n", "// Good for many.\n", "// Aside from that.\n"):
            with self.subTest(text):
                self.assertEqual(self.found(text), [])

    def test_identifiers_are_looked_at_without_comments_and_texts(self) -> None:
        self.assertEqual(self.found("// It was told of most_items.\n"), [])
        self.assertEqual(self.found("int threshold = kAlmostFull;\n"), [])
        for rule, text in (("told", "size_t untold = 0;\n"), ("told", "bool told_all_;\n"), ("most_", "int most_items;\n"), ("most_", "int kLongestName;\n"),
                           ("std::mutex", "std::mutex mutex;\n"), ("std::mutex", "std::condition_variable done;\n")):
            with self.subTest(text):
                self.assertEqual(self.found(text), [rule])

    def test_the_wrapper_may_use_what_it_wraps(self) -> None:
        self.assertEqual(self.found("std::mutex mutex;\n", "base/mutex.h"), [])

    def test_documents_and_alerts_are_read_too(self) -> None:
        for path in ("README.md", "docs/a.md", "docker/prometheus/alerts.yaml", "examples/go/main.go"):
            with self.subTest(path):
                self.assertIn("anew", self.found("It begins anew.\n", path))

    def test_what_the_examples_builds_make_is_not_read(self) -> None:
        self.assertEqual(self.found("It begins anew.\n", "examples/node/node_modules/a/README.md"), [])

    def test_an_allowance_is_a_limit(self) -> None:
        self.write("heap_adapter/a.h", "// Reads it anew.\n\n// Writes it anew.\n")
        self.assertEqual(words_check.check(self.root, {"anew": 2})[0], [])
        self.assertIn("anew: 2, and 1 are allowed; write: again", words_check.check(self.root, {"anew": 1})[0][0])

    def test_one_block_in_a_hundred_may_be_headless(self) -> None:
        self.write("heap_adapter/a.h", "// A noun.\n\n" * 99 + "// What it is.\n")
        self.assertEqual(words_check.check(self.root, {})[0], [])
        self.write("heap_adapter/b.h", "// What it was.\n")
        self.assertIn("headless: 2, and 1 are allowed", words_check.check(self.root, {})[0][0])

    def test_an_empty_tree_is_a_fault_and_not_a_pass(self) -> None:
        self.assertIn("nothing was checked", words_check.check(self.root, {})[0][0])


if __name__ == "__main__":
    unittest.main()
