// How connections end, seen from both sides, and who comes back.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually, next, quiet } from "./support/bounded.mjs";
import { ask, connected, GUARDED, mint, scope, settled, TRANSPORTS } from "./support/client.mjs";
import { openPolling, openWebSocket } from "./support/raw.mjs";
import { ours, startAuth, startAuthOn } from "./support/server.mjs";

let server;
before(async () => (server = await startAuth()));
after(() => server?.stop());

/** Awaits that the server has seen `reasons`, as [reason, how often], since `tally` was called. */
async function tally(t) {
  const watcher = await scope(t).watcher(server);
  const read = async () => (await ask(watcher, "counters")).reasons;
  const before = (await settled(watcher)).reasons;
  return (reason, count = 1) =>
    eventually(
      read,
      (reasons) => (reasons[reason] ?? 0) - (before[reason] ?? 0) === count,
      `${count} times ${reason}, more than ${JSON.stringify(before)}`,
    );
}

/** The root socket and one for each further namespace, on one connection. */
async function family(t, transport, names = GUARDED) {
  const [first, ...rest] = names;
  const root = await scope(t).connected(server, { namespace: first, transport });
  const others = rest.map((name) => root.io.socket(name, { auth: { token: mint() } }));
  for (const other of others) await connected(other);
  return [root, ...others];
}

for (const transport of Object.keys(TRANSPORTS)) {
  describe(`over ${transport}`, () => {
    byServer(transport);
    fromOnConnect(transport);
    byClient(transport);
    byAccident(transport);
  });
}

function byServer(transport) {
  test("kick(true) ends every namespace of the client, and its transport", async (t) => {
    const seen = await tally(t);
    const sockets = await family(t, transport);
    const { engine } = sockets[0].io;
    const ended = next(engine, "close");
    const reasons = Promise.all(sockets.map((socket) => next(socket, "disconnect")));
    sockets[0].emit("kick", true);
    for (const [reason] of await reasons) assert.equal(reason, "io server disconnect");
    await ended;
    assert.deepEqual(sockets.map(({ active, connected }) => active || connected), [
      false,
      false,
      false,
    ]);
    await seen("server namespace disconnect", 3);
  });

  test("kick(false) ends one namespace, and the others go on", async (t) => {
    const seen = await tally(t);
    const [root, ...others] = await family(t, transport);
    const bye = next(root, "disconnect");
    assert.equal(await ask(root, "kick", false), "ok");
    assert.deepEqual(await bye.then(([reason]) => reason), "io server disconnect");
    assert.equal(root.active, false);
    await seen("server namespace disconnect");
    for (const other of others) assert.equal(await ask(other, "echo", "here"), "here");
    const { id } = root.io.engine;
    await connected(root);
    assert.equal(await ask(root, "echo", "back"), "back");
    assert.equal(root.io.engine.id, id, "over the same connection");
  });

  test("a room can be disconnected, and only that room", async (t) => {
    for (const close of [true, false]) {
      const peers = scope(t);
      const join = () => peers.connected(server, { transport });
      const [judge, member, guest] = await Promise.all([join(), join(), join()]);
      await ask(member, "join", "doomed");
      const bye = next(member, "disconnect");
      judge.emit("kick-room", "doomed", close);
      assert.equal((await bye)[0], "io server disconnect");
      assert.equal(await ask(guest, "echo", "here"), "here");
      assert.equal(await ask(judge, "echo", "here"), "here");
    }
  });

  ours("events that cross a kick(false) do not hurt the other namespaces", async (t) => {
    const [root, other] = await family(t, transport, ["/", "/open"]);
    const bye = next(root, "disconnect");
    root.emit("kick", false);
    for (let i = 0; i < 3; i += 1) root.emit("echo", i);
    await bye;
    const { id } = other.io.engine;
    assert.equal(await ask(other, "echo", "here"), "here");
    assert.equal(other.io.engine.id, id, "over the same connection");
  });
}

function fromOnConnect(transport) {
  test("on_connect may throw a client out, with its transport", async (t) => {
    const auth = { token: mint(), connect: { kick: true } };
    const socket = scope(t).client(server, { auth, transport });
    const bye = next(socket, "disconnect");
    socket.connect();
    assert.equal((await bye)[0], "io server disconnect");
    assert.equal(socket.active, false);
    if (socket.io.engine.readyState !== "closed") await next(socket.io.engine, "close");
    assert.equal(socket.connected, false);
  });

  test("on_connect may throw a client out of one namespace", async (t) => {
    const [root] = await family(t, transport, ["/"]);
    const other = root.io.socket("/admin", {
      auth: { token: mint(), connect: { kick: false } },
    });
    const bye = next(other, "disconnect");
    other.connect();
    assert.equal((await bye)[0], "io server disconnect");
    assert.equal(await ask(root, "echo", "here"), "here");
  });
}

function byClient(transport) {
  test("a client may leave a namespace and come back", async (t) => {
    const seen = await tally(t);
    const [root, admin] = await family(t, transport, ["/", "/admin"]);
    const bye = next(admin, "disconnect");
    admin.disconnect();
    assert.equal((await bye)[0], "io client disconnect");
    await seen("client namespace disconnect");
    assert.equal(await ask(root, "echo", "here"), "here");
    const { id } = root.io.engine;
    await connected(admin);
    assert.equal((await ask(admin, "whoami")).namespace, "/admin");
    assert.equal(root.io.engine.id, id, "over the same connection");
  });

  test("a client that closes its transport comes back by itself", async (t) => {
    const seen = await tally(t);
    const [root, admin] = await family(t, transport, ["/", "/admin"]);
    const { id } = root;
    const returned = [root, admin].map((socket) => next(socket, "connect"));
    const bye = next(root, "disconnect");
    root.io.engine.close();
    await bye;
    await Promise.all(returned);
    await seen("transport close", 2);
    assert.notEqual(root.id, id);
    assert.deepEqual(await ask(root, "rooms"), []);
  });
}

function byAccident(transport) {
  test("a client whose server dies comes back to the next one", async (t) => {
    const first = await startAuth();
    const socket = await scope(t).connected(first, { transport });
    const bye = next(socket, "disconnect");
    const back = next(socket, "connect", 10_000);
    await first.stop();
    const [reason] = await bye;
    assert.match(reason, /^transport (close|error)$/);
    assert.equal(socket.active, true);
    const second = await startAuthOn(first.port);
    t.after(() => second.stop());
    await back;
    assert.equal(await ask(socket, "echo", "again"), "again");
  });
}

describe("heartbeat", () => {
  let nervous;
  before(async () => {
    nervous = await startAuth("--ping-interval", "200", "--ping-timeout", "200");
  });
  after(() => nervous?.stop());

  test("clients that have nothing to say stay connected", async (t) => {
    const sockets = [];
    for (const transport of Object.keys(TRANSPORTS)) {
      sockets.push(await scope(t).connected(nervous, { transport }));
    }
    const ended = [];
    for (const socket of sockets) socket.on("disconnect", (reason) => ended.push(reason));
    await quiet(1_200);
    assert.deepEqual(ended, []);
  });

  test("a client that does not answer pings is closed, on both transports", async (t) => {
    const watcher = await scope(t).watcher(nervous);
    const socket = await openWebSocket(nervous, { pongs: false });
    const began = Date.now();
    socket.send("40/open,");
    const session = await openPolling(nervous);
    await session.post("40/open,");
    await session.get();
    await socket.closed(2_000);
    const took = Date.now() - began;
    assert.ok(took > 350 && took < 1_500, `closed after ${took} ms`);
    await eventually(
      () => ask(watcher, "counters"),
      ({ reasons }) => reasons["ping timeout"] === 2,
      "two ping timeouts",
    );
    assert.equal((await session.poll()).status, 400);
  });
});
