"""psycopg 3 through dbproxy; see README.md of the folder above."""

import json
import sys
import threading

import psycopg

DSN = f"host=127.0.0.1 port={sys.argv[1]} user=anybody dbname=anywhere connect_timeout=30"
STATEMENTS = [f"SELECT %s::int + {number}" for number in range(8)]
totals = {"queries": 0, "prepared": 0, "connections": 0, "failures": 0, "failure": None}


def connect():
    connection = psycopg.connect(DSN, autocommit=True)
    connection.prepared_max = 4
    totals["connections"] += 1
    return connection


def ask(connection, number, prepare):
    offset = number % len(STATEMENTS)
    row = connection.execute(STATEMENTS[offset], (number,), prepare=prepare).fetchone()
    if row != (number + offset,):
        raise RuntimeError(f"asked for {number + offset}, got {row}")
    totals["queries"] += 1
    totals["prepared"] += prepare


def play(staying, number):
    for step in range(10):
        ask(staying, number + step, prepare=False)
        ask(staying, number + step, prepare=True)
    with staying.transaction():
        ask(staying, number, prepare=True)
        ask(staying, number + 1, prepare=True)
    with connect() as connection:
        ask(connection, number, prepare=True)


ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
staying = None
number = 0
while not ended.is_set():
    try:
        staying = staying or connect()
        play(staying, number)
    except Exception as error:  # Whatever it is, it is counted.
        totals["failures"] += 1
        totals["failure"] = totals["failure"] or repr(error)
        staying = None
        ended.wait(0.1)
    number += 1
    print(json.dumps(totals), flush=True)
