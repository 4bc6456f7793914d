// Two nodes behind real nginx and real HAProxy, with the recipes that the manual shows.
import assert from "node:assert/strict";
import { Agent, createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { eventually, next } from "../support/bounded.mjs";
import { freePorts } from "../support/ports.mjs";
import { http, openPolling, openWebSocket, PATH, refusedUpgrade } from "../support/raw.mjs";
import { isOracle, ours } from "../support/server.mjs";
import { clientOf, done, join, op, startNode } from "./support/nodes.mjs";
import { startProxy } from "./support/proxies.mjs";
import { startRedis } from "./support/redis.mjs";

const KIND = isOracle ? "node" : "rust";
const OPEN = "/socket.io/?EIO=4&transport=polling";

// `spread` makes the client with this number one that the recipe may lead to another node.
const byAddress = (number) => ({ agent: new Agent({ localAddress: `127.0.0.${2 + number}` }) });
const byCookie = () => ({ withCredentials: true });
const STICKY = {
  "nginx-sticky-address.conf": byAddress,
  "nginx-sticky-cookie.conf": byCookie,
  "haproxy-sticky-cookie.cfg": byCookie,
};
const TURNS = ["nginx-websocket.conf", "haproxy-websocket.cfg"];

let redis;
before(async () => (redis = await startRedis()));
after(() => redis?.stop());

/** Nodes `a` and `b` with their management listeners, and what a recipe calls their ports. */
async function pair(key, options = [], nodeOptions = {}) {
  const [probeA, probeB] = await freePorts(2);
  const begin = (name, probe, url) => {
    const bus = ["--redis", url ?? redis.url, "--key", key, "--name", name];
    const management = isOracle ? [] : ["--management", String(probe)];
    return startNode(KIND, [...bus, ...management, ...options, ...(nodeOptions[name] ?? [])]);
  };
  const [a, b] = await Promise.all([
    begin("a", probeA, nodeOptions.redisOfA),
    begin("b", probeB),
  ]);
  const ports = { 3001: a.port, 3002: b.port, 9001: probeA, 9002: probeB };
  const probes = isOracle ? [probeA, probeB].map(alwaysReady) : [];
  return {
    a,
    b,
    ports,
    async stop() {
      probes.forEach((server) => server.close());
      await Promise.all([a.stop(), b.stop()]);
    },
  };
}

/** Node has no management listener; HAProxy asks for one. */
const alwaysReady = (port) =>
  createServer((_, response) => response.end()).listen(port, "127.0.0.1");

/** The name of the node that a client is on: the one that the other does not answer for. */
async function nodeOf(socket) {
  const [other] = await done(socket, "server-side-emit-with-ack", { event: "who" });
  return other === "a" ? "b" : "a";
}

/** How many of the clients are on each node. */
async function counted(sockets) {
  const counts = { a: 0, b: 0 };
  for (const socket of sockets) counts[await nodeOf(socket)] += 1;
  return counts;
}

/** One emit reaches every client, whichever way it came. */
async function assertReached(sockets) {
  const heard = sockets.map((socket) => next(socket, "news"));
  await done(sockets[0], "emit", { event: "news", args: ["here"] });
  for (const args of await Promise.all(heard)) assert.deepEqual(args, ["here"]);
}

/** HAProxy sends clients only to nodes that it has found ready, which takes a moment. */
const ready = (proxy) =>
  eventually(
    () => http(proxy, OPEN).then(({ status }) => status),
    (status) => status < 500,
    "the proxy knows a node",
    10_000,
  );

/** By the host and the port that the client asked for, a node knows the pages that are its own. */
async function assertOwnPagesAlone(proxy) {
  const own = await openWebSocket(proxy, { origin: `http://127.0.0.1:${proxy.port}` });
  own.ws.close();
  const headers = { Origin: "http://127.0.0.1:1" };
  const { status } = await refusedUpgrade(proxy, `${PATH}&transport=websocket`, headers);
  assert.equal(status, 403);
}

for (const recipe of TURNS) {
  describe(`${recipe}: WebSocket alone, without stickiness`, () => {
    let nodes;
    let proxy;
    before(async () => {
      nodes = await pair(recipe, ["--websocket-only"]);
      proxy = await startProxy(recipe, nodes.ports);
      await ready(proxy);
    });
    after(async () => {
      await proxy?.stop();
      await nodes?.stop();
    });

    ours("pages of the proxy's own address may connect, and no others", () =>
      assertOwnPagesAlone(proxy));

    test("a hundred connections in a row all open, on both nodes", async (t) => {
      const socket = clientOf(proxy);
      const counts = { a: 0, b: 0 };
      for (let round = 0; round < 100; round += 1) {
        await join(socket);
        if (round % 5 === 0) counts[await nodeOf(socket)] += 1;
        socket.disconnect();
      }
      assert.ok(counts.a > 0 && counts.b > 0, JSON.stringify(counts));
      t.diagnostic(JSON.stringify(counts));
    });

    test("an emit reaches the clients of both", async (t) => {
      const sockets = await Promise.all(Array.from({ length: 6 }, () => join(clientOf(proxy))));
      t.after(() => sockets.forEach((socket) => socket.disconnect()));
      const counts = await counted(sockets);
      assert.ok(counts.a > 0 && counts.b > 0, JSON.stringify(counts));
      await assertReached(sockets);
    });

    test("a client that polls is told that there is no such transport", async () => {
      const { body, status } = await http(proxy, OPEN);
      assert.equal(status, 400);
      assert.deepEqual(JSON.parse(body), { code: 0, message: "Transport unknown" });
    });
  });
}

for (const [recipe, spread] of Object.entries(STICKY)) {
  describe(`${recipe}: polling, sticky`, () => {
    let nodes;
    let proxy;
    before(async () => {
      nodes = await pair(recipe);
      proxy = await startProxy(recipe, nodes.ports);
      await ready(proxy);
    });
    after(async () => {
      await proxy?.stop();
      await nodes?.stop();
    });

    ours("pages of the proxy's own address may connect, and no others", () =>
      assertOwnPagesAlone(proxy));

    for (const transports of [["polling"], ["polling", "websocket"]]) {
      test(`clients over ${transports} stay where they began, on both nodes`, async (t) => {
        const sockets = Array.from({ length: 10 }, (_, number) =>
          clientOf(proxy, { transports, ...spread(number) }),
        );
        t.after(() => sockets.forEach((socket) => socket.disconnect()));
        const ended = [];
        for (const socket of sockets) {
          socket.on("disconnect", (reason) => ended.push(reason));
          await join(socket);
          if (transports.length > 1 && socket.io.engine.transport.name === "polling") {
            await next(socket.io.engine, "upgrade");
          }
        }
        for (let round = 0; round < 5; round += 1) {
          const answers = sockets.map((socket) => socket.emitWithAck("echo", round));
          assert.deepEqual(await Promise.all(answers), Array(10).fill(round));
        }
        const counts = await counted(sockets);
        assert.ok(counts.a > 0 && counts.b > 0, JSON.stringify(counts));
        await assertReached(sockets);
        assert.deepEqual(ended, []);
      });
    }

    test("a session's id is in no log of the proxy", async () => {
      const { sid } = await openPolling(proxy);
      await http(proxy, `${OPEN}&sid=${sid}`, { body: "40", method: "POST" });
      assert.ok(!(await proxy.log()).includes(sid));
    });
  });
}

describe("the wrong node", () => {
  test("answers 400 with code 1, and the session goes on where it is", async (t) => {
    const nodes = await pair("wrong node");
    t.after(() => nodes.stop());
    const session = await openPolling(nodes.a);
    const { body, status } = await http(nodes.b, session.url);
    assert.equal(status, 400);
    assert.deepEqual(JSON.parse(body), { code: 1, message: "Session ID unknown" });
    await session.post("40");
    assert.match((await session.get())[0], /^40\{"sid":"/);
  });

  for (const [recipe, spread] of Object.entries(STICKY)) {
    test(`${recipe}: a client whose node dies begins anew on the other`, async (t) => {
      const nodes = await pair(`dies ${recipe}`);
      t.after(() => nodes.stop());
      const proxy = await startProxy(recipe, nodes.ports);
      t.after(() => proxy.stop());
      await ready(proxy);
      const socket = clientOf(proxy, {
        reconnection: true,
        reconnectionDelay: 50,
        reconnectionDelayMax: 200,
        transports: ["polling"],
        ...spread(0),
      });
      t.after(() => socket.disconnect());
      await join(socket);
      const first = await nodeOf(socket);
      const bye = next(socket, "disconnect", 10_000);
      const back = next(socket, "connect", 20_000);
      nodes[first].signal("SIGKILL");
      const [reason] = await bye;
      assert.match(reason, /^transport (close|error)$/);
      await back;
      assert.equal(await socket.emitWithAck("echo", "again"), "again");
      assert.equal(await done(socket, "server-count"), 1);
    });
  }
});

if (!isOracle) {
  describe("HAProxy asks the management listeners", () => {
    for (const recipe of ["haproxy-websocket.cfg", "haproxy-sticky-cookie.cfg"]) {
      test(`${recipe}: a node that has no Redis gets no clients until it has`, async (t) => {
        const [absent] = await freePorts(1);
        const nodes = await pair(`unready ${recipe}`, [], {
          a: ["--degrade"],
          redisOfA: `redis://127.0.0.1:${absent}`,
        });
        t.after(() => nodes.stop());
        const proxy = await startProxy(recipe, nodes.ports);
        t.after(() => proxy.stop());
        await ready(proxy);
        const probe = await http({ port: nodes.ports[9001] }, "/readyz");
        assert.equal(probe.status, 503);
        assert.deepEqual(JSON.parse(probe.body), { because: ["redis"], status: "unready" });
        // `a` answers those who know its port, and counts itself alone.
        assert.equal((await http(nodes.a, OPEN)).status, 200);
        for (let round = 0; round < 10; round += 1) {
          const socket = await join(clientOf(proxy));
          assert.deepEqual(await done(socket, "server-count"), 1);
          const clients = await done(socket, "fetch-sockets", { local: true });
          assert.equal(clients.length, 1);
          socket.disconnect();
        }
      });
    }

    test("a node that has shut down gets no new clients", async (t) => {
      const nodes = await pair("draining");
      t.after(() => nodes.b.stop());
      const proxy = await startProxy("haproxy-websocket.cfg", nodes.ports);
      t.after(() => proxy.stop());
      await ready(proxy);
      await nodes.a.stop();
      for (let round = 0; round < 10; round += 1) {
        const socket = clientOf(proxy, { reconnection: true, reconnectionDelay: 50 });
        await join(socket);
        assert.equal((await op(socket, "server-count")).ok, 1);
        socket.disconnect();
      }
    });
  });
}
