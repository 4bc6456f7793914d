// The cases of the Redis adapter's own suite, by behaviour: three nodes, a client on each.
//
// `specific` are those of its second suite. Its tests of closing and of a custom parser are here as
// what an observer at Redis sees.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually, next, quiet } from "../support/bounded.mjs";
import { isOracle } from "../support/server.mjs";
import { Cluster, done, join, MODES, op, startNode } from "./support/nodes.mjs";
import { startRedis } from "./support/redis.mjs";

const CLUSTERS = isOracle
  ? [["node", "ioredis", "node"]]
  : [
      ["rust", "rust", "rust"],
      ["rust", "node", "rust"],
      ["node", "rust", "ioredis"],
    ];

/** What an answer of a client is among the messages of the classic wire. */
const BROADCAST_ACK = 9;

/** How long a room may be without its channel, and what must not come is waited for. */
const SETTLE_MS = 60;

/** Who hears the event `test` when `act` is done. */
async function hearing(sockets, act) {
  const heard = sockets.map(() => 0);
  const listeners = sockets.map((_, index) => () => (heard[index] += 1));
  sockets.forEach((socket, index) => socket.on("test", listeners[index]));
  await act();
  await quiet(SETTLE_MS);
  sockets.forEach((socket, index) => socket.off("test", listeners[index]));
  return heard;
}

const emits = (sockets, argument) =>
  hearing(sockets, () => done(sockets[0], "emit", { event: "test", args: [], ...argument }));

/** Puts sockets into rooms: a list for each. */
async function seated(sockets, ...rooms) {
  for (const [index, list] of rooms.entries()) {
    if (list.length > 0) await done(sockets[index], "join", { rooms: list });
  }
  await quiet(SETTLE_MS);
}

/** Which sockets are in a room. */
async function members(sockets, room) {
  await quiet(SETTLE_MS);
  const rooms = await Promise.all(sockets.map((socket) => done(socket, "rooms")));
  return rooms.map((list) => list.includes(room));
}

/** The answers to a question, when each client answers with what `answers` has for it. */
async function asked(sockets, answers, argument) {
  const listeners = answers.map((answer) => (ack) => answer !== undefined && ack(answer));
  sockets.forEach((socket, index) => socket.on("test", listeners[index]));
  const question = { event: "test", args: [], timeout: 500, ...argument };
  const answer = await op(sockets[0], "emit-with-ack", question);
  sockets.forEach((socket, index) => socket.off("test", listeners[index]));
  return answer;
}

const move = (sockets, name, argument) => done(sockets[0], name, argument);

const COMMON = {
  "broadcasts to all clients": async ({ sockets }) =>
    assert.deepEqual(await emits(sockets, {}), [1, 1, 1]),
  "broadcasts to all clients in a namespace": async ({ cluster, sockets }) => {
    const admins = cluster.nodes.map((_, index) => sockets[index].io.socket("/admin"));
    await Promise.all(admins.map((admin) => admin.connected || join(admin)));
    const everyone = [...sockets, ...admins];
    const act = () => done(admins[0], "emit", { event: "test", args: [] });
    assert.deepEqual(await hearing(everyone, act), [0, 0, 0, 1, 1, 1]);
    admins.forEach((admin) => admin.disconnect());
  },
  "broadcasts to all clients in a room": async ({ sockets }) => {
    await seated(sockets, [], ["room1"]);
    assert.deepEqual(await emits(sockets, { to: "room1" }), [0, 1, 0]);
  },
  "broadcasts to all clients except in room": async ({ sockets }) => {
    await seated(sockets, [], ["room1"]);
    assert.deepEqual(await emits(sockets, { except: "room1" }), [1, 0, 1]);
  },
  "broadcasts to all clients once": async ({ sockets }) => {
    await seated(sockets, ["room1", "room2"], ["room1", "room2", "room3"], ["room1"]);
    const target = { to: ["room1", "room2"], except: "room3" };
    assert.deepEqual(await emits(sockets, target), [1, 0, 1]);
  },
  "broadcasts to local clients only": async ({ sockets }) =>
    assert.deepEqual(await emits(sockets, { local: true }), [1, 0, 0]),
  "broadcasts to a single client": async ({ sockets }) =>
    assert.deepEqual(await emits(sockets, { to: sockets[1].id }), [0, 1, 0]),
  "broadcasts with multiple acknowledgements": async ({ sockets }) => {
    const { ok } = await asked(sockets, [1, 2, 3]);
    assert.deepEqual(ok.sort(), [1, 2, 3]);
  },
  "broadcasts with multiple acknowledgements (binary content)": async ({ sockets }) => {
    const { ok } = await asked(sockets, [1, 2, 3].map((byte) => Buffer.from([byte])));
    assert.ok(ok.every(Buffer.isBuffer));
    assert.deepEqual(ok.map(([byte]) => byte).sort(), [1, 2, 3]);
  },
  "broadcasts with multiple acknowledgements (no client)": async ({ sockets }) =>
    assert.deepEqual(await asked(sockets, [1, 2, 3], { to: "abc" }), { ok: [] }),
  "broadcasts with multiple acknowledgements (timeout)": async ({ sockets }) => {
    const { error, responses } = await asked(sockets, [1, 2, undefined]);
    assert.equal(error, "operation has timed out");
    assert.deepEqual(responses.sort(), [1, 2]);
  },
  "makes all socket instances join the specified room": async ({ sockets }) => {
    await move(sockets, "sockets-join", { rooms: "room1" });
    assert.deepEqual(await members(sockets, "room1"), [true, true, true]);
  },
  "makes the matching socket instances join the specified room": async ({ sockets }) => {
    await seated(sockets, ["room1"], [], ["room1"]);
    await move(sockets, "sockets-join", { to: "room1", rooms: "room2" });
    assert.deepEqual(await members(sockets, "room2"), [true, false, true]);
  },
  "makes the given socket instance join the specified room": async ({ sockets }) => {
    await move(sockets, "sockets-join", { to: sockets[1].id, rooms: "room3" });
    assert.deepEqual(await members(sockets, "room3"), [false, true, false]);
  },
  "makes all socket instances leave the specified room": async ({ sockets }) => {
    await seated(sockets, ["room1"], [], ["room1"]);
    await move(sockets, "sockets-leave", { rooms: "room1" });
    assert.deepEqual(await members(sockets, "room1"), [false, false, false]);
  },
  "makes the matching socket instances leave the specified room": async ({ sockets }) => {
    await seated(sockets, ["room1", "room2"], ["room1", "room2"], ["room2"]);
    await move(sockets, "sockets-leave", { to: "room1", rooms: "room2" });
    assert.deepEqual(await members(sockets, "room2"), [false, false, true]);
  },
  "makes the given socket instance leave the specified room": async ({ sockets }) => {
    await seated(sockets, ["room3"], ["room3"], ["room3"]);
    await move(sockets, "sockets-leave", { to: sockets[1].id, rooms: "room3" });
    assert.deepEqual(await members(sockets, "room3"), [true, false, true]);
  },
  "makes all socket instances disconnect": async ({ sockets }) => {
    const byes = sockets.map((socket) => next(socket, "disconnect"));
    sockets[0].emit("op", "disconnect-sockets", { close: false }, () => {});
    const reasons = (await Promise.all(byes)).map(([reason]) => reason);
    assert.deepEqual(reasons, Array(3).fill("io server disconnect"));
  },
  "returns all socket instances": async ({ sockets }) => {
    const fetched = await done(sockets[0], "fetch-sockets", {});
    assert.deepEqual(fetched.map(({ id }) => id).sort(), sockets.map(({ id }) => id).sort());
  },
  "returns a single socket instance": async ({ sockets }) => {
    await done(sockets[1], "set-data", "test");
    const { id } = sockets[1];
    const fetched = await done(sockets[0], "fetch-sockets", { to: id });
    assert.deepEqual(fetched, [{ id, rooms: [id], data: "test", address: "127.0.0.1" }]);
  },
  "returns only local socket instances": async ({ sockets }) => {
    const fetched = await done(sockets[0], "fetch-sockets", { local: true });
    assert.deepEqual(fetched.map(({ id }) => id), [sockets[0].id]);
  },
  "sends an event to other server instances": async ({ sockets }) => {
    const before = await received(sockets);
    await done(sockets[0], "server-side-emit", { event: "hello", args: ["world", 1, "2"] });
    await quiet(SETTLE_MS);
    const [own, ...others] = await received(sockets);
    assert.equal(own.length, before[0].length);
    for (const events of others) assert.deepEqual(events.at(-1), ["hello", "world", 1, "2"]);
  },
  "sends an event and receives a response from the other server instances": async ({
    sockets,
  }) => {
    const answers = await done(sockets[0], "server-side-emit-with-ack", { event: "hello" });
    assert.deepEqual(answers.sort(), ["n1", "n2"]);
  },
  "sends an event but timeout if one server does not respond": async ({ cluster, sockets }) => {
    await cluster.nodes[2].freeze();
    const question = { event: "hello", timeout: 1_000 };
    const answer = op(sockets[0], "server-side-emit-with-ack", question);
    const { error, responses } = await answer.finally(() => cluster.nodes[2].signal("SIGCONT"));
    assert.match(error, /^timeout reached: /);
    assert.deepEqual(responses, ["n1"]);
  },
};

const received = (sockets) => Promise.all(sockets.map((socket) => done(socket, "received")));

const SLOW = COMMON["sends an event but timeout if one server does not respond"];

const SPECIFIC = {
  "broadcasts to a numeric room": async ({ sockets }) => {
    await seated(sockets, [123]);
    const act = () => done(sockets[1], "emit", { to: 123, event: "test", args: [] });
    assert.deepEqual(await hearing(sockets, act), [1, 0, 0]);
  },
  "returns all rooms across several nodes": async ({ sockets }) => {
    await seated(sockets, ["woot1"]);
    const rooms = await done(sockets[0], "all-rooms");
    assert.deepEqual(rooms.sort(), [...sockets.map(({ id }) => id), "woot1"].sort());
  },
  "ignores messages from unknown channels": async ({ key, redis, sockets }) => {
    await Promise.all(
      [`${key}`, `${key}#`, `${key}x#/#`, `${key}#/nowhere#`, `${key}-nonsense#/#`].flatMap(
        (channel) => [redis.ask("PUBLISH", channel, "bar"), redis.ask("SPUBLISH", channel, "bar")],
      ),
    );
    assert.deepEqual(await emits(sockets, {}), [1, 1, 1]);
  },
};

let redis;
before(async () => (redis = await startRedis()));
after(() => redis?.stop());

for (const mode of Object.keys(MODES)) {
  for (const kinds of CLUSTERS) describe(`${kinds} over ${mode}`, () => suite(kinds, mode));
}

function suite(kinds, mode) {
  const key = `${kinds} ${mode}`;
  let cluster;
  let sockets;
  before(async () => {
    cluster = await Cluster.start(kinds, { clientsEach: 1, key, mode, redis });
    sockets = cluster.clients.map(({ socket }) => socket);
  });
  after(() => cluster?.stop());

  /** Everyone is connected, and in no room. */
  async function fresh() {
    for (const socket of sockets) {
      if (!socket.connected) await join(socket);
      const rooms = (await done(socket, "rooms")).filter((room) => room !== socket.id);
      if (rooms.length > 0) await done(socket, "leave", { rooms });
    }
    await quiet(SETTLE_MS);
  }

  for (const [name, body] of Object.entries({ ...COMMON, ...SPECIFIC })) {
    // With Node asking, this takes the five seconds of its adapter; once will do.
    if (kinds[0] !== "rust" && mode !== "classic" && body === SLOW) continue;
    test(name, async () => {
      await fresh();
      await body({ cluster, key, redis, sockets });
    });
  }

  if (!mode.startsWith("sharded")) usesCustomParser(kinds, mode);

  test("unsubscribes when it is closed", async () => {
    const options = ["--redis", redis.url, "--key", `${key} alone`, ...MODES[mode]];
    const last = await startNode(kinds[0], options);
    const channels = async () => [
      ...(await redis.ask("PUBSUB", "CHANNELS", `${key} alone*`)),
      ...(await redis.ask("PUBSUB", "SHARDCHANNELS", `${key} alone*`)),
    ];
    await eventually(channels, ({ length }) => length > 0, "subscriptions");
    const patterns = Number(await redis.ask("PUBSUB", "NUMPAT"));
    await last.stop();
    await eventually(channels, ({ length }) => length === 0, "no subscriptions");
    if (mode.startsWith("sharded")) return;
    await eventually(
      async () => Number(await redis.ask("PUBSUB", "NUMPAT")),
      (now) => now < patterns,
      `fewer than ${patterns} patterns`,
    );
  });
}

/** The classic wire alone has a parser to choose: here JSON, on Rust's nodes and on Node's. */
function usesCustomParser(kinds, mode) {
  test("uses a custom parser", async (t) => {
    const key = `${kinds} ${mode} in JSON`;
    const common = { clientsEach: 1, key, mode, redis };
    const cluster = await Cluster.start(kinds, { ...common, options: ["--parser", "json"] });
    t.after(() => cluster.stop());
    const sockets = cluster.clients.map(({ socket }) => socket);
    const { messages, stop } = await redis.listen(`${key}*`);
    t.after(stop);

    for (const [index, socket] of sockets.entries()) {
      const act = () => done(socket, "emit", { event: "test", args: ["☺", { from: index }] });
      const heard = sockets.map((one) => next(one, "test"));
      await act();
      for (const args of await Promise.all(heard)) assert.deepEqual(args, ["☺", { from: index }]);
    }
    const said = sockets.map((_, from) => ["test", "☺", { from }]);
    const broadcasts = () => messages.filter(({ channel }) => channel === `${key}#/#`);
    await eventually(broadcasts, ({ length }) => length === said.length, "a message of each node");
    const published = broadcasts().map(({ message }) => JSON.parse(message)[1].data);
    assert.deepEqual(published, said);
    messages.length = 0;
    for (const asker of [0, 1]) {
      const around = [...sockets.slice(asker), ...sockets.slice(0, asker)];
      const { ok } = await asked(around, [1, "two", { three: 3 }]);
      assert.deepEqual(ok.map((answer) => JSON.stringify(answer)).sort(), [
        '"two"',
        "1",
        '{"three":3}',
      ]);
    }
    const texts = messages.map(({ message }) => message);
    const acks = texts.filter((text) => JSON.parse(text).type === BROADCAST_ACK);
    assert.equal(acks.length, 4, texts.join("\n"));
  });
}
