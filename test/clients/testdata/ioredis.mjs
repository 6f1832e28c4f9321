// Asks rlserver with ioredis and its default options. Arguments: port, password.

import assert from "node:assert/strict";
import { askEverything, load, password, port } from "./expect.mjs";

const { Redis } = load("ioredis");
const client = new Redis(password ? { port, password } : port);
client.on("error", (error) => {
  throw error;
});

const ask = (...words) => client.call(...words);
const askAll = async (list) => {
  const results = await client.pipeline(list.map((words) => ["call", ...words])).exec();
  return results.map(([error, reply]) => error ?? reply);
};
await askEverything(ask, askAll);

// What ioredis parses itself.
assert.match(await client.info(), /redis_mode:standalone\r\n/);
assert.equal(await client.pttl("missing"), -2);
assert.deepEqual((await client.scan(0))[1], []);
assert.equal(await client.quit(), "OK");
console.log("all as expected");
