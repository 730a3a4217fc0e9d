"""What pyos, the control plane of abcdesktop, does with MongoDB: it knows one address, appends
database and authSource to it, and makes a new client for each operation.

Its one argument is that address, or a file that holds it and is read again each time. Works until
its standard input ends; prints totals as JSON after each operation.
"""

import datetime
import json
import sys
import threading

import pymongo

SOURCE = sys.argv[1]
DATABASES = ["image", "fail2ban", "loginHistory", "applications", "profiles", "desktop"]

done = dict.fromkeys(DATABASES, 0)
failed = 0
failure = None
ended = threading.Event()


def address():
    if SOURCE.startswith("mongodb://"):
        return SOURCE
    with open(SOURCE, encoding="utf-8") as file:
        return file.read()


def ensure(is_so, text):
    if not is_so:
        raise RuntimeError(text)


def use(name):
    with pymongo.MongoClient(f"{address()}/{name}?authSource={name}") as client:
        records = client[name]["records"]
        if name == "fail2ban":
            records.create_index("banned_at", expireAfterSeconds=3600)
        if name == "desktop":
            with records.watch() as stream:
                number = done[name]
                records.insert_one({"number": number})
                event = next(stream)
                ensure(event["fullDocument"]["number"] == number, f"the event is {event}")
        now = datetime.datetime.now(datetime.timezone.utc)
        made = records.insert_one({"banned_at": now}).inserted_id
        ensure(records.find_one({"_id": made}), "what was written is not there")


def wait_for_end():
    sys.stdin.read()
    ended.set()


threading.Thread(target=wait_for_end, daemon=True).start()
while not ended.is_set():
    for database in DATABASES:
        try:
            use(database)
            done[database] += 1
        except Exception as error:
            failed += 1
            failure = failure or f"{database}: {error}"
        print(json.dumps({"done": done, "failed": failed, "failure": failure}), flush=True)
