// A NestJS cluster under load gets Rust's nodes, one at a time, and nobody misses anything.
//
//   nest nest nest ─▶ rust nest nest ─▶ rust rust nest ─▶ rust rust rust
//
// The checker knows nothing of either kind of node: see support/load.mjs.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { quiet } from "../support/bounded.mjs";
import { freePorts } from "../support/ports.mjs";
import { isOracle } from "../support/server.mjs";
import { Load } from "./support/load.mjs";
import { done, startNode } from "./support/nodes.mjs";
import { startRedis } from "./support/redis.mjs";

const NODES = 3;
const CLIENTS = 60;
const KEY = "rolling";

let redis;
before(async () => (redis = await startRedis()));
after(() => redis?.stop());

test("nothing is lost or doubled while Rust's nodes take the place of Nest's", async (t) => {
  const ports = await freePorts(NODES);
  const begin = (kind, index) => {
    const port = ["--port", String(ports[index])];
    return startNode(kind, [...port, "--redis", redis.url, "--key", KEY, "--name", kind]);
  };
  const nodes = await Promise.all(ports.map((_, index) => begin("nest", index)));
  t.after(() => Promise.all(nodes.map((node) => node.stop())));

  // Clients know addresses, not nodes: whoever listens on the port is theirs.
  const places = ports.map((port) => ({ url: `http://127.0.0.1:${port}` }));
  const load = new Load(places, CLIENTS);
  await load.start();
  for (const place of places) await load.returned(place);
  await quiet(1_500);

  for (const [index, place] of places.entries()) {
    await load.retire(place);
    await nodes[index].stop();
    nodes[index] = await begin(isOracle ? "node" : "rust", index);
    await load.returned(place);
    await quiet(1_500);
  }

  const [{ socket }] = load.clients;
  const names = await done(socket, "server-side-emit-with-ack", { event: "who" });
  assert.deepEqual(names, Array(NODES - 1).fill(isOracle ? "node" : "rust"));
  assert.equal((await done(socket, "fetch-sockets", {})).length, CLIENTS);

  const report = await load.finish();
  t.diagnostic(`${load.log.messages.length} messages, ${report.expected} deliveries checked`);
  assert.deepEqual(report.problems, []);
  assert.deepEqual(report.lost, []);
  assert.deepEqual(report.doubled, []);
  assert.deepEqual(report.misled, []);
  assert.ok(report.expected > 20_000, `only ${report.expected} deliveries were checked`);
  for (const { index, reasons } of load.clients) {
    assert.ok(reasons[0] !== "io server disconnect", `client ${index} was told to stay away`);
  }
});
