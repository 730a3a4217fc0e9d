// node-postgres through dbproxy; see README.md of the folder above.
'use strict';

const { Client } = require('pg');

const STATEMENTS = 8;
const totals = { queries: 0, prepared: 0, connections: 0, failures: 0, failure: null };
let ended = false;

async function connect() {
  const client = new Client({
    host: '127.0.0.1',
    port: Number(process.argv[2]),
    user: 'anybody',
    database: 'anywhere',
    connectionTimeoutMillis: 30000,
  });
  // A connection that breaks while idle is counted when it is next used.
  client.on('error', () => {});
  await client.connect();
  totals.connections += 1;
  return client;
}

async function ask(client, number, prepare) {
  const offset = number % STATEMENTS;
  const text = `SELECT $1::int + ${offset} AS sum`;
  const query = { text, values: [number] };
  if (prepare) query.name = `sum-${offset}`;
  const { rows } = await client.query(query);
  if (rows[0].sum !== number + offset) throw new Error(`wrong answer ${rows[0].sum}`);
  totals.queries += 1;
  if (prepare) totals.prepared += 1;
}

async function play(staying, number) {
  for (let step = 0; step < 10; step += 1) {
    await ask(staying, number + step, false);
    await ask(staying, number + step, true);
  }
  await staying.query('BEGIN');
  await ask(staying, number, true);
  await ask(staying, number + 1, true);
  await staying.query('COMMIT');
  const client = await connect();
  try {
    await ask(client, number, true);
  } finally {
    await client.end();
  }
}

async function main() {
  let staying = null;
  for (let number = 0; !ended; number += 1) {
    try {
      staying = staying ?? (await connect());
      await play(staying, number);
    } catch (error) {
      totals.failures += 1;
      totals.failure = totals.failure ?? String(error);
      staying = null;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    console.log(JSON.stringify(totals));
  }
  process.exit(0);
}

process.stdin.on('end', () => { ended = true; });
process.stdin.resume();
main();
