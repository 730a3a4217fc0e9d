"""Connects with django.json as Django's backend for PostgreSQL does; prints who is logged in."""

import json
import sys

import psycopg

[file, query] = sys.argv[1:]
with open(file, encoding="utf-8") as text:
    settings = json.load(text)
assert settings["ENGINE"] == "django.db.backends.postgresql"
parameters = {
    "dbname": settings["NAME"],
    **settings["OPTIONS"],
    "user": settings["USER"],
    "password": settings["PASSWORD"],
    "host": settings["HOST"],
    "port": settings["PORT"],
}
with psycopg.connect(**parameters) as connection:
    print(connection.execute(query).fetchone()[0])
