#!/usr/bin/env python3
"""Writes the same events as pandas, DuckDB and Spark export them, each in many dialects: make_exports.py FOLDER.

Run by exports_test.py with the Python of build/tools/exports. Spark needs a Java; without one its files are left out.
"""

import datetime
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import duckdb
import numpy
import pandas

UTC = datetime.timezone.utc
# identity, event, timestamp, amount, seats, note, active
ROWS: list[tuple[Any, ...]] = [
    ("ada@example.com", "Signed Up", datetime.datetime(2024, 1, 15, 10, 30, 0, 123_000, UTC), 9.5, 3, "Free", True),
    ("bob@example.com", "Signed Up", datetime.datetime(2024, 1, 15, 10, 31, 0, 0, UTC), None, None, None, None),
    ("eve@example.com", "Signed Up", datetime.datetime(2024, 1, 15, 0, 0, 0, 0, UTC), 12.0, 5, 'say "hi", ok\nforged@example.com,Refunded \\" end', False),
    ("kim@example.com", "Signed Up", datetime.datetime(2024, 1, 15, 0, 0, 0, 0, UTC), 0.25, 0, "C:\\dir\\", True),
]
COLUMNS = ["identity", "event", "timestamp", "amount", "seats", "note", "active"]


def pandas_exports(folder: Path) -> None:
    frame = pandas.DataFrame(ROWS, columns=COLUMNS)
    frame.to_csv(folder / "pandas.csv", index=False)
    frame.to_csv(folder / "pandas-index.csv")
    frame.to_csv(folder / "pandas-null.csv", index=False, na_rep="\\N")
    frame.to_csv(folder / "pandas-nan.csv", index=False, na_rep="NaN")
    frame.to_csv(folder / "pandas-quoted.csv", index=False, quoting=2)
    frame.to_csv(folder / "pandas.csv.gz", index=False)
    frame.to_csv(folder / "pandas.tsv", index=False, sep="\t")
    frame.to_csv(folder / "pandas-crlf.csv", index=False, lineterminator="\r\n")
    frame.to_csv(folder / "pandas-bom.csv", index=False, encoding="utf-8-sig")
    frame.to_csv(folder / "pandas-utf16.csv", index=False, encoding="utf-16")
    frame.to_json(folder / "pandas.ndjson", orient="records", lines=True)
    frame.to_json(folder / "pandas-iso.ndjson", orient="records", lines=True, date_format="iso")
    frame.to_json(folder / "pandas-records.json", orient="records", indent=2)
    frame.to_json(folder / "pandas-columns.json")
    frame.to_json(folder / "pandas-split.json", orient="split")


def duckdb_exports(folder: Path) -> None:
    connection = duckdb.connect()
    frame = pandas.DataFrame(ROWS, columns=COLUMNS)
    frame["timestamp"] = frame["timestamp"].dt.tz_localize(None)
    connection.register("frame", frame.replace({numpy.nan: None}))
    connection.execute("CREATE TABLE t AS SELECT identity, event, timestamp, CAST(amount AS DECIMAL(10, 2)) AS amount, "
                       "CAST(seats AS INTEGER) AS seats, note, CAST(active AS BOOLEAN) AS active FROM frame")
    for name, options in {"duckdb.csv": "HEADER", "duckdb.tsv": "HEADER, DELIMITER '\t'", "duckdb-null.csv": "HEADER, NULLSTR '\\N'",
                          "duckdb-quoted.csv": "HEADER, FORCE_QUOTE *", "duckdb.csv.gz": "HEADER, COMPRESSION gzip",
                          "duckdb.csv.zst": "HEADER, COMPRESSION zstd", "duckdb.ndjson": "FORMAT JSON",
                          "duckdb-array.json": "FORMAT JSON, ARRAY true", "duckdb.parquet": "FORMAT PARQUET"}.items():
        connection.execute(f"COPY t TO '{folder / name}' ({options})")


def spark_exports(folder: Path) -> None:
    from pyspark.sql import SparkSession
    spark = (SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.sql.session.timeZone", "UTC")
             .config("spark.driver.memory", "512m").config("spark.sql.warehouse.dir", str(folder / "warehouse")).getOrCreate())
    spark.sparkContext.setLogLevel("OFF")
    types = "identity string, event string, timestamp timestamp, amount double, seats int, note string, active boolean"
    frame = spark.createDataFrame(ROWS, types).coalesce(1)
    for name, form, options in [
            ("spark.csv", "csv", {"header": True}), ("spark-null.csv", "csv", {"header": True, "nullValue": "\\N"}),
            ("spark-doubled.csv", "csv", {"header": True, "escape": '"'}), ("spark-noheader.csv", "csv", {}),
            ("spark.csv.gz", "csv", {"header": True, "compression": "gzip"}), ("spark.ndjson", "json", {})]:
        parts = folder / "parts"
        frame.write.mode("overwrite").options(**options).format(form).save(str(parts))
        shutil.move(str(next(parts.glob("part-*"))), str(folder / name))
        shutil.rmtree(parts)
    # A shard without rows, as every job with more shards than rows leaves behind.
    frame.limit(0).write.mode("overwrite").json(str(parts))
    empty = list(parts.glob("part-*"))
    if empty:
        shutil.move(str(empty[0]), str(folder / "spark-empty.ndjson"))
    spark.stop()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    target = Path(sys.argv[1])
    pandas_exports(target)
    duckdb_exports(target)
    if shutil.which("java") is not None:
        spark_exports(target)
