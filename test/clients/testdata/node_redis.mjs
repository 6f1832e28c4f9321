// Asks rlserver with node-redis and its default options. Arguments: port, password.

import assert from "node:assert/strict";
import { askEverything, load, password, port } from "./expect.mjs";

const { createClient } = load("redis");
const client = createClient({ socket: { port }, password });
client.on("error", (error) => {
  throw error;
});
await client.connect();

// Commands that are sent without waiting go out together.
const ask = (...words) => client.sendCommand(words);
const askAll = (list) => Promise.all(list.map((words) => ask(...words).catch((error) => error)));
await askEverything(ask, askAll);

// What node-redis parses itself.
assert.match(await client.info(), /redis_mode:standalone\r\n/);
assert.equal((await client.configGet("maxclients")).maxclients, "10000");
const me = await client.clientInfo();
assert.match(me.libName, /^node-redis/);
assert.ok((await client.command()).some(({ name }) => name === "rl.check"));
assert.equal(await client.pTTL("missing"), -2);
await client.close();
console.log("all as expected");
