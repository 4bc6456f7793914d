// Expiry and refresh with stock clients on three nodes, while Redis restarts and a node sleeps.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, describe } from "node:test";
import { promisify } from "node:util";
import { eventually, next, quiet } from "./support/bounded.mjs";
import { ask, mint, refused, scope } from "./support/client.mjs";
import { startRedis } from "./support/redis.mjs";
import { ours, portcullis, startAuth } from "./support/server.mjs";

const run = promisify(execFile);
const now = () => Math.floor(Date.now() / 1000);
const short = (seconds, claims = {}) => mint({ exp: now() + seconds, ...claims });
const TRANSPORTS = ["websocket", "polling", "upgrade"];
const OF_EACH = 5;

/** Three nodes of one cluster; the last one is put to sleep and woken. */
async function startCluster(...options) {
  const redis = await startRedis();
  const each = ["--redis", redis.url, "--verify-timeout", "1000", ...options];
  const nodes = [];
  for (let number = 0; number < 3; number += 1) nodes.push(await startAuth(...each));
  return {
    nodes,
    redis,
    asleep: nodes[2],
    async stop() {
      await Promise.all(nodes.map((node) => node.stop()));
      await redis.remove();
    },
  };
}

/** Whether newcomers are admitted everywhere again. */
async function isOpen(cluster, t) {
  const clients = scope(t);
  for (const node of cluster.nodes) {
    const admitted = async () => {
      const socket = clients.client(node, { reconnection: false });
      const verdict = Promise.race([
        next(socket, "connect").then(() => true),
        next(socket, "connect_error").then(() => false),
      ]);
      socket.connect();
      const isAdmitted = await verdict;
      socket.disconnect();
      return isAdmitted;
    };
    await eventually(admitted, Boolean, "newcomers are admitted", 15_000);
  }
}

describe("tokens that expire while Redis restarts and a node sleeps", () => {
  let cluster;
  before(async () => (cluster = await startCluster()));
  after(() => cluster?.stop());

  ours("end on every node, and their clients come back with fresh ones", async (t) => {
    const clients = scope(t);
    const seen = [];
    const connecting = cluster.nodes.flatMap((node, number) =>
      Array.from({ length: OF_EACH }, async (_, index) => {
        const transport = TRANSPORTS[(number + index) % 3];
        const old = short(4);
        let asked = 0;
        const auth = (give) => give({ token: asked++ === 0 ? old : mint() });
        const socket = await clients.connected(node, { auth, transport });
        const client = { expired: 0, first: socket.id, node, old, reasons: [], socket };
        socket.on("auth:expired", () => (client.expired += 1));
        socket.on("disconnect", (reason) => client.reasons.push(reason));
        seen.push(client);
      }),
    );
    await Promise.all(connecting);

    await cluster.redis.kill();
    cluster.asleep.signal("SIGSTOP");
    await quiet(1_000);
    assert.deepEqual(seen.flatMap(({ reasons }) => reasons), [], "the connected stay");
    await cluster.redis.restart();
    // Their time is over while the node sleeps, and what it owes them is done when it wakes.
    const awake = seen.filter(({ node }) => node !== cluster.asleep);
    const isBack = ({ first, socket }) => socket.connected && socket.id !== first;
    const areBack = (some) => () => some.filter(isBack).length;
    await eventually(areBack(awake), (count) => count === awake.length, "they are back", 30_000);
    const woken = Date.now();
    cluster.asleep.signal("SIGCONT");
    await eventually(areBack(seen), (count) => count === seen.length, "all are back", 30_000);
    t.diagnostic(`those of the node that slept were back ${Date.now() - woken} ms after it woke`);
    for (const { expired, node, old, reasons } of seen) {
      assert.deepEqual([expired, reasons], [1, ["transport close"]]);
      const { code } = await refused(clients.client(node, { auth: { token: old } }));
      assert.equal(code, "TOKEN_EXPIRED");
    }
  });
});

describe("tokens that are refreshed while Redis restarts and a node sleeps", () => {
  let cluster;
  before(async () => (cluster = await startCluster("--expiry", "notify", "--expiry-ms", "60000")));
  after(() => cluster?.stop());

  ours("keep their clients connected on every node, and none that is revoked does", async (t) => {
    const clients = scope(t);
    const exp = now() + 15;
    const sockets = await Promise.all(
      cluster.nodes.map((node, number) =>
        clients.connected(node, { auth: { token: mint({ exp }) }, transport: TRANSPORTS[number] }),
      ),
    );
    const ends = [];
    for (const socket of sockets) socket.on("disconnect", (reason) => ends.push(reason));

    // Nobody knows what is revoked: a refresh is a new admission, and waits for better days.
    // What is known is good for a second.
    await cluster.redis.kill();
    await quiet(2_000);
    const refresh = (socket, token) => ask(socket, "auth:refresh", token);
    const fresh = mint({ exp: now() + 600, username: "renewed" });
    const away = await refresh(sockets[0], fresh);
    assert.deepEqual([away.status, away.code], ["error", "AUTH_UNAVAILABLE"]);
    await cluster.redis.restart();
    await isOpen(cluster, t);

    // A node sleeps through a revocation, and is asked the moment it wakes.
    await cluster.asleep.freeze();
    await run(portcullis, ["revoke", "--redis", cluster.redis.url, "--jti", "stolen"]);
    const stolen = mint({ exp: now() + 600, jti: "stolen" });
    const asked = refresh(sockets[2], stolen);
    await quiet(1_000);
    cluster.asleep.signal("SIGCONT");
    const answers = [await asked];
    for (const socket of sockets) answers.push(await refresh(socket, stolen));
    for (const { status, code } of answers) {
      assert.deepEqual([status, code], ["error", "TOKEN_REVOKED"]);
    }

    for (const socket of sockets) {
      const answer = await refresh(socket, fresh);
      assert.equal(answer.status, "ok", JSON.stringify(answer));
      assert.match(JSON.stringify(await ask(socket, "whoami")), /renewed/);
    }
    // Beyond the end of the first tokens, and of the grace.
    await quiet(Math.max(0, (exp + 8) * 1_000 - Date.now()));
    assert.deepEqual(ends, []);
    for (const socket of sockets) {
      assert.match(JSON.stringify(await ask(socket, "whoami")), /renewed/);
    }
  });
});
