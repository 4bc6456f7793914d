// From polling to WebSocket, step by step, and what a WebSocket may and may not say.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually, quiet, within } from "./support/bounded.mjs";
import { ask, scope, settled } from "./support/client.mjs";
import { http, openPolling, openWebSocket } from "./support/raw.mjs";
import { ours, startAuth, startProtocol } from "./support/server.mjs";

const UPGRADE_TIMEOUT = 400;
const LIMIT = 5_000;

let server;
before(async () => {
  server = await startAuth(
    ...["--upgrade-timeout", String(UPGRADE_TIMEOUT)],
    ...["--max-payload", String(LIMIT)],
  );
});
after(() => server?.stop());

async function inOpen(t) {
  const session = await openPolling(server);
  await session.post("40/open,");
  await session.get();
  session.upgrade = async () => {
    const socket = await openWebSocket(server, { query: `&sid=${session.sid}` });
    t.after(() => socket.ws.terminate());
    return socket;
  };
  session.isAlive = async () => {
    await session.post('42/open,0["echo","alive"]');
    const packets = [];
    while (packets.length === 0) {
      packets.push(...(await session.get()).filter((packet) => packet !== "6"));
    }
    assert.deepEqual(packets, ['43/open,0["alive"]']);
  };
  return session;
}

async function openSocket(t, options) {
  const socket = await openWebSocket(server, options);
  t.after(() => socket.ws.terminate());
  socket.send("40/open,");
  assert.match(await socket.next(), /^40\/open,/);
  return socket;
}

/** Awaits that one more socket has ended for the reason. */
async function ending(t) {
  const watcher = await scope(t).watcher(server);
  const read = async () => (await ask(watcher, "counters")).reasons;
  const before = (await settled(watcher)).reasons;
  return (reason) =>
    eventually(
      read,
      (now) => (now[reason] ?? 0) === (before[reason] ?? 0) + 1,
      `one more ${reason} than in ${JSON.stringify(before)}`,
    );
}

describe("upgrade", () => {
  test("goes by probe, noop for the waiting poll, and upgrade packet", async (t) => {
    const session = await inOpen(t);
    const poll = session.get();
    const socket = await session.upgrade();
    socket.send("2probe");
    assert.equal(await socket.next(), "3probe");
    assert.deepEqual(await poll, ["6"]);
    socket.send("5");
    socket.send('42/open,0["echo",1]');
    assert.equal(await socket.next(), "43/open,0[1]");
    const { status, body } = await session.poll();
    assert.deepEqual([status, body], [400, '{"code":3,"message":"Bad request"}']);
    assert.equal((await session.post("3")).status, 400);
    socket.send('42/open,1["echo",2]');
    assert.equal(await socket.next(), "43/open,1[2]");
  });

  test("may be sent in one piece", async (t) => {
    const session = await inOpen(t);
    const socket = await session.upgrade();
    socket.send("2probe", "5", '42/open,0["echo",1]', '42/open,1["echo",2]');
    assert.equal(await socket.next(), "3probe");
    assert.equal(await socket.next(), "43/open,0[1]");
    assert.equal(await socket.next(), "43/open,1[2]");
  });

  test("may do without a probe", async (t) => {
    const session = await inOpen(t);
    const socket = await session.upgrade();
    socket.send("5", '42/open,0["echo",1]');
    assert.equal(await socket.next(), "43/open,0[1]");
  });

  test("loses nothing that was buffered for the next poll", async (t) => {
    const session = await inOpen(t);
    const socket = await session.upgrade();
    await session.post('42/open,0["echo","buffered"]');
    socket.send("2probe", "5");
    assert.equal(await socket.next(), "3probe");
    assert.equal(await socket.next(), '43/open,0["buffered"]');
  });

  test("leaves events to the waiting poll until it is complete", async (t) => {
    const session = await inOpen(t);
    const socket = await session.upgrade();
    const poll = session.get();
    socket.send("2probe");
    assert.equal(await socket.next(), "3probe");
    await session.post('42/open,0["echo","between"]');
    const packets = await poll;
    if (packets[0] === "6") packets.splice(0, 1, ...(await session.get()));
    assert.deepEqual(packets, ['43/open,0["between"]']);
    assert.deepEqual(socket.pending, []);
  });

  test("ends a poll that is left waiting", async (t) => {
    const session = await inOpen(t);
    const poll = session.poll();
    const socket = await session.upgrade();
    socket.send("2probe", "5", '42/open,0["echo",1]');
    assert.equal(await socket.next(), "3probe");
    assert.equal(await socket.next(), "43/open,0[1]");
    await within(poll, 2_000, "the end of the poll");
  });

  for (const first of ["4hello", "2", "3probe", "2probe2", "x", ""]) {
    test(`is not begun by "${first}", and the polling session lives on`, async (t) => {
      const session = await inOpen(t);
      const socket = await session.upgrade();
      socket.send(first);
      await socket.closed();
      await session.isAlive();
    });
  }

  test("that takes too long leaves the polling session, and may be retried", async (t) => {
    const session = await inOpen(t);
    const began = Date.now();
    const silent = await session.upgrade();
    await silent.closed(3_000);
    const took = Date.now() - began;
    assert.ok(took > UPGRADE_TIMEOUT / 2 && took < 2_000, `closed after ${took} ms`);
    await session.isAlive();
    const stuck = await session.upgrade();
    stuck.send("2probe");
    assert.equal(await stuck.next(), "3probe");
    await stuck.closed(3_000);
    await session.isAlive();
    const socket = await session.upgrade();
    socket.send("2probe", "5", '42/open,0["echo",1]');
    assert.equal(await socket.next(), "3probe");
    assert.equal(await socket.next(), "43/open,0[1]");
  });

  test("that the client gives up leaves the polling session", async (t) => {
    const session = await inOpen(t);
    const socket = await session.upgrade();
    socket.send("2probe");
    assert.equal(await socket.next(), "3probe");
    socket.ws.terminate();
    await session.isAlive();
  });

  test("happens once: a second WebSocket is closed and the first goes on", async (t) => {
    const session = await inOpen(t);
    const socket = await session.upgrade();
    socket.send("2probe");
    assert.equal(await socket.next(), "3probe");
    const during = await openWebSocket(server, { query: `&sid=${session.sid}` }).catch(() => {});
    await during?.closed();
    socket.send("5", '42/open,0["echo",1]');
    assert.equal(await socket.next(), "43/open,0[1]");
    const again = await openWebSocket(server, { query: `&sid=${session.sid}` }).catch(() => {});
    await again?.closed();
    socket.send('42/open,0["echo",2]');
    assert.equal(await socket.next(), "43/open,0[2]");
  });

  test("keeps the order of what a stock client says before, during and after it", async (t) => {
    const socket = scope(t).client(server, { auth: {}, namespace: "/open", transport: "upgrade" });
    const got = [];
    const done = new Promise((all) => {
      socket.on("echo", (i) => got.push(i) === 300 && all());
    });
    let said = 0;
    const say = () => {
      for (let i = 0; i < 10; i += 1) socket.emit("echo", said++);
      if (said < 300) setTimeout(say, 5);
    };
    socket.connect();
    say();
    await within(done, 5_000, "300 echoes");
    assert.deepEqual(got, Array.from({ length: 300 }, (_, i) => i));
    assert.equal(socket.io.engine.transport.name, "websocket");
  });
});

describe("a WebSocket", () => {
  test("is closed with 1009 by a message beyond the limit", async (t) => {
    const seen = await ending(t);
    const socket = await openSocket(t);
    socket.send(`42/open,0["echo","${"x".repeat(LIMIT)}"]`);
    assert.equal(await socket.closed(), 1009);
    await seen("transport error");
  });

  test("carries a message of just the limit", async (t) => {
    const socket = await openSocket(t);
    const room = LIMIT - '42/open,0["echo",""]'.length;
    socket.send(`42/open,0["echo","${"x".repeat(room)}"]`);
    assert.equal((await socket.next()).length, LIMIT - '"echo",'.length);
  });

  test("is closed with 1007 by text that is not UTF-8", async (t) => {
    const seen = await ending(t);
    const socket = await openSocket(t);
    socket.ws.send(Buffer.from([0x34, 0x32, 0xff, 0xfe]), { binary: false });
    assert.equal(await socket.closed(), 1007);
    await seen("transport error");
  });

  const errors = {
    "an empty text frame": ["", "parse error"],
    "an unknown packet type": ["x", "parse error"],
    "a ping of the client": ["2", "transport error"],
  };
  for (const [name, [packet, reason]] of Object.entries(errors)) {
    test(`ends with a ${reason} after ${name}`, async (t) => {
      const seen = await ending(t);
      const socket = await openSocket(t);
      socket.send(packet);
      await socket.closed();
      await seen(reason);
    });
  }

  test("may bring pongs nobody asked for, and noops", async (t) => {
    const socket = await openSocket(t);
    socket.send("3", "3", "6", '42/open,0["echo",1]');
    assert.equal(await socket.next(), "43/open,0[1]");
  });

  test("is closed by the server without a status code", async (t) => {
    const socket = await openSocket(t);
    socket.send('42/open,["kick",true]');
    assert.equal(await socket.next(), "41/open,");
    assert.equal(await socket.closed(), 1005);
  });

  ours("that ends with the close packet has ended like any other", async (t) => {
    const seen = await ending(t);
    const socket = await openSocket(t);
    socket.send("1");
    await socket.closed();
    await seen("transport close");
  });

  test("answers the control frames of RFC 6455", async (t) => {
    const socket = await openSocket(t);
    const pong = new Promise((done) => socket.ws.once("pong", (data) => done(data.toString())));
    socket.ws.ping("marco");
    assert.equal(await within(pong, 2_000, "the pong"), "marco");
    socket.ws.close(4000, "bye");
    assert.match(String(await socket.closed()), /^(4000|1005|1000)$/);
  });

  test("may bring binary as base64 text", async (t) => {
    const socket = await openSocket(t);
    socket.send('451-/open,0["echo",{"_placeholder":true,"num":0}]', "bAQID/w==");
    assert.equal(await socket.next(), '461-/open,0[{"_placeholder":true,"num":0}]');
    assert.deepEqual(await socket.next(), Buffer.from([1, 2, 3, 255]));
  });
});

describe("time", () => {
  let protocol;
  before(async () => (protocol = await startProtocol()));
  after(() => protocol?.stop());

  test("an idle WebSocket gets a ping after each pong, and lives", async (t) => {
    const socket = await openWebSocket(protocol, { path: "/engine.io/?EIO=4", pongs: false });
    t.after(() => socket.ws.terminate());
    for (let i = 0; i < 4; i += 1) {
      assert.equal(await socket.next(1_000), "2");
      socket.send("3");
    }
    socket.send("4still here");
    assert.equal(await socket.next(), "4still here");
  });

  test("one message while a pong is awaited extends the time once, and no more", async (t) => {
    const socket = await openWebSocket(protocol, { path: "/engine.io/?EIO=4", pongs: false });
    t.after(() => socket.ws.terminate());
    assert.equal(await socket.next(1_000), "2");
    const pinged = Date.now();
    const chatter = setInterval(() => socket.ws.send("4x"), 40);
    t.after(() => clearInterval(chatter));
    await socket.closed(2_000);
    const took = Date.now() - pinged;
    assert.ok(took < 700, `closed ${took} ms after the ping`);
  });

  test("an idle polling session is gone after interval and timeout", async () => {
    const session = await openPolling(protocol, { path: "/engine.io/?EIO=4" });
    assert.equal(session.handshake.pingInterval, 300);
    await quiet(700);
    assert.equal((await session.poll()).status, 400);
  });

  test("a connection that joins no namespace is closed after the connect timeout", async (t) => {
    const socket = await openWebSocket(protocol);
    t.after(() => socket.ws.terminate());
    const began = Date.now();
    await socket.closed(3_000);
    const took = Date.now() - began;
    assert.ok(took > 600 && took < 2_500, `closed after ${took} ms`);
  });

  ours("an orderly close waits for the next poll", async (t) => {
    const session = await inOpen(t);
    await session.post('42/open,0["echo","last words"]', '42/open,["kick",true]');
    const packets = [];
    while (!packets.includes("1")) packets.push(...(await session.get()));
    assert.deepEqual(
      packets.filter((packet) => packet !== "6"),
      ['43/open,0["last words"]', "41/open,", "1"],
    );
    assert.equal((await http(server, session.url)).status, 400);
  });
});
