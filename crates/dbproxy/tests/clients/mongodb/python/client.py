"""pymongo, told nothing but a URI; see README.md of the folder above."""

import json
import sys
import threading
import time

import pymongo

URI = sys.argv[1]
KINDS = ["inserts", "finds", "aggregations", "transactions", "writes", "clients", "events"]
DOCUMENTS = 200
PAUSE = 0.025

client = pymongo.MongoClient(URI)
database = client.get_default_database()
orders = database["python_orders"]
inserted = database["python_inserted"]
counters = database["python_counters"]
guard = threading.Lock()
done = dict.fromkeys(KINDS, 0)
failed = dict.fromkeys(KINDS, 0)
failure = None
ended = threading.Event()


def ensure(is_so, text):
    if not is_so:
        raise RuntimeError(text)


def insert():
    inserted.insert_one({"text": "x" * 100})


def find():
    count = sum(1 for _ in orders.find({}, batch_size=2))
    ensure(count == DOCUMENTS, f"{count} documents")


def aggregate():
    stages = [{"$match": {"n": {"$gte": 0}}}, {"$group": {"_id": None, "sum": {"$sum": "$n"}}}]
    (group,) = orders.aggregate(stages)
    ensure(group["sum"] == DOCUMENTS * (DOCUMENTS - 1) // 2, f"the sum is {group}")


def transact():
    def body(session):
        ensure(counters.find_one({"_id": "transactions"}, session=session), "no counter")
        counters.update_one({"_id": "transactions"}, {"$inc": {"n": 1}}, session=session)
        counters.update_one({"_id": "twice"}, {"$inc": {"n": 2}}, session=session)

    with client.start_session() as session:
        session.with_transaction(body)


def write():
    counters.update_one({"_id": "writes"}, {"$inc": {"n": 1}})
    found = counters.find_one_and_update({"_id": "writes"}, {"$inc": {"n": 1}})
    ensure(found, "no counter")
    counters.bulk_write([pymongo.UpdateOne({"_id": "writes"}, {"$inc": {"n": 1}})])


def newcomer():
    with pymongo.MongoClient(URI) as another:
        found = another.get_default_database()["python_orders"].find_one({"n": 7})
        ensure(found, "no order")


def note(kind, error=None):
    global failure
    with guard:
        if error is None:
            done[kind] += 1
        else:
            failed[kind] += 1
            failure = failure or f"{kind}: {error!r}"


def repeat(kind, work):
    while not ended.is_set():
        try:
            work()
            note(kind)
        except Exception as error:  # Whatever it is, it is counted.
            note(kind, error)
            time.sleep(0.1)
        time.sleep(PAUSE)


def follow(stream):
    while True:
        try:
            stream = stream or inserted.watch()
            for _ in stream:
                note("events")
        except Exception as error:  # Whatever it is, it is counted.
            note("events", error)
            time.sleep(0.1)
        stream = None


def report():
    with guard:
        totals = {"done": done, "failed": failed, "failure": failure}
        print(json.dumps(totals), flush=True)


orders.insert_many({"n": n} for n in range(DOCUMENTS))
counters.insert_many({"_id": name, "n": 0} for name in ["transactions", "twice", "writes"])
database.create_collection("python_inserted")
# From before the first insert on.
threading.Thread(target=follow, args=[inserted.watch()], daemon=True).start()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
works = [insert, find, aggregate, transact, write, newcomer]
workers = [threading.Thread(target=repeat, args=pair) for pair in zip(KINDS, works)]
for worker in workers:
    worker.start()
while any(worker.is_alive() for worker in workers):
    report()
    time.sleep(0.1)
# The stream goes on until it has told of each insert.
deadline = time.monotonic() + 60
while done["events"] < done["inserts"] and time.monotonic() < deadline:
    report()
    time.sleep(0.1)
report()
