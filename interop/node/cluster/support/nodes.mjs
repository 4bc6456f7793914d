// Nodes of every kind behind one command line, the clients on them, and clusters of both.
//
//   kinds ["rust", "node", "nest"] ──▶ n0, n1, n2 ──▶ two clients each: n0.1, n0.2, n1.1, …
import { fileURLToPath } from "node:url";
import { io } from "socket.io-client";
import { eventually, next, within } from "../../support/bounded.mjs";
import { CONFORMANCE, start } from "../../support/server.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const ORACLE = here("../../oracle.mjs");
const NEST = here("../../../nest-cluster/server.mjs");

const KINDS = {
  rust: [CONFORMANCE, []],
  node: [process.execPath, [ORACLE, "--client", "redis"]],
  ioredis: [process.execPath, [ORACLE, "--client", "ioredis"]],
  nest: [process.execPath, [NEST]],
};

const ALL_MODES = {
  classic: ["--mode", "classic"],
  "specific response": ["--mode", "classic", "--specific-response"],
  "sharded dynamic": ["--mode", "sharded-dynamic"],
  "sharded dynamic private": ["--mode", "sharded-dynamic-private"],
  "sharded static": ["--mode", "sharded-static"],
};

const { CLUSTER_MODES = Object.keys(ALL_MODES).join() } = process.env;

/**
 * What `--mode` and its companions say, by the names that the tests use. By hand, `CLUSTER_MODES`
 * chooses some of them.
 */
export const MODES = Object.fromEntries(
  CLUSTER_MODES.split(",").map((mode) => [mode, ALL_MODES[mode]]),
);

/** Starts one node of a kind; further options are those of `conformance cluster`. */
export function startNode(kind, options) {
  const [binary, args] = KINDS[kind];
  const listens = options.includes("--port") ? [] : ["--port", "0"];
  return start(binary, [...args.slice(0, 1), "cluster", ...args.slice(1), ...listens, ...options]);
}

/** A client that has not connected yet, over WebSocket unless told otherwise. */
export function clientOf({ url }, options = {}) {
  const { namespace = "/", ...rest } = options;
  return io(url + namespace, {
    autoConnect: false,
    forceNew: true,
    reconnection: false,
    transports: ["websocket"],
    ...rest,
  });
}

/** Connects. */
export async function join(socket) {
  const connect = next(socket, "connect", 10_000);
  // Whoever is refused does not wait for it any more.
  connect.catch(() => {});
  const refused = new Promise((_, failed) => {
    socket.once("connect_error", (error) => failed(explained(error)));
  });
  socket.connect();
  await Promise.race([connect, refused]);
  return socket;
}

/** A transport calls every failure "websocket error"; the socket below it knows more. */
function explained(error) {
  const { error: cause = error.description } = error.description ?? {};
  if (cause === undefined) return error;
  return new Error(`${error.message}: ${cause.message ?? cause}`, { cause: error });
}

/** Has the socket's node do something; the answer is `{ok}` or `{error}`. */
export function op(socket, name, argument, ms = 15_000) {
  return within(socket.emitWithAck("op", name, argument), ms, `the answer to ${name}`);
}

/** As `op`, for operations that must work: the value. */
export async function done(socket, name, argument, ms) {
  const answer = await op(socket, name, argument, ms);
  if (!("ok" in answer)) throw new Error(`${name}: ${JSON.stringify(answer)}`);
  return answer.ok;
}

/** Nodes that know each other, with clients on each. */
export class Cluster {
  nodes = [];
  clients = [];

  static async start(kinds, { redis, key, mode, clientsEach = 2, options = [] }) {
    const cluster = new Cluster();
    const common = ["--redis", redis.url, "--key", key, ...MODES[mode], ...options];
    try {
      const starts = await Promise.allSettled(
        kinds.map((kind, index) => startNode(kind, [...common, "--name", `n${index}`])),
      );
      // One that does not start must not leave the others behind.
      cluster.nodes = starts.flatMap(({ value }) => (value === undefined ? [] : [value]));
      const failed = starts.find(({ status }) => status === "rejected");
      if (failed !== undefined) throw failed.reason;
      for (const [index, node] of cluster.nodes.entries()) {
        for (let number = 1; number <= clientsEach; number += 1) {
          const socket = clientOf(node);
          cluster.clients.push({ name: `n${index}.${number}`, node: index, socket });
          await join(socket).catch((cause) => {
            const state = node.isRunning() ? "running" : "gone";
            const said = node.log.slice(-2_000);
            const what = `no client on n${index} (${kinds[index]}, ${state}): ${cause.message}`;
            throw new Error(`${what}\n${said}`, { cause });
          });
        }
      }
      await cluster.converged();
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  /** Ready when each node counts all of them. */
  async converged() {
    for (const { socket } of this.clients) {
      await eventually(
        () => op(socket, "server-count"),
        ({ ok }) => ok === this.nodes.length,
        `${this.nodes.length} nodes`,
        10_000,
      );
    }
  }

  async stop() {
    for (const { socket } of this.clients) socket.disconnect();
    // One that was stopped would not hear that it should end.
    for (const node of this.nodes) node.signal("SIGCONT");
    await Promise.all(this.nodes.map((node) => node.stop()));
  }
}
