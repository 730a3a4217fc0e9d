// The official Node.js driver, told nothing but a URI; see README.md of the folder above.
'use strict';

const { MongoClient } = require('mongodb');
const { setTimeout: sleep } = require('node:timers/promises');

const uri = process.argv[2];
const KINDS = ['inserts', 'finds', 'aggregations', 'transactions', 'writes', 'clients', 'events'];
const DOCUMENTS = 200;
const PAUSE_MS = 25;

const client = new MongoClient(uri);
const database = client.db();
const orders = database.collection('node_orders');
const inserted = database.collection('node_inserted');
const counters = database.collection('node_counters');
const done = Object.fromEntries(KINDS.map((kind) => [kind, 0]));
const failed = Object.fromEntries(KINDS.map((kind) => [kind, 0]));
let failure = null;
let ended = false;

function ensure(isSo, text) {
  if (!isSo) throw new Error(text);
}

const works = {
  async inserts() {
    await inserted.insertOne({ text: 'x'.repeat(100) });
  },

  async finds() {
    let count = 0;
    for await (const _ of orders.find({}, { batchSize: 2 })) count += 1;
    ensure(count === DOCUMENTS, `${count} documents`);
  },

  async aggregations() {
    const group = { $group: { _id: null, sum: { $sum: '$n' } } };
    const [{ sum }] = await orders.aggregate([{ $match: { n: { $gte: 0 } } }, group]).toArray();
    ensure(sum === (DOCUMENTS * (DOCUMENTS - 1)) / 2, `the sum is ${sum}`);
  },

  async transactions() {
    await client.withSession((session) =>
      session.withTransaction(async () => {
        ensure(await counters.findOne({ _id: 'transactions' }, { session }), 'no counter');
        await counters.updateOne({ _id: 'transactions' }, { $inc: { n: 1 } }, { session });
        await counters.updateOne({ _id: 'twice' }, { $inc: { n: 2 } }, { session });
      }),
    );
  },

  async writes() {
    const change = [{ _id: 'writes' }, { $inc: { n: 1 } }];
    await counters.updateOne(...change);
    ensure(await counters.findOneAndUpdate(...change), 'no counter');
    await counters.bulkWrite([{ updateOne: { filter: change[0], update: change[1] } }]);
  },

  async clients() {
    const another = new MongoClient(uri);
    try {
      ensure(await another.db().collection('node_orders').findOne({ n: 7 }), 'no order');
    } finally {
      await another.close();
    }
  },
};

async function note(kind, error) {
  failed[kind] += 1;
  failure = failure ?? `${kind}: ${error}`;
  await sleep(100);
}

async function repeat(kind) {
  while (!ended) {
    try {
      await works[kind]();
      done[kind] += 1;
    } catch (error) {
      await note(kind, error);
    }
    await sleep(PAUSE_MS);
  }
}

async function follow(first) {
  for (let stream = first; ; stream = inserted.watch()) {
    try {
      for (;;) {
        await stream.next();
        done.events += 1;
      }
    } catch (error) {
      await note('events', error);
    }
  }
}

const report = () => console.log(JSON.stringify({ done, failed, failure }));

async function main() {
  const numbers = Array.from({ length: DOCUMENTS }, (_, n) => ({ n }));
  await orders.insertMany(numbers);
  await counters.insertMany(['transactions', 'twice', 'writes'].map((_id) => ({ _id, n: 0 })));
  await database.createCollection('node_inserted');
  // From before the first insert on: a stream begins with its first question.
  const stream = inserted.watch();
  ensure((await stream.tryNext()) === null, 'an event before the first insert');
  follow(stream);
  process.stdin.on('end', () => { ended = true; });
  process.stdin.resume();
  const reports = setInterval(report, 100);
  await Promise.all(Object.keys(works).map(repeat));
  // The stream goes on until it has told of each insert.
  const deadline = Date.now() + 60000;
  while (done.events < done.inserts && Date.now() < deadline) await sleep(100);
  clearInterval(reports);
  report();
  process.exit(0);
}

main();
