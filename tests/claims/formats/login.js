// Connects with node.json as it is published; prints who is logged in, and where.
'use strict';

const { readFileSync } = require('fs');
const { Client } = require('pg');

async function main([file, query]) {
  const client = new Client(JSON.parse(readFileSync(file, 'utf8')));
  await client.connect();
  const { rows } = await client.query({ text: query, rowMode: 'array' });
  console.log(rows[0][0]);
  await client.end();
}

main(process.argv.slice(2));
