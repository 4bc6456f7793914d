// What an emitter outside the cluster does to it: Node's to Rust's nodes, and ours to Node's.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { isOracle } from "../support/server.mjs";
import { nodeEmitter, rustEmitter } from "./support/emitters.mjs";
import { Cluster, MODES } from "./support/nodes.mjs";
import { play } from "./support/play.mjs";
import { startRedis } from "./support/redis.mjs";
import { EMITTER_SCRIPT } from "./support/script.mjs";

let redis;
before(async () => (redis = await startRedis()));
after(() => redis?.stop());

/** What comes of the script when `emitter` plays it to nodes of these kinds. */
async function played(t, kinds, emitter, mode) {
  const key = `${kinds} ${emitter.name} ${mode}`;
  const cluster = await Cluster.start(kinds, { key, mode, redis });
  t.after(() => cluster.stop());
  const { perform, stop } = await emitter({ key, mode, redis });
  t.after(stop);
  return play(cluster, 0, EMITTER_SCRIPT, perform);
}

/** Node has no emitter for the sharded modes: what it does in the classic one is the measure. */
let expected;
test("Node's emitter reaches Node's nodes", async (t) => {
  expected = await played(t, ["node", "ioredis", "node"], nodeEmitter, "classic");
  for (const { reach, title } of EMITTER_SCRIPT) {
    if (reach === undefined) continue;
    assert.deepEqual(Object.keys(expected.get(title).heard).sort(), [...reach].sort(), title);
  }
});

const CASES = isOracle
  ? [["Node's emitter, a cluster with Nest", ["nest", "node", "nest"], nodeEmitter, "classic"]]
  : [
      ["Node's emitter, Rust's nodes", ["rust", "rust", "rust"], nodeEmitter, "classic"],
      ["Node's emitter, mixed nodes", ["rust", "node", "rust"], nodeEmitter, "classic"],
      ...Object.keys(MODES).flatMap((mode) => [
        [`our emitter, Rust's nodes, ${mode}`, ["rust", "rust", "rust"], rustEmitter, mode],
        [`our emitter, Node's nodes, ${mode}`, ["node", "ioredis", "node"], rustEmitter, mode],
      ]),
    ];

describe("what Node's emitter does to Node's nodes", () => {
  for (const [title, kinds, emitter, mode] of CASES) {
    test(`is what comes of it with ${title}`, async (t) => {
      const actual = await played(t, kinds, emitter, mode);
      for (const [step, record] of expected) assert.deepEqual(actual.get(step), record, step);
      assert.equal(actual.size, EMITTER_SCRIPT.length);
    });
  }
});
