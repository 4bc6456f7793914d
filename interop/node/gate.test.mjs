// The gate against peers that do not keep to the order of things, in frames written by hand.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually, next, quiet } from "./support/bounded.mjs";
import { ask, connected, mint, refused, scope, settled, TRANSPORTS } from "./support/client.mjs";
import {
  connectPacket,
  http,
  openPolling,
  openWebSocket,
  PATH,
  refusedUpgrade,
  SEPARATOR,
} from "./support/raw.mjs";
import { isOracle, ours, startAuth } from "./support/server.mjs";

const REFUSED = /^44(\/[^,]+,)?\{"message":"Unauthorized"/;
const GOOD = () => ({ token: mint() });

let server;
before(async () => (server = await startAuth("--auth-timeout", "600")));
after(() => server?.stop());

/** The counters' growth since the call. */
async function counting(t) {
  const watcher = await scope(t).watcher(server);
  const before = await settled(watcher);
  return async () => {
    const now = await ask(watcher, "counters");
    return {
      verified: now.verified - before.verified,
      connected: now.connected - before.connected,
      handled: now.handled - before.handled,
      disconnected: now.disconnected - before.disconnected,
    };
  };
}

describe("an unknown namespace", () => {
  test("is refused by name, and its token is not verified", async (t) => {
    const counted = await counting(t);
    const names = ["/unknown", "/tenant", "/tenant-1/x", "/admin/", "/ADMIN", "/__proto__"];
    for (const namespace of names) {
      for (const transport of Object.keys(TRANSPORTS)) {
        const { message, code, active } = await refused(
          scope(t).client(server, { namespace, transport }),
        );
        assert.deepEqual([message, code, active], ["Invalid namespace", undefined, false]);
      }
    }
    assert.equal((await counted()).verified, 0);
  });

  test("does not end the connection", async (t) => {
    const socket = await scope(t).connected(server);
    const other = socket.io.socket("/unknown", {});
    assert.equal((await refused(other)).message, "Invalid namespace");
    assert.equal(await ask(socket, "echo", "here"), "here");
  });

  test("is answered with its own name and nothing else", async () => {
    const socket = await openWebSocket(server);
    socket.send("40/unknown,{}");
    assert.equal(await socket.next(), '44/unknown,{"message":"Invalid namespace"}');
    socket.send("40/?token=x,");
    assert.match(await socket.next(), /^44\/\?token=x,\{"message":"Invalid namespace"\}$/);
    socket.ws.terminate();
  });
});

describe("a budget for those who are not in", () => {
  ours("the fourth refused CONNECT ends the connection", async () => {
    const socket = await openWebSocket(server);
    for (let i = 0; i < 3; i += 1) {
      socket.send(connectPacket({ token: "bad" }));
      assert.match(await socket.next(), REFUSED);
    }
    socket.send(connectPacket({ token: "bad" }));
    let last = await socket.next();
    if (REFUSED.test(last)) last = await socket.next();
    assert.equal(last, "closed");
  });

  ours("refusals of several namespaces count together, and over polling too", async () => {
    const session = await openPolling(server);
    const names = ["/", "/admin", "/tenant-1", "/tenant-2"];
    for (const name of names) await session.post(connectPacket({ token: "bad" }, name));
    const packets = [];
    let status;
    do {
      const answer = await session.poll();
      status = answer.status;
      if (status === 200) packets.push(...answer.body.split(SEPARATOR));
    } while (status === 200 && !packets.includes("1"));
    const refusals = packets.filter((packet) => REFUSED.test(packet));
    assert.ok(refusals.length <= 4 && refusals.length >= 1, packets.join(" "));
    assert.equal((await session.poll()).status, 400);
  });

  test("who stays without a namespace is closed in time", async () => {
    const began = Date.now();
    const silent = await openWebSocket(server);
    const refusedOnce = await openWebSocket(server);
    refusedOnce.send(connectPacket({ token: "bad" }));
    assert.match(await refusedOnce.next(), REFUSED);
    const session = await openPolling(server);
    const poll = session.get();
    await Promise.all([silent.closed(), refusedOnce.closed()]);
    assert.deepEqual(await poll, ["1"]);
    const took = Date.now() - began;
    // A tick of the wheel, a quarter of a second at most, may be missing.
    assert.ok(took > 300 && took < 3_000, `closed after ${took} ms`);
  });

  test("who is in stays beyond that time", async (t) => {
    const socket = await scope(t).connected(server);
    await quiet(900);
    assert.equal(await ask(socket, "echo", "here"), "here");
  });

  ours("two CONNECTs in one segment make one socket", async (t) => {
    const counted = await counting(t);
    const socket = await openWebSocket(server);
    const packet = connectPacket({ token: mint(), verify: { wait: 100 } });
    socket.send(packet, packet);
    assert.match(await socket.next(), /^40\{"sid":"[^"]{20}"\}$/);
    socket.send('420["echo",1]');
    assert.equal(await socket.next(), "430[1]");
    const { connected, verified } = await counted();
    assert.deepEqual([connected, verified], [1, 1]);
    socket.ws.terminate();
  });

  test("a CONNECT for a namespace that is joined ends the connection", async () => {
    const socket = await openWebSocket(server);
    socket.send(connectPacket(GOOD()));
    assert.match(await socket.next(), /^40\{"sid"/);
    socket.send(connectPacket(GOOD()));
    assert.equal(await socket.next(), "closed");
  });

  ours("one connection gets at most 16 namespaces", async () => {
    const socket = await openWebSocket(server);
    const joined = [];
    for (let i = 0; i < 17; i += 1) {
      socket.send(connectPacket(GOOD(), `/tenant-${i}`));
      const answer = await socket.next();
      if (answer.startsWith(`40/tenant-${i},`)) joined.push(i);
    }
    assert.equal(joined.length, 16);
    socket.ws.terminate();
  });
});

describe("events behind a CONNECT", () => {
  const whoami = '420["whoami"]';

  test("are never handled when it is refused", async (t) => {
    const counted = await counting(t);
    for (const namespace of ["/", "/admin", "/tenant-42"]) {
      const prefix = namespace === "/" ? "" : `${namespace},`;
      for (const auth of [{ token: "bad" }, { token: "bad", verify: { wait: 50 } }]) {
        const socket = await openWebSocket(server);
        socket.send(connectPacket(auth, namespace), `42${prefix}0["whoami"]`);
        const first = await socket.next();
        if (!isOracle) assert.match(first, REFUSED);
        await quiet(80);
        assert.deepEqual(socket.pending.filter((packet) => /^4[0235]/.test(packet)), []);
        socket.ws.terminate();
      }
    }
    const { connected, handled } = await counted();
    assert.deepEqual([connected, handled], [0, 0]);
  });

  const waits = {
    "at once": {},
    "after a slow verification": { verify: { wait: 150 } },
    "after a slow on_connect": { connect: { wait: 200 } },
  };
  for (const [name, more] of Object.entries(waits)) {
    ours(`are handled in order when it is accepted ${name}`, async () => {
      const socket = await openWebSocket(server);
      socket.send(
        connectPacket({ ...GOOD(), ...more }),
        whoami,
        '42["echo","first"]',
        '451-1["echo",{"_placeholder":true,"num":0}]',
        Buffer.from("bytes"),
        '42["echo","second"]',
      );
      assert.match(await socket.next(), /^40\{"sid"/);
      assert.equal(
        await socket.next(),
        '430[{"namespace":"/","sub":"42","username":"alice"}]',
      );
      assert.equal(await socket.next(), '42["echo","first"]');
      assert.equal(await socket.next(), '461-1[{"_placeholder":true,"num":0}]');
      assert.equal((await socket.next()).toString(), "bytes");
      assert.equal(await socket.next(), '42["echo","second"]');
      socket.ws.terminate();
    });

    ours(`are handled when they came in one polling body, ${name}`, async () => {
      const session = await openPolling(server);
      await session.post(connectPacket({ ...GOOD(), ...more }), whoami);
      const packets = [];
      while (packets.length < 2) packets.push(...(await session.get()));
      assert.match(packets[0], /^40\{"sid"/);
      assert.match(packets[1], /^430\[\{.*"username":"alice"/);
    });
  }

  ours("are held up to a bound, and a flood ends the connection", async (t) => {
    const counted = await counting(t);
    const socket = await openWebSocket(server);
    const flood = Array.from({ length: 500 }, () => '42["echo"]');
    socket.send(connectPacket({ ...GOOD(), verify: { wait: 400 } }), ...flood);
    assert.equal(await socket.next(), "closed");
    assert.equal((await counted()).handled, 0);
  });

  test("an event for a namespace never asked for ends the connection", async () => {
    const socket = await openWebSocket(server);
    socket.send('42["echo"]');
    assert.equal(await socket.next(), "closed");
  });

  test("no broadcast reaches a socket before it is accepted", async (t) => {
    const speaker = await scope(t).connected(server);
    const loop = setInterval(() => speaker.emit("say-all", "for members only"), 5);
    t.after(() => clearInterval(loop));
    const socket = await openWebSocket(server);
    const steps = isOracle ? { verify: { wait: 100 } } : waits["after a slow on_connect"];
    socket.send(connectPacket({ ...GOOD(), ...steps }));
    assert.match(await socket.next(), /^40\{"sid"/);
    assert.match(await socket.next(), /^42\["said"/);
    socket.ws.terminate();
  });
});

describe("leaving in the middle", () => {
  ours("a CONNECT that is withdrawn while it is verified makes no socket", async (t) => {
    const counted = await counting(t);
    const socket = await openWebSocket(server);
    socket.send(connectPacket({ ...GOOD(), verify: { wait: 100 } }), "41");
    await quiet(200);
    const { connected, disconnected } = await counted();
    assert.equal(connected, disconnected);
    socket.ws.terminate();
  });

  test("kick(true) in the middle of an upgrade ends both transports", async (t) => {
    const counted = await counting(t);
    const session = await openPolling(server);
    await session.post(connectPacket(GOOD()));
    assert.match((await session.get())[0], /^40\{"sid"/);
    const socket = await openWebSocket(server, { query: `&sid=${session.sid}` });
    socket.send("2probe");
    assert.equal(await socket.next(), "3probe");
    await session.post('42["kick",true]');
    const packets = [];
    let status = 200;
    while (status === 200) {
      const answer = await session.poll();
      status = answer.status;
      if (status === 200) packets.push(...answer.body.split(SEPARATOR));
    }
    assert.ok(packets.includes("41"), packets.join(" "));
    assert.equal(await socket.next(), "closed");
    assert.equal((await counted()).disconnected, 1);
  });

  test("a client killed without a word is counted out", async (t) => {
    const counted = await counting(t);
    const socket = await openWebSocket(server);
    socket.send(connectPacket(GOOD()));
    await socket.next();
    socket.ws.terminate();
    const gone = ({ connected, disconnected }) => connected === 1 && disconnected === 1;
    await eventually(counted, gone, "on_connect and on_disconnect ran once each");
  });
});

describe("origins", () => {
  const good = "https://chat.example";
  const evil = ["https://chat.example.evil", "https://evil-chat.example", "http://chat.example"];
  let strict;
  before(async () => (strict = await startAuth("--origin", good)));
  after(() => strict?.stop());

  test("a page of the right origin connects over every transport", async (t) => {
    for (const transport of Object.keys(TRANSPORTS)) {
      const socket = scope(t).client(strict, { extraHeaders: { origin: good }, transport });
      await connected(socket);
    }
  });

  test("a client that is no page connects", async (t) => {
    for (const transport of Object.keys(TRANSPORTS)) {
      await scope(t).connected(strict, { transport });
    }
  });

  test("a page of another origin gets 403 over polling", async () => {
    for (const origin of [...evil, "null"]) {
      const { status, body } = await http(strict, `${PATH}&transport=polling`, {
        headers: { origin },
      });
      assert.equal(status, 403, origin);
      assert.equal(JSON.parse(body).code, 4);
    }
  });

  ours("a page of another origin gets 403 instead of a WebSocket", async () => {
    for (const origin of [...evil, "null"]) {
      const path = `${PATH}&transport=websocket`;
      const { status } = await refusedUpgrade(strict, path, { origin });
      assert.equal(status, 403, origin);
    }
  });

  ours("a page of another origin cannot take over a session by an upgrade", async () => {
    const session = await openPolling(strict, { headers: { origin: good } });
    const path = `${PATH}&transport=websocket&sid=${session.sid}`;
    const { status } = await refusedUpgrade(strict, path, { origin: evil[0] });
    assert.equal(status, 403);
  });
});

describe("a cap on connections", () => {
  ours("refuses the third of two, and frees the place of who left", async (t) => {
    const small = await startAuth("--max-sessions", "2");
    t.after(() => small.stop());
    const session = await openPolling(small);
    const socket = await openWebSocket(small);
    const polling = `${PATH}&transport=polling`;
    assert.equal((await http(small, polling)).status, 503);
    const upgrade = await refusedUpgrade(small, `${PATH}&transport=websocket`);
    assert.equal(upgrade.status, 503);
    socket.ws.terminate();
    const admitted = ({ status }) => status === 200;
    await eventually(() => http(small, polling), admitted, "a killed client frees its place");
    await session.post("1");
    await eventually(() => http(small, polling), admitted, "a closed session frees its place");
  });

  ours("loses no place to clients that were refused", async (t) => {
    const small = await startAuth("--max-sessions", "2");
    t.after(() => small.stop());
    const once = async () => {
      const socket = scope(t).client(small, { auth: { token: "bad" }, reconnection: false });
      const { message } = await refused(socket);
      const { engine } = socket.io;
      if (engine.readyState === "open") {
        const gone = next(engine, "close");
        engine.close();
        await gone;
      }
      return message;
    };
    // The place of the one before may not be free yet: then it is a transport error.
    const isRefusal = (message) => message === "Unauthorized";
    for (let i = 0; i < 50; i += 1) await eventually(once, isRefusal, "a place is free");
    await scope(t).connected(small);
  });
});
