#!/usr/bin/env python3
"""Imports queries of a real PostgreSQL and of SQLite through Debian's ODBC drivers: types, faults, and an incremental import that is
killed again and again while the rows change.

HEAPSYNC_ODBC_ROWS and HEAPSYNC_ODBC_KILLS set the size of the last (default: 20,000 and 20).
"""

import json
import os
import random
import re
import shlex
import signal
import sqlite3
import subprocess
import threading

import harness
from harness import APP_US, SOURCE, Binaries, wait_until
from odbc_imports import OdbcImports, require_drivers
from postgres_server import PostgresServer

ROWS = int(os.environ.get("HEAPSYNC_ODBC_ROWS", "20000"))
KILLS = int(os.environ.get("HEAPSYNC_ODBC_KILLS", "20"))
UTC = "--odbc_init=SET TIME ZONE 'UTC'"


class OdbcTest(OdbcImports):
    postgres: PostgresServer

    @classmethod
    def setUpClass(cls) -> None:
        require_drivers("PostgreSQL Unicode", "SQLite3")
        cls.postgres = PostgresServer()
        cls.addClassCleanup(cls.postgres.remove)
        super().setUpClass()

    @property
    def source(self) -> str:
        return f"Driver=PostgreSQL Unicode;Servername={self.postgres.folder};Port={self.postgres.port};Database=postgres;Username=postgres"

    def test_each_type_of_postgresql_arrives_as_such(self) -> None:
        self.load("""SELECT 'pg-types' AS identity, 42::int AS i, 12345678901234567::bigint AS big, 1.10::numeric(10,2) AS dec,
                     12345678901234567.89::numeric AS long_dec, 0.1::float4 AS f4, 0.1::float8 + 0.2 AS f8, 0::float8 AS zero, true AS yes,
                     false AS no, 'é€😀 "q" \\ '||chr(10) AS t, '{"a": {"b": 1.5}, "l": "x"}'::jsonb AS j, ARRAY[1,2]::text AS a,
                     timestamp '2024-01-15 10:30:00.123456' AS ts, timestamptz '2024-01-15 10:30:00+05:30' AS tz, date '2024-01-15' AS d,
                     NULL::text AS nothing, '24f33f1e-61b8-4904-bf06-1f9131f24237'::uuid AS u, repeat('é', 500) AS long""", UTC)
        found = self.properties("pg-types")
        found.pop("identity", None)
        self.assertEqual(found, {
            "i": 42, "big": "12345678901234567", "dec": 1.1, "long_dec": "12345678901234567.89", "f4": 0.1, "f8": 0.30000000000000004,
            "zero": 0, "yes": "true", "no": "false", "t": 'é€😀 "q" \\ \n', "j.a.b": 1.5, "j.l": "x", "a": "{1,2}",
            "ts": "2024-01-15T10:30:00.123456Z", "tz": "2024-01-15T05:00:00Z", "d": "2024-01-15",
            "u": "24f33f1e-61b8-4904-bf06-1f9131f24237", "long": "é" * 500})

    def test_a_time_zone_is_pointed_out(self) -> None:
        query = "SELECT 'pg-zone' AS identity, timestamptz '2024-01-15 10:30:00+00' AS at"
        self.assertIn('the times of "at" have a time zone', self.load(query))
        self.assertNotIn("time zone", self.load(query, UTC))

    def test_each_type_of_sqlite_arrives_as_such(self) -> None:
        path = self.folder / "types.db"
        with sqlite3.connect(path) as base:
            base.execute("CREATE TABLE t (identity text, i integer, r real, d decimal(10,2), t text, at timestamp, b boolean, j json)")
            base.execute("INSERT INTO t VALUES ('lite-1', 1, 0.3, 1.25, 'é€😀', '2024-01-15 10:30:00.123', 1, '{\"a\": 1}')")
            # A column of SQLite holds any type.
            base.execute("INSERT INTO t VALUES ('lite-2', 'abc', 'abc', 'abc', NULL, 'soon', 'maybe', '{')")
            base.execute("INSERT INTO t VALUES ('lite-3', 1, 1, 1, CAST(x'ff41' AS text), NULL, NULL, NULL)")
        rejects = self.folder / "types.rejects"
        self.load("SELECT * FROM t", f"--rejects={rejects}", source=f"Driver=SQLite3;Database={path}", code=3)
        self.assertEqual(self.properties("lite-1"), {"i": 1, "r": 0.3, "d": 1.25, "t": "é€😀",
                                                     "at": "2024-01-15T10:30:00.123Z", "b": "true", "j.a": 1})
        self.assertEqual(self.properties("lite-2"), {"i": "abc", "r": "abc", "d": "abc", "at": "soon", "b": "maybe", "j": "{"})
        refused = [json.loads(line) for line in rejects.read_text(encoding="utf-8").splitlines()]
        self.assertEqual([(row["row"], row["violations"][0]["reason"]) for row in refused], [(3, "INVALID_UTF8")])

    def test_a_row_that_is_too_long_costs_itself_alone(self) -> None:
        rejects = self.folder / "long.rejects"
        self.load("SELECT 'pg-long-' || g AS identity, repeat('x', CASE g WHEN 2 THEN 3000000 ELSE 3 END) AS t FROM generate_series(1, 3) g",
                  f"--rejects={rejects}", code=3)
        self.assertEqual(self.properties("pg-long-3"), {"t": "xxx"})
        refused = [json.loads(line) for line in rejects.read_text(encoding="utf-8").splitlines()]
        self.assertEqual([(row["row"], row["violations"][0]["reason"]) for row in refused], [(2, "ROW_TOO_LONG")])

    def test_what_cannot_be_sent_is_said_before_a_row_is_read(self) -> None:
        for query, flags, what in [
            ("SELECT 'x' AS identity, '\\x01'::bytea AS picture", [], 'column "picture" holds binary values (bytea)'),
            ("SELECT 'x' AS identity, 1", [], "column 2 of the query has no name"),
            ("SELECT 'x' AS identity, 1 AS n, 2 AS n", [], 'two columns of the query are named "n"'),
            ("SELECT 'x' AS a", [], "nothing fills identity"),
            ("SELECT 'x' AS identity", ["--properties=plan"], 'no column is named "plan"'),
            ("SELECT 'x' AS identity WHERE 1 > ?", [], "has a parameter (?)"),
            ("DROP TABLE IF EXISTS nothing", [], "gives no rows"),
        ]:
            with self.subTest(what):
                self.assertIn(what, self.load(query, *flags, code=2))

    def test_secrets_are_neither_taken_as_an_argument_nor_shown(self) -> None:
        self.assertIn("PWD would be seen", self.load("SELECT 1", source=f"{self.source};PWD=hunter2", code=2))
        path = self.folder / "connection"
        path.write_text("Driver=PostgreSQL Unicode\nServername=127.0.0.1;\nPort=1\nUsername=postgres\nPassword=hunter2\n")
        path.chmod(0o600)
        done = subprocess.run([str(Binaries.cli), "import", "--type=user", f"--odbc_file={path}", "--query=SELECT 1"], capture_output=True,
                              text=True, timeout=harness.PATIENCE)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot connect to the data source", done.stderr)
        self.assertNotIn("hunter2", done.stdout + done.stderr)
        absent = subprocess.run([*done.args[:3], f"--odbc_file={path}-absent", "--query=SELECT 1"], capture_output=True, text=True,
                                timeout=harness.PATIENCE)
        self.assertIn(f"cannot read {path}-absent: No such file or directory", absent.stderr)

    def incremental(self, table: str, *flags: str, code: int = 0, kind: str = "user") -> str:
        return self.load(f"SELECT * FROM {table} WHERE updated_at > ? ORDER BY updated_at", "--cursor=updated_at",
                         "--cursor_start=2024-01-01", f"--state={self.folder / table}.state", *flags, code=code, kind=kind)

    def test_each_import_reads_what_came_after_the_one_before(self) -> None:
        self.postgres.sql("""CREATE TABLE steps (identity text, plan text, updated_at timestamp);
                             INSERT INTO steps SELECT 'step-' || g, 'free', timestamp '2024-01-02' + g * interval '1 us'
                             FROM generate_series(1, 1000) g""")
        self.incremental("steps")
        self.wait_for("step-1000", plan="free")
        self.postgres.sql("UPDATE steps SET plan = 'pro', updated_at = timestamp '2024-01-03' WHERE identity IN ('step-7', 'step-8')")
        rows = json.loads(subprocess.run(self.command("SELECT * FROM steps WHERE updated_at > ? ORDER BY updated_at", "--cursor=updated_at",
                                                      f"--state={self.folder}/steps.state", "--json", "--cursor_start=2024-01-01"),
                                         capture_output=True, text=True, timeout=harness.PATIENCE).stdout.splitlines()[-1])["rows"]
        self.assertEqual(rows, 2)
        self.wait_for("step-7", plan="pro")

    def test_a_column_may_change_its_type_between_imports(self) -> None:
        self.postgres.sql("""CREATE TABLE changing (identity text, n int, updated_at timestamp);
                             INSERT INTO changing VALUES ('changing', 7, '2024-01-02')""")
        self.incremental("changing")
        self.wait_for("changing", n=7)
        self.postgres.sql("""ALTER TABLE changing ALTER n TYPE text, ALTER updated_at TYPE timestamp(0);
                             UPDATE changing SET n = 'seven', updated_at = '2024-01-03'""")
        self.incremental("changing")
        self.wait_for("changing", n="seven")

    def test_a_cursor_that_could_lose_rows_is_refused(self) -> None:
        self.postgres.sql("""CREATE TABLE odd (identity text, event text, updated_at timestamp, zoned timestamptz);
                             INSERT INTO odd VALUES ('odd', 'E', '2024-01-03', now()), ('odd', 'E', '2024-01-02', now()),
                                                    ('odd', 'E', NULL, now())""")
        state = f"--state={self.folder}/odd.state"
        start = "--cursor_start=2024-01-01"
        ordered = "SELECT * FROM odd WHERE updated_at > ? ORDER BY updated_at"
        self.assertIn("there is no state", self.load(ordered, "--cursor=updated_at", state, code=2))
        self.assertIn("--state", self.load(ordered, "--cursor=updated_at", start, code=2))
        self.assertIn("need a column for idempotency_key", self.load(ordered, "--cursor=updated_at", start, state, kind="track", code=2))
        self.assertIn("ORDER BY", self.load(ordered + " DESC", "--cursor=updated_at", start, state, code=1))
        self.assertIn("is NULL in row 1", self.load("SELECT * FROM odd WHERE updated_at > ? OR updated_at IS NULL ORDER BY updated_at"
                                                    " NULLS FIRST", "--cursor=updated_at", start, "--restart", state, code=1))
        zoned = "SELECT * FROM odd WHERE zoned > ? ORDER BY zoned"
        self.assertIn("has a time zone", self.load(zoned, "--cursor=zoned", start, "--restart", state, code=2))
        self.load(zoned, "--cursor=zoned", start, "--restart", state, UTC)
        self.assertIn("--cursor has changed", self.load(ordered, "--cursor=updated_at", start, state, code=1))

    def test_an_import_continues_behind_a_database_that_fails(self) -> None:
        self.postgres.sql("""CREATE TABLE failing (identity text, n int, updated_at timestamp);
                             INSERT INTO failing SELECT 'fail-' || g, CASE g WHEN 4500 THEN 0 ELSE g END,
                             timestamp '2024-01-02' + g / 2 * interval '1 s' FROM generate_series(1, 5000) g""")
        flags = ["--cursor=updated_at", "--cursor_start=2024-01-01", f"--state={self.folder}/failing.state"]
        # The division comes behind the sort.
        query = """SELECT identity, 9000 / n AS n, updated_at
                   FROM (SELECT * FROM failing WHERE updated_at > ? ORDER BY updated_at OFFSET 0) sorted"""
        said = self.load(query, *flags, code=1)
        self.assertIn("22012: ERROR: division by zero", said)
        self.assertIn("run the same command again to continue", said)
        # PostgreSQL gives a thousand rows at a time.
        saved = json.loads((self.folder / "failing.state").read_text())["cursor"]
        self.assertEqual(saved, "2024-01-02 00:33:19", "rows 4,000 and 4,001 have one value, of which the second was not read")
        self.postgres.sql("UPDATE failing SET n = 1 WHERE n = 0")
        self.load(query, *flags)
        wait_until(lambda: all(self.heap.find("users", app_id=APP_US, identity=f"fail-{n}") for n in (1, 3999, 4000, 4001, 4500, 5000)),
                   "every row")

    def test_a_connection_that_is_lost_is_not_the_end_of_the_result(self) -> None:
        self.postgres.sql("""CREATE TABLE lost (identity text, nap int, updated_at timestamp);
                             INSERT INTO lost SELECT 'lost-' || g, CASE g WHEN 2500 THEN 60 ELSE 0 END,
                             timestamp '2024-01-02' + g * interval '1 s' FROM generate_series(1, 3000) g""")
        command = self.command("""SELECT identity, pg_sleep(nap)::text AS nap, updated_at
                                  FROM (SELECT * FROM lost WHERE updated_at > ? ORDER BY updated_at OFFSET 0) sorted""",
                               "--cursor=updated_at", "--cursor_start=2024-01-01", f"--state={self.folder}/lost.state")
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        asleep = "SELECT {} FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE 'fetch%'"
        try:
            wait_until(lambda: self.postgres.sql(asleep.format("pid")), "the query's nap")
            self.postgres.sql(asleep.format("pg_terminate_backend(pid)"))
            said = process.communicate(timeout=harness.PATIENCE)[1]
        finally:
            process.kill()
            process.wait()
        self.assertEqual(process.returncode, 1, said)
        self.assertIn("the query failed after row 2000", said)
        saved = json.loads((self.folder / "lost.state").read_text())["cursor"]
        self.assertEqual(saved, "2024-01-02 00:33:19", "a row after number 2,000 might have its value")
        self.postgres.sql("UPDATE lost SET nap = 0")
        self.assertEqual(subprocess.run(command, capture_output=True, timeout=harness.PATIENCE).returncode, 0)
        self.wait_for_user("lost-3000")

    def test_the_schedules_of_the_documents_import_what_changed(self) -> None:
        """Each command as it stands in docs/import.md, from a folder into which it may not write."""
        self.postgres.sql("""CREATE TABLE customers (email text, plan text, updated_at timestamp);
                             INSERT INTO customers VALUES ('', 'free', '2024-01-02'), ('customer', 'free', '2024-01-03')""")
        text = (SOURCE / "docs/import.md").read_text(encoding="utf-8")
        [script] = re.findall(r"```sh script import-customers\n(.*?)```", text, re.DOTALL)
        [crontab] = re.findall(r"^(PATH=.*)\n\*/10 \* \* \* \* (.*) 2>&1 \| logger -t import-customers$", text, re.MULTILINE)
        [service] = re.findall(r"^ExecStart=/usr/local/bin/(import-customers .*)$", text, re.MULTILINE)
        [job] = re.findall(r"^ +- /scripts/import-customers\n((?: +- --.*\n)+)", text, re.MULTILINE)
        programs, home, state, connection = (self.folder / name for name in ("programs", "home", "state", "connection"))
        for folder in (programs, home, state):
            folder.mkdir()
        (programs / "import-customers").write_text(script)
        (programs / "import-customers").chmod(0o755)
        (programs / "heapsync").symlink_to(Binaries.cli.resolve())
        connection.write_text(self.source)
        connection.chmod(0o400)
        (home / ".odbc.ini").write_text("[warehouse]\n" + self.source.replace("Driver=", "Driver = ").replace(";", "\n"))
        job = " ".join(shlex.split(job.replace("- --", "--"))).replace("/odbc/connection", str(connection)).replace("/state/", f"{state}/job-")
        commands = {
            "cron": crontab[1],
            "systemd": service.replace("${CREDENTIALS_DIRECTORY}/odbc", str(connection)),
            "Kubernetes": "import-customers " + job.replace("heapsync:50051", self.server.address),
        }
        environment = {"PATH": crontab[0].replace("PATH=/usr/local/bin", str(programs)), "HOME": str(home),
                       "ODBCINI": str(home / ".odbc.ini"),  # unixODBC goes by the home that the user has, not by HOME
                       "STATE_DIRECTORY": str(state), "HEAPSYNC_SERVER": self.server.address}
        for plan, (name, command) in zip(("basic", "pro", "max"), commands.items(), strict=True):
            with self.subTest(name):
                for code in (3, 0):  # the first row has no identity, and comes once only
                    done = subprocess.run(["sh", "-c", command], cwd="/proc", env=environment, capture_output=True, text=True,
                                          timeout=harness.PATIENCE, check=False)
                    self.assertEqual(done.returncode, code, done.stderr)
                    self.postgres.sql(f"UPDATE customers SET plan = '{plan}', updated_at = updated_at + interval '1 day' WHERE email <> ''")
                self.wait_for("customer", plan=plan)
        rejects = [file for folder in (home, state) for file in folder.glob("*reject*")]
        self.assertEqual([len(file.read_text().splitlines()) for file in rejects], [1, 1, 1])

    def test_two_imports_of_one_state_do_not_run_at_once(self) -> None:
        self.postgres.sql("CREATE TABLE slow (identity text, updated_at timestamp); INSERT INTO slow VALUES ('slow', '2024-01-02')")
        flags = ["--cursor=updated_at", "--cursor_start=2024-01-01", f"--state={self.folder}/slow.state"]
        query = "SELECT identity, updated_at FROM slow, pg_sleep(60) WHERE updated_at > ? ORDER BY updated_at"
        first = subprocess.Popen(self.command(query, *flags), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: "1" in self.postgres.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%slow, pg_sleep%' AND "
                                                        "pid <> pg_backend_pid()"), "the first import's query")
            self.assertIn("is still running", self.load(query, *flags, code=1))
        finally:
            first.kill()
            first.wait()

    def test_every_rows_last_version_arrives_though_the_import_is_killed(self) -> None:
        # One writer: what it commits later has later times.
        self.postgres.sql(f"""CREATE TABLE living (identity text PRIMARY KEY, version int, updated_at timestamp);
                              INSERT INTO living SELECT 'living-' || g, 1, clock_timestamp() AT TIME ZONE 'UTC'
                              FROM generate_series(1, {ROWS}) g;
                              CREATE INDEX ON living (updated_at)""")
        chance = random.Random(15)
        ended = threading.Event()
        failures: list[BaseException] = []

        def change() -> None:
            try:
                while not ended.is_set():
                    self.postgres.sql(f"""UPDATE living SET version = version + 1, updated_at = clock_timestamp() AT TIME ZONE 'UTC'
                                          WHERE identity IN (SELECT 'living-' || (1 + floor(random() * {ROWS}))::int
                                          FROM generate_series(1, {max(1, ROWS // 200)}))""")
            except BaseException as error:  # shown by the test's own thread
                failures.append(error)

        flags = ["--cursor=updated_at", "--cursor_start=2024-01-01", f"--state={self.folder}/living.state", "--json"]
        command = self.command("SELECT * FROM living WHERE updated_at > ? ORDER BY updated_at", *flags)
        writer = threading.Thread(target=change)
        writer.start()
        killed = 0
        try:
            longest = 1.5 * ROWS / 20_000
            while killed < KILLS:
                process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                try:
                    said = process.communicate(timeout=chance.random() * longest)[1]
                    self.assertEqual(process.returncode, 0, said)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.communicate()
                    killed += 1
        finally:
            ended.set()
            writer.join()
        self.assertEqual(failures, [])
        self.assertEqual(subprocess.run(command, capture_output=True, timeout=10 * harness.PATIENCE).returncode, 0)
        wanted = dict(line.split("|") for line in self.postgres.sql("SELECT identity, version FROM living").splitlines())
        self.assertEqual(len(wanted), ROWS)
        self.assertGreater(max(map(int, wanted.values())), 1, "rows have changed")

        wait_until(lambda: self.missing(wanted) == 0, "the last version of every row", 5 * harness.PATIENCE)

    def missing(self, wanted: dict[str, str]) -> int:
        """The rows whose last version is not at Heap."""
        found: dict[str, int] = {}
        offset = 0
        while True:
            users = self.heap.get("users", app_id=APP_US, offset=str(offset), limit="100000")["users"]
            found.update((user["identity"], user["properties"].get("version")) for user in users)
            offset += len(users)
            if not users:
                break
        return sum(1 for identity, version in wanted.items() if found.get(identity) != int(version))


if __name__ == "__main__":
    harness.run()
