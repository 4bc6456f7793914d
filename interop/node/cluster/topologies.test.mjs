// The mixed matrix where Redis is more than one server: a Redis Cluster of six, and a master that a
// sentinel knows. Node's nodes use ioredis there.
//
// It is matrix.test.mjs with less of everything: two modes, and each cluster asked of the first of
// its Rust nodes and of the last of Node's, so that every operation goes both ways. What is
// expected comes from Node's nodes on one Redis, where it is certain when a step is over.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { isOracle } from "../support/server.mjs";
import { Cluster, MODES } from "./support/nodes.mjs";
import { play, playApart } from "./support/play.mjs";
import { startRedis } from "./support/redis.mjs";
import { SCRIPT } from "./support/script.mjs";
import { startCluster, startSentinels } from "./support/topologies.mjs";

const ORACLE = ["ioredis", "ioredis", "ioredis"];
const MIXED = isOracle
  ? [ORACLE]
  : [
      ["rust", "rust", "ioredis"],
      ["rust", "ioredis", "ioredis"],
    ];

describe("on a Redis Cluster", () => {
  let redis;
  before(async () => (redis = await startCluster()));
  after(() => redis?.stop());
  for (const mode of ["classic", "sharded dynamic"].filter((mode) => mode in MODES)) {
    compare(() => redis, mode, MIXED, SCRIPT);
  }
});

describe("on the master that a sentinel knows", () => {
  let redis;
  before(async () => (redis = await startSentinels()));
  after(() => redis?.stop());
  const { emit, nodes, "fetch-sockets": fetches } = SCRIPT;
  const smoke = { emit: emit.slice(0, 5), "fetch-sockets": fetches.slice(0, 5), nodes };
  if ("classic" in MODES) compare(() => redis, "classic", MIXED.slice(0, 1), smoke);
});

/** Mixed clusters, and one of Node's nodes, do what Node's nodes do on one Redis. */
function compare(redis, mode, mixed, script) {
  const expected = {};

  test(`over ${mode}, Node's nodes do what they do on one server`, async (t) => {
    const alone = await startRedis();
    t.after(() => alone.stop());
    const options = { key: `oracle ${mode}`, mode };
    const certain = await Cluster.start(ORACLE, { ...options, redis: alone });
    t.after(() => certain.stop());
    const cluster = await Cluster.start(ORACLE, { ...options, redis: redis() });
    t.after(() => cluster.stop());
    for (const [part, steps] of Object.entries(script)) {
      expected[part] = await play(certain, 0, steps);
      same(await playApart(cluster, 0, steps, expected[part]), expected[part]);
      for (const { reach, title } of steps) {
        if (reach === undefined) continue;
        const heard = Object.keys(expected[part].get(title).heard);
        assert.deepEqual(heard.sort(), [...reach].sort(), `${part}: ${title}`);
      }
    }
  });

  for (const kinds of mixed) {
    describe(`over ${mode}, a cluster of ${kinds.join(", ")}`, () => {
      let cluster;
      before(async () => {
        cluster = await Cluster.start(kinds, { key: `${kinds} ${mode}`, mode, redis: redis() });
      });
      after(() => cluster?.stop());
      for (const asked of [0, kinds.length - 1]) {
        for (const [part, steps] of Object.entries(script)) {
          test(`asked of the node n${asked} (${kinds[asked]}): ${part}`, async () => {
            const actual = await playApart(cluster, asked, steps, expected[part]);
            same(actual, expected[part]);
            assert.equal(actual.size, steps.length);
          });
        }
      }
    });
  }
}

function same(actual, expected) {
  for (const [title, record] of expected) assert.deepEqual(actual.get(title), record, title);
}
