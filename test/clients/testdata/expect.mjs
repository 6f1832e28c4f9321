// What the programs for Node have in common: the questions and what is expected of the
// answers, and where the clients are. A surprise is thrown, and ends the program with 1.

import { createRequire } from "node:module";
import assert from "node:assert/strict";

// Clients are in build/node, which is not where a module of this folder would look.
export const load = createRequire(new URL("../../../build/node/package.json", import.meta.url));

export const [port, password] = [Number(process.argv[2]), process.argv[3] || undefined];

const hour = 3_600_000;

// ask(...words) sends one command; askAll(list of words) pipelines and resolves to replies,
// errors among them as Error.
export async function askEverything(ask, askAll) {
  const check = async (key, algorithm, ...more) => {
    const reply = await ask("RL.CHECK", key, algorithm, "3", "1h", ...more);
    assert.equal(reply.length, 6);
    assert.ok(reply.every(Number.isInteger), `no six integers: ${reply}`);
    return reply;
  };

  // Asked until denied.
  for (const left of [2, 1, 0]) {
    const [allowed, limit, remaining, retry, reset, delay] = await check("k", "token_bucket");
    assert.deepEqual([allowed, limit, remaining, retry, delay], [1, 3, left, 0, 0]);
    assert.ok(reset > 0 && reset <= hour, `reset_after_ms ${reset}`);
  }
  const [allowed, limit, remaining, retry, reset] = await check("k", "token_bucket");
  assert.deepEqual([allowed, limit, remaining], [0, 3, 0]);
  assert.ok(retry > 0 && retry <= hour / 3 && retry < reset, `retry_after_ms ${retry}`);
  assert.equal((await check("k", "token_bucket", "COST", "4"))[3], -1);

  // An error is an error, and the connection goes on.
  await assert.rejects(check("k", "leaky_bucket"), /^[A-Za-z]*Error: WRONGTYPE /);
  assert.equal(await ask("PING"), "PONG");

  // 1000 checks at once, and an error behind them.
  const question = ["pipe", "sliding_window_log", "600", "1h"];
  const replies = await askAll([
    ...Array(1000).fill(["RL.CHECK", ...question]),
    ["RL.CHECK", "pipe", "token_bucket", "600", "1h"],
    ["RL.PEEK", ...question],
  ]);
  assert.equal(replies.length, 1002);
  replies.slice(0, 1000).forEach((reply, i) => assert.equal(reply[0], i < 600 ? 1 : 0, `check ${i}: ${reply}`));
  assert.match(String(replies[1000]), /WRONGTYPE /);
  assert.deepEqual(replies[1001].slice(0, 3), [0, 600, 0]);
  assert.equal(await ask("RL.RESET", "k", "pipe", "missing"), 2);
}
