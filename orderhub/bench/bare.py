"""What the database alone can do: order transactions of five statements, without Django, HTTP or any judging."""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import sqlite3
import time
from datetime import UTC, datetime
from multiprocessing.connection import Connection as Pipe
from typing import Any

import psycopg

N_ORDERS = 2000
TABLES = (
    "CREATE TABLE bare_order (id integer PRIMARY KEY, stage text, since text, version integer)",
    "CREATE TABLE bare_fact (id {serial}, order_id integer, kind text, data text)",
    "CREATE TABLE bare_event (id {serial}, order_id integer, name text, data text)",
    "CREATE TABLE bare_out (id {serial}, order_id integer, body text)",
)
SERIAL = {"sqlite": "integer PRIMARY KEY", "postgres": "bigserial PRIMARY KEY"}


def rate(db: str, address: str, *, clients: int, seconds: float) -> float:
    """Transactions a second of that many client processes together. address: the file, or the URL."""
    _make_tables(db, address)
    fork = multiprocessing.get_context("fork")
    pipes = []
    for number in range(clients):
        ours, theirs = fork.Pipe(duplex=False)
        fork.Process(target=_client, args=(db, address, number, seconds, theirs), daemon=True).start()
        pipes.append(ours)
    done: int = sum(pipe.recv() for pipe in pipes)
    return done / seconds


def _connect(db: str, address: str) -> Any:
    if db == "postgres":
        return psycopg.connect(address, autocommit=True)
    connection = sqlite3.connect(address, timeout=20, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection


def _make_tables(db: str, address: str) -> None:
    connection = _connect(db, address)
    for name in ("order", "fact", "event", "out"):
        connection.execute(f"DROP TABLE IF EXISTS bare_{name}")
    for statement in TABLES:
        connection.execute(statement.format(serial=SERIAL[db]))
    rows = ", ".join(f"({number}, 'new', '', 0)" for number in range(N_ORDERS))
    connection.execute(f"INSERT INTO bare_order VALUES {rows}")  # noqa: S608 - numbers of our own
    connection.close()


# Written with %s; sqlite3 wants ? and has no FOR UPDATE, because its writer is alone anyway.
TRANSACTION = (
    "BEGIN",
    "SELECT stage FROM bare_order WHERE id = %(order)s FOR UPDATE",
    "INSERT INTO bare_fact (order_id, kind, data) VALUES (%(order)s, 'kind', %(at)s)",
    "UPDATE bare_order SET stage = 'next', version = version + 1 WHERE id = %(order)s",
    "INSERT INTO bare_event (order_id, name, data) VALUES (%(order)s, 'name', %(at)s)",
    "INSERT INTO bare_out (order_id, body) VALUES (%(order)s, %(at)s)",
    "COMMIT",
)


def _for_sqlite(statement: str) -> str:
    statement = statement.replace("BEGIN", "BEGIN IMMEDIATE").replace(" FOR UPDATE", "")
    return re.sub(r"%\((\w+)\)s", r":\1", statement)


def _client(db: str, address: str, number: int, seconds: float, pipe: Pipe) -> None:
    connection = _connect(db, address)
    statements = TRANSACTION if db == "postgres" else [_for_sqlite(statement) for statement in TRANSACTION]
    draw = random.Random(number)
    until, done = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        values = {"order": draw.randrange(N_ORDERS), "at": datetime.now(UTC).isoformat()}
        for statement in statements:
            cursor = connection.execute(statement, values if "bare_" in statement else {})
            if statement.startswith("SELECT"):
                cursor.fetchone()
        done += 1
    pipe.send(done)
    os._exit(0)
