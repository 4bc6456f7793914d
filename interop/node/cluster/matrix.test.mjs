// Rust and Node nodes behind one Redis are one cluster: whatever is asked of it, on whichever node,
// comes out as it does where all nodes are Node's.
//
//   mode ─▶ a cluster of Node's nodes plays the script ──────────▶ expected
//        └▶ each mixed cluster plays it, seen from each node ────▶ equal?
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { next } from "../support/bounded.mjs";
import { isOracle, ours } from "../support/server.mjs";
import { Cluster, done, MODES } from "./support/nodes.mjs";
import { play } from "./support/play.mjs";
import { startRedis } from "./support/redis.mjs";
import { SCRIPT } from "./support/script.mjs";

const ORACLE = ["node", "ioredis", "node"];
const MIXED = isOracle
  ? [["nest", "node", "ioredis"]]
  : [
      ["rust", "rust", "rust"],
      ["rust", "rust", "node"],
      ["rust", "ioredis", "node"],
      ["nest", "rust", "nest"],
    ];

let redis;
before(async () => (redis = await startRedis()));
after(() => redis?.stop());

for (const mode of Object.keys(MODES)) {
  describe(`over ${mode}`, () => {
    const expected = {};

    test("the cluster of Node's nodes does what the script says", async (t) => {
      const cluster = await Cluster.start(ORACLE, { key: `oracle ${mode}`, mode, redis });
      t.after(() => cluster.stop());
      for (const part of Object.keys(SCRIPT)) {
        expected[part] = await play(cluster, 0, SCRIPT[part]);
        for (const { reach, title } of SCRIPT[part]) {
          if (reach === undefined) continue;
          const heard = Object.keys(expected[part].get(title).heard);
          assert.deepEqual(heard.sort(), [...reach].sort(), `${part}: ${title}`);
        }
      }
    });

    for (const kinds of MIXED) {
      describe(`a cluster of ${kinds.join(", ")}`, () => mixed(kinds, mode, expected));
    }
  });
}

function mixed(kinds, mode, expected) {
  let cluster;
  before(async () => {
    cluster = await Cluster.start(kinds, { key: `${kinds} ${mode}`, mode, redis });
  });
  after(() => cluster?.stop());

  for (const [first, kind] of kinds.entries()) {
    for (const part of Object.keys(SCRIPT)) {
      test(`asked of the node n${first} (${kind}): ${part}`, async () => {
        const actual = await play(cluster, first, SCRIPT[part]);
        for (const [title, record] of expected[part]) {
          assert.deepEqual(actual.get(title), record, title);
        }
        assert.equal(actual.size, SCRIPT[part].length);
      });
    }
  }
}

// Node takes anything for a room; here `null` is none, and costs nobody a message or an answer.
ours("rooms that only Node knows leave messages and answers whole", async (t) => {
  const key = "no room";
  const cluster = await Cluster.start(["rust", "node"], { key, mode: "classic", redis });
  t.after(() => cluster.stop());
  const [here, , there] = cluster.clients.map(({ socket }) => socket);
  await done(there, "join", { rooms: [null] });
  assert.equal((await done(here, "fetch-sockets", {})).length, 4);
  assert.equal((await done(here, "all-rooms")).length, 4);
  const heard = next(here, "news");
  await done(there, "emit", { args: [1], event: "news", except: [null] });
  assert.deepEqual(await heard, [1]);
});

// Node's msgpack writes whole numbers from 2^64 on as others; ours is what was meant.
ours("a number beyond 2^64 arrives as it was sent, from Rust on the classic wire", async (t) => {
  const cluster = await Cluster.start(["rust", "node"], { key: "big", mode: "classic", redis });
  t.after(() => cluster.stop());
  const heard = cluster.clients.map(({ socket }) => next(socket, "big"));
  await done(cluster.clients[0].socket, "emit", { args: [1e21, 2 ** 64], event: "big" });
  for (const numbers of await Promise.all(heard)) assert.deepEqual(numbers, [1e21, 2 ** 64]);
});
