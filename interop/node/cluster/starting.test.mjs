// Nodes whose Redis takes its time at first: none takes a client before it can subscribe.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { after, before, test } from "node:test";
import { quiet } from "../support/bounded.mjs";
import { isOracle } from "../support/server.mjs";
import { clientOf, done, join, MODES, startNode } from "./support/nodes.mjs";
import { startRedis } from "./support/redis.mjs";

/** How long no connection hears anything of Redis. */
const HELD_MS = 600;

let redis;
let link;
before(async () => {
  redis = await startRedis();
  link = await startSlowLink(redis.port);
});
after(async () => {
  link?.stop();
  await redis?.stop();
});

/** A way to Redis on which the first answers of each connection come late, and in order. */
async function startSlowLink(port) {
  const open = new Set();
  const server = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    for (const [from, to] of [
      [near, far],
      [far, near],
    ]) {
      open.add(from);
      from.on("error", () => {});
      from.on("close", () => to.destroy());
    }
    near.pipe(far);
    quiet(HELD_MS).then(() => far.pipe(near));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `redis://127.0.0.1:${server.address().port}`,
    stop() {
      server.close();
      open.forEach((socket) => socket.destroy());
    },
  };
}

// In this mode every client is a subscription of its own.
const MODE = "sharded dynamic private";

for (const kind of isOracle ? ["node", "ioredis"] : ["rust", "node", "ioredis"]) {
  if (!(MODE in MODES)) continue;
  test(`a node (${kind}) can be used as soon as it says that it listens`, async (t) => {
    const options = ["--redis", link.url, "--key", kind, ...MODES[MODE]];
    const began = Date.now();
    const node = await startNode(kind, options);
    t.after(() => node.stop());
    assert.ok(Date.now() - began >= HELD_MS, "it listened before it knew of its Redis");
    for (let count = 1; count <= 3; count += 1) {
      const socket = clientOf(node);
      t.after(() => socket.disconnect());
      await join(socket);
      assert.equal((await done(socket, "fetch-sockets")).length, count);
    }
    await quiet(HELD_MS);
    assert.ok(node.isRunning(), node.log);
  });
}
