// What a stock client can do, over every transport and with both codecs.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually, next, quiet, within } from "./support/bounded.mjs";
import { ask, connected, scope, TRANSPORTS } from "./support/client.mjs";
import { startAuth } from "./support/server.mjs";

const BYTES = Buffer.from([0, 1, 2, 127, 128, 254, 255]);
// The largest text that still fits a polling body, where msgpack travels as base64.
const LARGE = { json: 900_000, msgpack: 700_000 };

const servers = {};
for (const codec of ["json", "msgpack"]) {
  before(async () => (servers[codec] = await startAuth("--codec", codec)));
  after(() => servers[codec]?.stop());
  for (const transport of Object.keys(TRANSPORTS)) {
    describe(`${transport} with ${codec}`, () => matrix(codec, transport));
  }
}

function matrix(codec, transport) {
  const options = { codec, transport };
  const join = (t, more) => scope(t).connected(servers[codec], { ...options, ...more });
  connecting(join, transport);
  values(join, codec);
  acks(join);
  rooms(join);
  order(join, options);
}

function connecting(join, transport) {
  test("a client with a token is connected, over the transport it asked for", async (t) => {
    const socket = await join(t);
    const expected = transport === "polling" ? "polling" : "websocket";
    assert.equal(socket.io.engine.transport.name, expected);
    assert.match(socket.id, /^[A-Za-z0-9_-]{20}$/);
    assert.notEqual(socket.id, socket.io.engine.id);
    assert.deepEqual(await ask(socket, "whoami"), {
      namespace: "/",
      sub: "42",
      username: "alice",
    });
  });

  test("one connection carries several namespaces, each with an id of its own", async (t) => {
    const socket = await join(t);
    const others = ["/admin", "/tenant-7", "/open"].map((name) => {
      const other = socket.io.socket(name, { auth: socket.auth });
      t.after(() => other.disconnect());
      return other;
    });
    for (const other of others) {
      await connected(other);
      assert.equal((await ask(other, "whoami")).namespace, other.nsp);
    }
    assert.equal(new Set([socket, ...others].map(({ id }) => id)).size, 4);
  });
}

function values(join, codec) {
  const cases = {
    "no argument": [],
    "several arguments": [1, "two", [3, { four: 4 }], null, true, -5.5],
    "text beyond ASCII": ["てすと Я Б Г Ä ä é 🦀 \u0000 \u2028 \\ \""],
    "numbers at the edges": [0, -1, 2 ** 31, 2 ** 53 - 1, -(2 ** 53 - 1), 1e-7, 1.5e-300],
    "a nested object with its keys in order": [{ z: 1, a: { y: [], b: {} }, "": "empty" }],
    "bytes": [BYTES],
    "no bytes at all": [Buffer.alloc(0)],
    "bytes nested and repeated": [{ a: [BYTES, { b: BYTES }], c: "text" }, BYTES, [[BYTES]]],
    "an object that looks like a placeholder": [{ _placeholder: 1, num: 0 }],
  };
  if (codec === "msgpack") {
    cases["points in time"] = [new Date(1_700_000_000_123), [new Date(-1)], { at: new Date(0) }];
  }
  for (const [name, args] of Object.entries(cases)) {
    test(`${name} goes there and back in events and in acks`, async (t) => {
      const socket = await join(t);
      const echo = next(socket, "echo");
      socket.emit("echo", ...args);
      const back = await echo;
      assert.deepEqual(back, args);
      assert.equal(JSON.stringify(back), JSON.stringify(args), "the keys keep their order");
      const answer = await ask(socket, "echo", args);
      assert.deepEqual(answer, args);
    });
  }

  test("an ack carries several arguments", async (t) => {
    const socket = await join(t);
    const answer = new Promise((done) => {
      socket.emit("echo", 1, BYTES, "three", (...args) => done(args));
    });
    assert.deepEqual(await within(answer, 5_000, "the ack"), [1, BYTES, "three"]);
  });

  test(`${LARGE[codec]} bytes of text go there and back`, async (t) => {
    const socket = await join(t);
    const text = "é".repeat(LARGE[codec] / 2);
    assert.equal((await ask(socket, "echo", text)) === text, true);
  });

  test("600 kB of bytes go there and back", async (t) => {
    const socket = await join(t);
    const bytes = Buffer.alloc(600_000, 0xa5);
    assert.equal(bytes.equals(await ask(socket, "echo", bytes)), true);
  });
}

function acks(join) {
  test("the server gets the client's answer", async (t) => {
    const socket = await join(t);
    socket.on("question", (text, ack) => ack({ heard: text, bytes: BYTES }));
    assert.deepEqual(await ask(socket, "ask", "question"), {
      ok: { heard: "ping", bytes: BYTES },
    });
  });

  test("a client that does not answer makes the server's question time out", async (t) => {
    const socket = await join(t);
    assert.deepEqual(await ask(socket, "ask", "ignored"), {
      error: "operation has timed out",
    });
    assert.equal(await ask(socket, "echo", "still here"), "still here");
  });

  test("a room is asked, and all its answers are collected", async (t) => {
    const sockets = await Promise.all(["alice", "bob", "carol"].map(() => join(t)));
    for (const [i, socket] of sockets.entries()) {
      await ask(socket, "join", "jury");
      socket.on("question", (text, ack) => ack(`${text} ${i}`));
    }
    const { answers, error } = await ask(sockets[0], "ask-room", "jury");
    assert.equal(error, undefined);
    assert.deepEqual(answers.sort(), ["ping 0", "ping 1", "ping 2"]);
  });

  test("a room that answers in part gives its answers with the error", async (t) => {
    const [awake, asleep] = await Promise.all([join(t), join(t)]);
    for (const socket of [awake, asleep]) await ask(socket, "join", "half");
    awake.on("question", (_, ack) => ack(BYTES));
    assert.deepEqual(await ask(awake, "ask-room", "half"), {
      error: "operation has timed out",
      answers: [BYTES],
    });
  });

  test("an empty room answers at once, with nothing", async (t) => {
    const socket = await join(t);
    assert.deepEqual(await ask(socket, "ask-room", "nobody"), { answers: [] });
  });
}

function rooms(join) {
  const heard = (socket) => {
    const texts = [];
    socket.on("said", ({ text }) => texts.push(text));
    return texts;
  };

  test("a socket is in the rooms that it joined and has not left", async (t) => {
    const socket = await join(t);
    assert.deepEqual(await ask(socket, "rooms"), []);
    assert.deepEqual(await ask(socket, "join", "b"), ["b"]);
    assert.deepEqual(await ask(socket, "join", "a"), ["a", "b"]);
    assert.deepEqual(await ask(socket, "join", "a"), ["a", "b"]);
    assert.deepEqual(await ask(socket, "leave", "b"), ["a"]);
    assert.deepEqual(await ask(socket, "leave", "never joined"), ["a"]);
    assert.deepEqual(await ask(socket, "rooms"), ["a"]);
  });

  test("what is said in a room reaches its other members, and nobody else", async (t) => {
    const [alice, bob, carol] = await Promise.all([join(t), join(t), join(t)]);
    for (const socket of [alice, bob]) await ask(socket, "join", "room");
    const texts = [alice, bob, carol].map(heard);
    const said = next(bob, "said");
    assert.equal(await ask(alice, "say", "room", "hello"), "ok");
    assert.deepEqual(await said, [{ from: alice.id, text: "hello" }]);
    for (const socket of [alice, carol]) await ask(socket, "echo", "fence");
    assert.deepEqual(texts, [[], ["hello"], []]);
  });

  test("the members of an excluded room hear nothing", async (t) => {
    const [alice, bob, carol] = await Promise.all([join(t), join(t), join(t)]);
    for (const socket of [alice, bob, carol]) await ask(socket, "join", "all");
    await ask(carol, "join", "muted");
    const texts = [bob, carol].map(heard);
    const said = next(bob, "said");
    await ask(alice, "say-except", "all", "muted", "hello");
    await said;
    await ask(carol, "echo", "fence");
    assert.deepEqual(texts, [["hello"], []]);
  });

  test("a socket that left, or is gone, no longer belongs to the room", async (t) => {
    const [alice, bob, carol] = await Promise.all([join(t), join(t), join(t)]);
    for (const socket of [alice, bob, carol]) await ask(socket, "join", "fading");
    for (const socket of [alice, bob]) socket.on("question", (_, ack) => ack("here"));
    await ask(bob, "leave", "fading");
    carol.disconnect();
    await eventually(
      () => ask(alice, "ask-room", "fading"),
      ({ answers, error }) => error === undefined && answers.length === 1,
      "only alice answers",
    );
  });

  test("a broadcast to the namespace reaches all of it, and no other namespace", async (t) => {
    const [alice, bob, admin] = await Promise.all([
      join(t),
      join(t),
      join(t, { namespace: "/admin" }),
    ]);
    const elsewhere = heard(admin);
    const said = [alice, bob].map((socket) => next(socket, "said"));
    await ask(alice, "say-all", "news");
    for (const [message] of await Promise.all(said)) assert.equal(message.text, "news");
    await ask(admin, "echo", "fence");
    assert.deepEqual(elsewhere, []);
  });
}

function order(join, options) {
  test("200 events are echoed in order, bytes and text mixed", async (t) => {
    const socket = await join(t);
    const got = [];
    const all = new Promise((done) => {
      socket.on("echo", (i) => got.push(i) === 200 && done());
    });
    for (let i = 0; i < 200; i += 1) {
      // The queue of a socket holds 64 events: give it time to be emptied.
      if (i % 32 === 0) await ask(socket, "rooms");
      if (i % 3 === 0) socket.emit("echo", i, BYTES);
      else socket.emit("echo", i);
    }
    await within(all, 5_000, "200 echoes");
    assert.deepEqual(got, Array.from({ length: 200 }, (_, i) => i));
  });

  test("events emitted before the connection stands arrive in order", async (t) => {
    const socket = scope(t).client(servers[options.codec], options);
    const answers = [1, 2, 3].map((i) => ask(socket, "echo", i));
    await connected(socket);
    assert.deepEqual(await Promise.all(answers), [1, 2, 3]);
  });

  test("the handlers of one socket run in the order of its events", async (t) => {
    const socket = await join(t);
    const got = [];
    const slow = [60, 30, 0].map((ms) => ask(socket, "slow", ms, ms).then((v) => got.push(v)));
    await Promise.all(slow);
    assert.deepEqual(got, [60, 30, 0]);
  });

  test("volatile events keep their order and never hold the others up", async (t) => {
    const socket = await join(t);
    const got = [];
    socket.on("v", (i) => got.push(i));
    const end = next(socket, "v-end");
    socket.emit("volatile", 20);
    await end;
    assert.deepEqual(got, [...new Set(got)].sort((a, b) => a - b));
  });

  test("a handler that panics leaves the connection as it was", async (t) => {
    const socket = await join(t);
    socket.emit("panic");
    assert.equal(await ask(socket, "echo", "still here"), "still here");
    assert.equal(servers[options.codec].isRunning(), true);
  });

  test("an event that nobody handles is ignored", async (t) => {
    const socket = await join(t);
    socket.emit("unheard of", BYTES);
    await quiet(20);
    assert.equal(await ask(socket, "echo", "still here"), "still here");
  });
}
