// Carries lines to a server with node-redis (see clients_test.go).

import assert from "node:assert/strict";
import { ca, carry, host, load, mode, password, port, protocol } from "./lines.mjs";

const { createClient, createCluster } = load("redis");
const socket = { host, port, reconnectStrategy: false, ...(ca && { tls: true, ca }) };
const options = { password, socket, ...(protocol && { RESP: protocol }) };
const cluster = mode === "cluster";

// A command of its own that the cache may keep, which it would not keep by itself.
const peek = {
  CACHEABLE: true,
  IS_READ_ONLY: true,
  parseCommand(parser, [, key, ...words]) {
    parser.push("RL.PEEK");
    parser.pushKey(key);
    parser.push(...words);
  },
  transformReply: undefined,
};
const cache = mode === "cache" && { RESP: 3, clientSideCache: { ttl: 0, maxEntries: 0 }, modules: { rl: { peek } } };
const client = cluster ? createCluster({ rootNodes: [options], defaults: options }) : createClient({ ...options, ...cache });
client.on("error", () => {}); // each command tells its own
let connected;

await carry("redis", async (commands) => {
  connected ??= client.connect();
  await connected;
  if (commands[0][0] === "parses") return [await parses(commands[0][1])];
  if (commands[0][0] === "cached") return [await client.rl.peek(commands[0].slice(1))];
  // Commands that are sent without waiting go out together.
  return Promise.all(commands.map((words) => ask(words).catch((error) => error)));
});
client.destroy();

function ask(words) {
  return cluster ? client.sendCommand(words.length > 2 ? words[1] : undefined, false, words) : client.sendCommand(words);
}

// parses looks at what node-redis makes of replies that it knows.
async function parses(log) {
  assert.match(await client.info(), /redis_mode:standalone\r\n/);
  assert.equal((await client.configGet("maxclients")).maxclients, "10000");
  assert.match((await client.clientInfo()).libName, /^node-redis/);
  assert.ok((await client.command()).some(({ name }) => name === "rl.check"));
  assert.ok((await client.pTTL(log)) > 0);
  return "ok";
}
