// Emitters of either kind behind one function: `(operation, argument) → {ok}`.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { Emitter } from "@socket.io/redis-emitter";
import { createClient } from "redis";
import { within } from "../../support/bounded.mjs";
import { CONFORMANCE } from "../../support/server.mjs";
import { MODES } from "./nodes.mjs";

const list = (value) => (value === undefined ? [] : [].concat(value));

const OPERATIONS = {
  emit: (target, { event, args }) => target.emit(event, ...(args ?? [])),
  "sockets-join": (target, { rooms }) => target.socketsJoin(list(rooms)),
  "sockets-leave": (target, { rooms }) => target.socketsLeave(list(rooms)),
  "disconnect-sockets": (target, { close }) => target.disconnectSockets(close),
  "server-side-emit": (target, { event, args }) => target.serverSideEmit(event, ...(args ?? [])),
};

/** Node's, which speaks the classic format alone. */
export async function nodeEmitter({ redis, key, namespace = "/" }) {
  const client = createClient({ url: redis.url });
  await client.connect();
  const emitter = new Emitter(client, { key }).of(namespace);
  const perform = async (name, argument) => {
    let target = emitter;
    for (const room of list(argument.to)) target = target.to(room);
    for (const room of list(argument.except)) target = target.except(room);
    if (argument.volatile) target = target.volatile;
    OPERATIONS[name](target, argument);
    return { ok: null };
  };
  return { perform, stop: () => client.close() };
}

/** Ours: `conformance emitter` reads an operation a line, and says when each has left. */
export async function rustEmitter({ redis, key, mode, namespace = "/" }) {
  const options = ["--redis", redis.url, "--key", key, ...MODES[mode], "--namespace", namespace];
  const child = spawn(CONFORMANCE, ["emitter", ...options], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const closed = once(child, "close");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const perform = async (name, argument) => {
    child.stdin.write(`${JSON.stringify([name, textual(argument)])}\n`);
    const { value } = await within(lines.next(), 5_000, `the emitter to do ${name}`);
    return JSON.parse(value);
  };
  return {
    perform,
    async stop() {
      child.stdin.end();
      await within(closed, 5_000, "the emitter to end", () => child.kill("SIGKILL"));
    },
  };
}

/** The value with bytes as `{"$base64": …}`, since a line of JSON has none. */
function textual(value) {
  if (Buffer.isBuffer(value)) return { $base64: value.toString("base64") };
  if (Array.isArray(value)) return value.map(textual);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, textual(inner)]));
}
