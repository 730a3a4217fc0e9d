// Connects with node.json as it is published; prints who is logged in, and where.
'use strict';

const { readFileSync } = require('fs');
const { MongoClient } = require('mongodb');

async function main([file]) {
  const { uri, options } = JSON.parse(readFileSync(file, 'utf8'));
  const client = new MongoClient(uri, options);
  const { authInfo } = await client.db().command({ connectionStatus: 1 });
  console.log(JSON.stringify([authInfo.authenticatedUsers[0].user, client.db().databaseName]));
  await client.close();
}

main(process.argv.slice(2));
