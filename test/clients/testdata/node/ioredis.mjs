// Carries lines to a server with ioredis (see clients_test.go).

import assert from "node:assert/strict";
import { ca, carry, host, load, mode, password, port, protocol } from "./lines.mjs";

const { Cluster, Redis } = load("ioredis");
const options = { password, tls: ca && { ca }, ...(protocol && { protocol }) };
const client =
  mode === "cluster"
    ? new Cluster([{ host, port }], { redisOptions: options })
    : new Redis({ host, port, maxRetriesPerRequest: 0, ...options });
// Each command tells its own error. But one that comes when a connection has just been refused is
// told no more than that there is none: then the connection tells.
let refusal;
client.on("error", (error) => (refusal = error));
const call = (words) =>
  client.call(...words).catch((error) => {
    throw error.name === "MaxRetriesPerRequestError" ? (refusal ?? error) : error;
  });

await carry("ioredis", async (commands) => {
  if (commands[0][0] === "parses") return [await parses(commands[0][1])];
  if (commands.length === 1) return [await call(commands[0])];
  const results = await client.pipeline(commands.map((words) => ["call", ...words])).exec();
  return results.map(([error, reply]) => error ?? reply);
});
client.disconnect();

// parses looks at what ioredis makes of replies that it knows.
async function parses(log) {
  assert.match(await client.info(), /redis_mode:standalone\r\n/);
  assert.equal(await client.pttl("missing"), -2);
  assert.deepEqual((await client.scan(0, "MATCH", log, "COUNT", 1000))[1], [log]);
  return "ok";
}
