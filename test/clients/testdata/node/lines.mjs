// What the programs for Node have in common: how they are told where the server is, and how lines
// become commands and replies become lines (see clients_test.go).

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

// Clients are in build/node, which is not where a module of this folder would look.
export const load = createRequire(new URL("../../../../build/node/package.json", import.meta.url));

const { ADDRESS, PASSWORD, CA, PROTOCOL } = process.env;
export const [host, port] = [ADDRESS.split(":")[0], Number(ADDRESS.split(":")[1])];
export const password = PASSWORD || undefined;
export const ca = CA ? readFileSync(CA) : undefined;
export const protocol = PROTOCOL ? Number(PROTOCOL) : undefined;
export const mode = process.env.MODE;

const show = (reply) => {
  if (reply instanceof Error) return `error ${reply.constructor.name}: ${reply.message}`;
  return Array.isArray(reply) ? reply.map(show).join(" ") : String(reply).replaceAll("\n", " ");
};

// carry prints the version of a module, then answers lines until there are no more. ask(commands)
// sends commands together, as lists of words, and resolves to replies, errors among them as Error.
export async function carry(module, ask) {
  console.log(load(`${module}/package.json`).version);
  for await (const line of createInterface({ input: process.stdin })) {
    const commands = line.split(" ; ").map((command) => command.split(" "));
    const replies = await Promise.resolve(ask(commands)).catch((error) => [error]);
    console.log(replies.map(show).join(" ; "));
  }
}
