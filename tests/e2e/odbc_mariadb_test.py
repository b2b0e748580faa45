#!/usr/bin/env python3
"""Imports queries of a real MariaDB through Debian's ODBC driver."""

import json
import subprocess

import harness
from mariadb_server import MariaDbServer
from odbc_imports import OdbcImports, require_drivers

UTC = "--odbc_init=SET time_zone = '+00:00'"


class OdbcMariaDbTest(OdbcImports):
    mariadb: MariaDbServer

    @classmethod
    def setUpClass(cls) -> None:
        require_drivers("MariaDB Unicode")
        cls.mariadb = MariaDbServer()
        cls.addClassCleanup(cls.mariadb.remove)
        super().setUpClass()

    @property
    def source(self) -> str:
        return f"Driver=MariaDB Unicode;Socket={self.mariadb.socket};Database=shop;User=root"

    def test_each_type_arrives_as_such(self) -> None:
        self.mariadb.sql(r"""
            CREATE TABLE types (identity text, i int, tiny tinyint, flag boolean, big bigint, large bigint unsigned, d decimal(10,2),
                                long_d decimal(30,10), f float, f8 double, dt datetime, dt6 datetime(6), ts timestamp(3) NULL, da date,
                                ti time(1), y year, t text, j json, e enum('a', 'b'), s set('x', 'y'), on_ bit(1), off_ bit(1), c char(5),
                                nothing varchar(9), zero datetime);
            SET time_zone = '+00:00';
            INSERT INTO types VALUES ('my-types', 4, -5, true, 12345678901234567, 18446744073709551615, 1.10, 12345678901234567.89, 0.1,
                                      0.1e0 + 0.2e0, '2024-01-15 10:30:00', '2024-01-15 10:30:00.123456', '2024-01-15 10:30:00.120',
                                      '2024-01-15', '-100:30:00.5', 2024, 'é€😀 "q" \\ \n', '{"a": [1]}', 'b', 'x,y', b'1', b'0', 'ab',
                                      NULL, '0000-00-00 00:00:00')""")
        self.load("SELECT * FROM types", UTC)
        self.assertEqual(self.properties("my-types"), {
            "i": 4, "tiny": -5, "flag": 1, "big": "12345678901234567", "large": "18446744073709551615", "d": 1.1,
            "long_d": "12345678901234567.8900000000", "f": 0.1, "f8": 0.30000000000000004, "dt": "2024-01-15T10:30:00Z",
            "dt6": "2024-01-15T10:30:00.123456Z", "ts": "2024-01-15T10:30:00.12Z", "da": "2024-01-15", "ti": "-100:30:00.5", "y": 2024,
            "t": 'é€😀 "q" \\ \n', "j": '{"a": [1]}', "e": "b", "s": "x,y", "on_": "true", "off_": "false", "c": "ab",
            "zero": "0000-00-00 00:00:00"})

    def test_a_timestamp_is_in_the_time_zone_of_the_session(self) -> None:
        self.mariadb.sql("""CREATE TABLE zones (identity text, at timestamp);
                            SET time_zone = '+00:00'; INSERT INTO zones VALUES ('my-zone', '2024-01-15 10:30:00')""")
        query = "SELECT * FROM zones"
        self.assertIn('the times of "at" have a time zone', self.load(query))
        self.wait_for("my-zone", at="2024-01-15T16:00:00Z")
        self.assertNotIn("time zone", self.load(query, UTC))
        self.wait_for("my-zone", at="2024-01-15T10:30:00Z")

    def test_an_incremental_import_goes_in_steps_of_bounded_size(self) -> None:
        """MariaDB's driver before 3.2 loads a result whole. Three rows share each time, so a step ends within a group of them."""
        self.mariadb.sql("""CREATE TABLE steps (identity varchar(20), updated_at datetime(6), KEY (updated_at));
                            INSERT INTO steps SELECT concat('step-', seq), timestamp('2024-01-02') + INTERVAL seq DIV 3 SECOND
                            FROM seq_1_to_1000""")
        command = self.command("SELECT * FROM steps WHERE updated_at > ? ORDER BY updated_at FETCH FIRST 400 ROWS WITH TIES",
                               "--cursor=updated_at", "--cursor_start=2024-01-01", f"--state={self.folder}/steps.state", "--json")
        rows = []
        while not rows or rows[-1] > 0:
            done = subprocess.run(command, capture_output=True, text=True, timeout=harness.PATIENCE)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("loads the whole result into memory", done.stderr)
            rows.append(json.loads(done.stdout.splitlines()[-1])["rows"])
        self.assertEqual(rows, [401, 402, 197, 0])
        self.wait_for_user("step-1000")
        self.mariadb.sql("UPDATE steps SET updated_at = '2024-01-03' WHERE identity = 'step-7'")
        done = subprocess.run(command, capture_output=True, text=True, timeout=harness.PATIENCE)
        self.assertEqual(json.loads(done.stdout.splitlines()[-1])["rows"], 1)

    def test_a_query_that_fails_leaves_the_state_as_it_was(self) -> None:
        self.mariadb.sql("""CREATE TABLE failing (identity varchar(20), updated_at datetime);
                            INSERT INTO failing SELECT concat('fail-', seq), timestamp('2024-01-02') + INTERVAL seq SECOND
                            FROM seq_1_to_100""")
        state = self.folder / "failing.state"
        flags = ["--cursor=updated_at", "--cursor_start=2024-01-01", f"--state={state}"]
        query = "SELECT identity, updated_at, {} AS n FROM failing WHERE updated_at > ? ORDER BY updated_at"
        two_values_in_the_middle = "(SELECT seq FROM seq_1_to_2 WHERE seq <= IF(second(updated_at) = 50, 2, 1))"
        self.assertIn("Subquery returns more than 1 row", self.load(query.format(two_values_in_the_middle), *flags, code=1))
        self.assertFalse(state.exists() and json.loads(state.read_text())["cursor"] != "2024-01-01")
        self.load(query.format("1"), *flags, "--restart")
        self.wait_for_user("fail-100")


if __name__ == "__main__":
    harness.run()
