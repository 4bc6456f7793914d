// Socket.IO packets as no stock client writes them: what is understood, and what ends it all.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { decode, encode } from "notepack.io";
import { eventually } from "./support/bounded.mjs";
import { ask, mint, scope, settled } from "./support/client.mjs";
import { connectPacket, openWebSocket } from "./support/raw.mjs";
import { isOracle, ours, startAuth } from "./support/server.mjs";

const servers = {};
before(async () => {
  [servers.json, servers.msgpack] = await Promise.all([
    startAuth(),
    startAuth("--codec", "msgpack"),
  ]);
});
after(() => Promise.all(Object.values(servers).map((server) => server.stop())));

async function inOpen(t) {
  const socket = await openWebSocket(servers.json);
  t.after(() => socket.ws.terminate());
  socket.send("40/open,");
  assert.match(await socket.next(), /^40\/open,\{"sid":"[\w-]{20}"\}$/);
  return socket;
}

const placeholder = (num) => `{"_placeholder":true,"num":${num}}`;

describe("a packet that is understood", () => {
  const understood = {
    "a connect without the comma": ["40/open", /^40\/open,\{"sid"/],
    "a connect with an empty payload": ["40/open,{}", /^40\/open,\{"sid"/],
  };
  for (const [name, [packet, answer]] of Object.entries(understood)) {
    test(`is ${name}`, async (t) => {
      const socket = await openWebSocket(servers.json);
      t.after(() => socket.ws.terminate());
      socket.send(packet);
      assert.match(await socket.next(), answer);
    });
  }

  test("is a disconnect without the comma, after which one may come back", async (t) => {
    const socket = await inOpen(t);
    socket.send("41/open");
    socket.send("40/open,");
    assert.match(await socket.next(), /^40\/open,\{"sid"/);
  });

  test("is an answer that nobody waits for", async (t) => {
    const socket = await inOpen(t);
    socket.send("43/open,123[1]", '42/open,0["echo",1]');
    assert.equal(await socket.next(), "43/open,0[1]");
  });

  test("is a text with every kind of escape", async (t) => {
    const socket = await inOpen(t);
    const text = '"\\u0000\\n\\"\\\\\\/\\ud83e\\udd80é"';
    socket.send(`42/open,0["echo",${text}]`);
    const answer = await socket.next();
    assert.deepEqual(JSON.parse(answer.slice("43/open,0".length)), [JSON.parse(text)]);
  });

  test("has up to ten attachments, in any order of their numbers", async (t) => {
    const socket = await inOpen(t);
    const numbers = [9, 8, 7, 6, 5, 4, 3, 2, 1, 0];
    const parts = numbers.map((num) => Buffer.from([num])).reverse();
    socket.send(`4510-/open,0["echo",${numbers.map(placeholder)}]`, ...parts);
    const answer = await socket.next();
    assert.match(answer, /^4610-\/open,0\[/);
    const order = JSON.parse(answer.slice("4610-/open,0".length)).map(({ num }) => num);
    const bytes = [];
    for (let i = 0; i < 10; i += 1) bytes.push((await socket.next())[0]);
    assert.deepEqual(order.map((num) => bytes[num]), numbers);
  });

  test("keeps the keys of an object in order, and numbers as they were", async (t) => {
    const socket = await inOpen(t);
    const value = '{"z":1,"a":{"y":-0.5,"b":[1e21,9007199254740991]},"m":0}';
    socket.send(`42/open,0["echo",${value}]`);
    // What is sent on is copied as it came; Node writes numbers anew.
    const answer = await socket.next();
    assert.equal(answer, `43/open,0[${isOracle ? value.replace("1e21", "1e+21") : value}]`);
  });
});

describe("a packet that ends the connection", () => {
  const deep = (depth) => `${"[".repeat(depth)}${"]".repeat(depth)}`;
  const fatal = {
    "with an unknown type": ["47/open,[]"],
    "with no type": ["4"],
    "with broken JSON": ['42/open,["echo"'],
    "with an object for its arguments": ['42/open,{"echo":1}'],
    "with no event name": ["42/open,[]"],
    "with an event name that is an object": ["42/open,[{}]"],
    "with an event name that is null": ["42/open,[null]"],
    "with a reserved event name": ['42/open,["connect_error"]'],
    "with the event name disconnecting": ['42/open,["disconnecting"]'],
    "that disconnects with a payload": ['41/open,{"a":1}'],
    "that answers with an object": ['43/open,1{"a":1}'],
    "that only a server may send": ['44/open,{"message":"no"}'],
    "for a namespace that was not joined": ['42/admin,["echo"]'],
    "with no attachment where it must have one": ['450-/open,["echo"]'],
    "with eleven attachments": [
      `4511-/open,["echo",${Array.from({ length: 11 }, (_, i) => placeholder(i))}]`,
    ],
    "with a text among its attachments": [
      `452-/open,["echo",${placeholder(0)},${placeholder(1)}]`,
      Buffer.from("a"),
      '42/open,["echo"]',
    ],
    "with a number of attachments that is no number": [`45x-/open,["echo",${placeholder(0)}]`],
    "with a placeholder beyond its attachments": [
      `451-/open,["echo",${placeholder(1)}]`,
      Buffer.from("a"),
    ],
    "with a placeholder below zero": [
      `451-/open,["echo",${placeholder(-1)}]`,
      Buffer.from("a"),
    ],
    "that is bytes nobody announced": [Buffer.from("a")],
  };
  for (const [name, messages] of Object.entries(fatal)) {
    test(`is one ${name}`, async (t) => {
      const watcher = await scope(t).watcher(servers.json);
      const sum = ({ reasons }) =>
        (reasons["forced close"] ?? 0) + (reasons["parse error"] ?? 0);
      const count = async () => sum(await ask(watcher, "counters"));
      const before = sum(await settled(watcher));
      const socket = await inOpen(t);
      socket.send(...messages);
      assert.equal(await socket.next(), "closed");
      assert.notEqual(await socket.closed(), 1006);
      await eventually(count, (now) => now === before + 1, "the socket has ended");
    });
  }

  ours("is one nested deeper than 64", async (t) => {
    const passes = await inOpen(t);
    passes.send(`42/open,0["echo",${deep(60)}]`);
    assert.equal(await passes.next(), `43/open,0[${deep(60)}]`);
    for (const depth of [70, 1_000, 100_000]) {
      const socket = await inOpen(t);
      socket.send(`42/open,0["echo",${deep(depth)}]`);
      assert.equal(await socket.next(), "closed");
    }
  });

  test("is the end in all namespaces of the client", async (t) => {
    const socket = await inOpen(t);
    socket.send(connectPacket({ token: mint() }));
    assert.match(await socket.next(), /^40\{"sid"/);
    const watcher = await scope(t).watcher(servers.json);
    const count = async () => (await ask(watcher, "counters")).disconnected;
    const before = (await settled(watcher)).disconnected;
    socket.send("4{");
    assert.equal(await socket.next(), "closed");
    await eventually(count, (now) => now === before + 2, "two sockets have ended");
  });
});

describe("after the server left a namespace", () => {
  ours("what the client had on the way is dropped, and it may come back", async (t) => {
    const socket = await inOpen(t);
    socket.send('42/open,["kick",false]', '42/open,0["echo",1]', '42/open,["echo",2]');
    assert.equal(await socket.next(), "41/open,");
    socket.send('42/open,1["echo",3]', "40/open,");
    assert.match(await socket.next(), /^40\/open,\{"sid"/);
    socket.send('42/open,2["echo",4]');
    assert.equal(await socket.next(), "43/open,2[4]");
  });
});

describe("with the msgpack codec", () => {
  const connect = encode({ type: 0, data: {}, nsp: "/open" });

  async function inOpenPacked(t) {
    const socket = await openWebSocket(servers.msgpack);
    t.after(() => socket.ws.terminate());
    socket.send(connect);
    const answer = decode(await socket.next());
    assert.deepEqual([answer.type, answer.nsp], [0, "/open"]);
    assert.equal(answer.data.sid.length, 20);
    return socket;
  }

  test("a packet is one binary message", async (t) => {
    const socket = await inOpenPacked(t);
    const data = ["echo", { bytes: Buffer.from("a"), n: 1, list: [null, "é"] }];
    socket.send(encode({ type: 2, data, nsp: "/open", id: 7 }));
    assert.deepEqual(decode(await socket.next()), {
      type: 3,
      data: data.slice(1),
      nsp: "/open",
      id: 7,
    });
  });

  const fatal = {
    "text": "42/open,[]",
    "bytes that are no msgpack": Buffer.from([0xc1]),
    "a list": encode([2, ["echo"]]),
    "an unknown type": encode({ type: 9, data: ["echo"], nsp: "/open" }),
    "a type of the other codec": encode({ type: 5, data: ["echo"], nsp: "/open" }),
    "no event name": encode({ type: 2, data: [], nsp: "/open" }),
    "an announced length that never comes": Buffer.from([0xdd, 0xff, 0xff, 0xff, 0xff]),
    "lists nested 100,000 deep": Buffer.alloc(100_000, 0x91),
  };
  for (const [name, message] of Object.entries(fatal)) {
    ours(`${name} ends the connection`, async (t) => {
      const socket = await inOpenPacked(t);
      socket.send(message);
      assert.equal(await socket.next(), "closed");
      assert.equal(servers.msgpack.isRunning(), true);
    });
  }
});
