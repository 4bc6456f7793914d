// Engine.IO over plain HTTP: handshake, verification, CORS, limits, compression, closing.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { brotliDecompressSync, gunzipSync, inflateSync } from "node:zlib";
import { eventually, quiet } from "./support/bounded.mjs";
import { ask, scope, settled } from "./support/client.mjs";
import { bytes, http, openPolling, openWebSocket, PATH, refusedUpgrade } from "./support/raw.mjs";
import { ours, startAuth, startProtocol } from "./support/server.mjs";

const POLLING = `${PATH}&transport=polling`;
const WEBSOCKET = `${PATH}&transport=websocket`;
const LIMIT = 5_000;

let server;
before(async () => (server = await startAuth("--max-payload", String(LIMIT))));
after(() => server?.stop());

const refusal = (code, message) => [400, JSON.stringify({ code, message })];

/** A polling session that is in the public namespace. */
async function inOpen(options) {
  const session = await openPolling(server, options);
  await session.post("40/open,");
  const [answer] = await session.get();
  assert.match(answer, /^40\/open,\{"sid":"[^"]{20}"\}$/);
  return session;
}

/** Awaits that one more socket has ended for the reason. */
async function ending(t) {
  const watcher = await scope(t).watcher(server);
  const read = async () => (await ask(watcher, "counters")).reasons;
  const before = (await settled(watcher)).reasons;
  return (...reasons) =>
    eventually(
      read,
      (now) => reasons.some((reason) => (now[reason] ?? 0) === (before[reason] ?? 0) + 1),
      `one more ${reasons.join(" or ")} than in ${JSON.stringify(before)}`,
    );
}

describe("handshake", () => {
  test("answers with the five keys, in their order, and is not to be stored", async () => {
    const { status, headers, body } = await http(server, POLLING);
    assert.equal(status, 200);
    const { sid } = JSON.parse(body.slice(1));
    assert.match(sid, /^[\w-]{20}$/);
    const timings = '"pingInterval":25000,"pingTimeout":20000,"maxPayload":5000';
    assert.equal(body, `0{"sid":"${sid}","upgrades":["websocket"],${timings}}`);
    assert.equal(headers["content-type"].toLowerCase(), "text/plain; charset=utf-8");
    assert.equal(headers["cache-control"], "no-store");
    assert.equal(headers["access-control-allow-origin"], undefined);
    assert.equal(headers["set-cookie"], undefined);
  });

  test("offers no upgrade to a WebSocket", async () => {
    const socket = await openWebSocket(server);
    assert.deepEqual(socket.handshake.upgrades, []);
    assert.equal(Object.keys(socket.handshake).length, 5);
    socket.ws.terminate();
  });

  test("gives every session an id of its own", async () => {
    const sessions = await Promise.all(Array.from({ length: 20 }, () => openPolling(server)));
    assert.equal(new Set(sessions.map(({ sid }) => sid)).size, 20);
  });

  test("is served below the path, and nowhere else", async () => {
    const query = "?EIO=4&transport=polling";
    assert.equal((await http(server, `/socket.io/anything${query}`)).status, 200);
    for (const path of ["/socket.io", "/", "/socket.iox/", "/engine.io/", "/other"]) {
      assert.equal((await http(server, path + query)).status, 404, path);
    }
  });

  test("offers the transports that it was told to, and no other", async (t) => {
    const only = await startAuth("--transports", "websocket");
    t.after(() => only.stop());
    const { status, body } = await http(only, POLLING);
    assert.deepEqual([status, body], refusal(0, "Transport unknown"));
    await scope(t).connected(only, { transport: "websocket" });
    const other = await startAuth("--transports", "polling");
    t.after(() => other.stop());
    const session = await openPolling(other);
    assert.deepEqual(session.handshake.upgrades, []);
    assert.equal((await refusedUpgrade(other, WEBSOCKET)).status, 400);
  });
});

describe("verification", () => {
  const bad = {
    "an unknown transport": ["?EIO=4&transport=tcp", 0, "Transport unknown"],
    "no transport": ["?EIO=4", 0, "Transport unknown"],
    "the transport __proto__": ["?EIO=4&transport=__proto__", 0, "Transport unknown"],
    "the transport constructor": ["?EIO=4&transport=constructor", 0, "Transport unknown"],
    "webtransport": ["?EIO=4&transport=webtransport", 0, "Transport unknown"],
    "an unknown session": ["?EIO=4&transport=polling&sid=x", 1, "Session ID unknown"],
    "the session __proto__": ["?EIO=4&transport=polling&sid=__proto__", 1, "Session ID unknown"],
    "a WebSocket without an upgrade": ["?EIO=4&transport=websocket", 3, "Bad request"],
    "protocol 3": ["?EIO=3&transport=polling", 5, "Unsupported protocol version"],
    "no protocol": ["?transport=polling", 5, "Unsupported protocol version"],
    "protocol abc": ["?EIO=abc&transport=polling", 5, "Unsupported protocol version"],
  };
  for (const [name, [query, code, message]] of Object.entries(bad)) {
    test(`refuses ${name} with code ${code}`, async () => {
      const { status, body, headers } = await http(server, `/socket.io/${query}`);
      assert.deepEqual([status, body], refusal(code, message));
      assert.equal(headers["content-type"], "application/json");
    });
  }

  test("refuses to open a session with another method than GET, with code 2", async () => {
    for (const method of ["POST", "OPTIONS", "PUT", "DELETE"]) {
      const { status, body } = await http(server, POLLING, { method });
      assert.deepEqual([status, body], refusal(2, "Bad handshake method"), method);
    }
  });

  test("refuses a session of another transport or protocol, with code 3", async () => {
    const socket = await openWebSocket(server);
    const overPolling = await http(server, `${POLLING}&sid=${socket.handshake.sid}`);
    assert.deepEqual([overPolling.status, overPolling.body], refusal(3, "Bad request"));
    const session = await inOpen();
    const other = await http(server, session.url.replace("EIO=4", "EIO=3"));
    assert.deepEqual([other.status, other.body], refusal(3, "Bad request"));
    await session.post('42/open,0["echo",1]');
    assert.deepEqual(await session.get(), ["43/open,0[1]"]);
    socket.ws.terminate();
  });

  test("refuses WebSockets before the upgrade", async () => {
    const cases = [
      [`${PATH}&transport=tcp`, "Transport unknown"],
      [`${PATH}&transport=__proto__`, "Transport unknown"],
      [`${WEBSOCKET}&sid=unknown`, "Session ID unknown"],
    ];
    for (const [path, message] of cases) {
      const { status, body } = await refusedUpgrade(server, path);
      assert.equal(status, 400, path);
      assert.ok(body.includes(message), body);
    }
  });

  ours("refuses a WebSocket of another protocol before the upgrade", async () => {
    for (const query of ["EIO=3&", "", "EIO=abc&"]) {
      const path = `/socket.io/?${query}transport=websocket`;
      const { status, body } = await refusedUpgrade(server, path);
      assert.equal(status, 400);
      assert.ok(body.includes("Unsupported protocol version"), body);
    }
  });

  test("survives garbage in place of a WebSocket handshake", async () => {
    const head = `GET ${WEBSOCKET} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n`;
    for (const rest of [
      "Upgrade: websocket\r\n\r\n",
      "Upgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n",
      "Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
        "Sec-WebSocket-Version: 12\r\n\r\n",
    ]) {
      assert.match(await bytes(server, head + rest), /^HTTP\/1\.1 4\d\d /);
    }
    assert.equal((await http(server, POLLING)).status, 200);
  });

  test("has no answer of success for other methods on a session", async () => {
    const session = await inOpen();
    for (const method of ["PUT", "DELETE", "PATCH"]) {
      assert.ok((await http(server, session.url, { method })).status >= 400, method);
    }
  });
});

describe("cross-origin requests", () => {
  const origin = "https://chat.example";
  let protocol;
  let listed;
  before(async () => {
    [protocol, listed] = await Promise.all([startProtocol(), startAuth("--origin", origin)]);
  });
  after(() => Promise.all([protocol?.stop(), listed?.stop()]));

  test("any origin may read where any is allowed, errors too", async () => {
    for (const path of ["/socket.io/", "/engine.io/"]) {
      const query = `${path}?EIO=4&transport=polling`;
      const good = await http(protocol, query, { headers: { origin } });
      assert.equal(good.status, 200);
      assert.match(good.headers["access-control-allow-origin"], /^\*$|^https:\/\/chat.example$/);
      const bad = await http(protocol, `${query}&sid=x`, { headers: { origin } });
      assert.equal(bad.status, 400);
      assert.ok(bad.headers["access-control-allow-origin"]);
    }
  });

  test("a preflight is answered without opening a session", async () => {
    const headers = {
      origin,
      "access-control-request-method": "POST",
      "access-control-request-headers": "content-type, x-custom",
    };
    for (const target of [protocol, listed]) {
      const { status, ...answer } = await http(target, POLLING, { headers, method: "OPTIONS" });
      assert.equal(status, 204);
      assert.match(answer.headers["access-control-allow-methods"], /GET.*POST/);
      assert.match(answer.headers["access-control-allow-headers"], /content-type, ?x-custom/i);
      assert.ok(answer.headers["access-control-allow-origin"]);
      assert.equal(answer.body, "");
    }
  });

  test("a listed origin is reflected, and caches are told so", async () => {
    const { headers } = await http(listed, POLLING, { headers: { origin } });
    assert.equal(headers["access-control-allow-origin"], origin);
    assert.match(headers.vary, /\bOrigin\b/i);
    assert.equal(headers["access-control-allow-credentials"], undefined);
  });

  test("another origin is never reflected, nor answered with a star", async () => {
    const evil = "https://evil.example";
    const { headers } = await http(listed, POLLING, { headers: { origin: evil } });
    assert.notEqual(headers["access-control-allow-origin"], evil);
    assert.notEqual(headers["access-control-allow-origin"], "*");
  });
});

describe("polling", () => {
  test("a body is answered with ok", async () => {
    const session = await inOpen();
    const { status, headers, body } = await session.post('42/open,["echo",1]');
    assert.deepEqual([status, body], [200, "ok"]);
    assert.match(headers["content-type"], /^text\/html/);
    assert.equal(headers["content-length"], "2");
  });

  test("several packets share a body, in both directions, bytes as base64", async () => {
    const session = await inOpen();
    await session.post(
      '42/open,["echo",1]',
      '451-/open,["echo",{"_placeholder":true,"num":0}]',
      "bAQID/w==",
      '42/open,["echo",2]',
    );
    const packets = [];
    while (packets.length < 4) packets.push(...(await session.get()));
    assert.deepEqual(packets, [
      '42/open,["echo",1]',
      '451-/open,["echo",{"_placeholder":true,"num":0}]',
      "bAQID/w==",
      '42/open,["echo",2]',
    ]);
  });

  test("a body of the limit passes, one byte more gets 413, and the session lives", async () => {
    const session = await inOpen();
    const frame = (text) => `42/open,0["echo","${text}"]`;
    const room = LIMIT - frame("").length;
    assert.equal((await session.post(frame("x".repeat(room)))).status, 200);
    assert.equal((await session.get())[0].length, LIMIT - '"echo",'.length);
    assert.equal((await session.post(frame("x".repeat(room + 1)))).status, 413);
    assert.equal((await session.post(frame("é".repeat(room / 2 + 1)))).status, 413);
    await session.post(frame("alive"));
    assert.deepEqual(await session.get(), ['43/open,0["alive"]']);
  });

  test("the limit counts what arrives, with or without a length", async () => {
    const session = await inOpen();
    const chunked = (total) => (outgoing) => {
      const text = `42/open,0["echo","${"x".repeat(total)}"]`;
      for (let i = 0; i < text.length; i += 1_000) outgoing.write(text.slice(i, i + 1_000));
      outgoing.end();
    };
    const post = (total) => http(server, session.url, { body: chunked(total), method: "POST" });
    assert.equal((await post(3_000)).status, 200);
    assert.match((await session.get())[0], /^43\/open,0\["x{3000}"\]$/);
    assert.equal((await post(LIMIT)).status, 413);
  });

  test("a letter may be split between two chunks", async () => {
    const session = await inOpen();
    const text = Buffer.from('42/open,0["echo","é🦀"]');
    const body = (outgoing) => {
      for (const byte of text) outgoing.write(Buffer.from([byte]));
      outgoing.end();
    };
    assert.equal((await http(server, session.url, { body, method: "POST" })).status, 200);
    assert.deepEqual(await session.get(), ['43/open,0["é🦀"]']);
  });
});

describe("compression", () => {
  const accept = (encoding) => ({ headers: { "accept-encoding": encoding } });
  const decode = { br: brotliDecompressSync, deflate: inflateSync, gzip: gunzipSync };

  for (const encoding of ["gzip", "deflate"]) {
    test(`an answer of 1 KiB or more is sent as ${encoding} to whom accepts it`, async () => {
      const session = await inOpen();
      const text = "x".repeat(2_000);
      await session.post(`42/open,0["echo","${text}"]`);
      const { headers, bytes } = await session.poll(accept(encoding));
      assert.equal(headers["content-encoding"], encoding);
      assert.ok(bytes.length < 500);
      assert.equal(decode[encoding](bytes).toString(), `43/open,0["${text}"]`);
    });
  }

  test("a short answer is sent as it is", async () => {
    const session = await inOpen();
    await session.post(`42/open,0["echo","${"x".repeat(500)}"]`);
    const { headers, body } = await session.poll(accept("gzip"));
    assert.equal(headers["content-encoding"], undefined);
    assert.match(body, /^43\/open,0\["x{500}"\]$/);
  });

  test("a long answer is sent as it is to whom accepts nothing else", async () => {
    for (const encoding of ["identity", "zstd", "gzip;q=0"]) {
      const session = await inOpen();
      await session.post(`42/open,0["echo","${"x".repeat(2_000)}"]`);
      const { headers, body } = await session.poll(accept(encoding));
      assert.equal(headers["content-encoding"], undefined, encoding);
      assert.match(body, /^43\/open,0\["x{2000}"\]$/);
    }
  });

  test("an event emitted without compression is sent as it is", async () => {
    const session = await inOpen();
    await session.post('42/open,["plain",2000]');
    const { headers, body } = await session.poll(accept("gzip"));
    assert.equal(headers["content-encoding"], undefined);
    assert.match(body, /^42\/open,\["plain","x{2000}"\]$/);
  });
});

describe("the end of a polling session", () => {
  const isGone = async (session) => {
    const { status, body } = await session.poll();
    assert.deepEqual([status, body], refusal(1, "Session ID unknown"));
  };

  test("a second poll while one waits ends the session", async (t) => {
    const seen = await ending(t);
    const session = await inOpen();
    const first = session.poll();
    await quiet(50);
    const second = await session.poll();
    assert.deepEqual([second.status, second.body], [400, ""]);
    assert.deepEqual([(await first).status, (await first).body], [200, "1"]);
    await isGone(session);
    await seen("transport error");
  });

  test("a second body while one is being sent ends the session", async (t) => {
    const seen = await ending(t);
    const session = await inOpen();
    let rest;
    const body = (outgoing) => {
      outgoing.write("42/open,");
      rest = outgoing;
    };
    const headers = { "content-length": 30 };
    const first = http(server, session.url, { body, headers, method: "POST" }).catch(() => {});
    await quiet(50);
    assert.equal((await session.post("3")).status, 400);
    rest.destroy();
    await first;
    await isGone(session);
    await seen("transport error");
  });

  test("a poll that the client gives up ends the session", async (t) => {
    const seen = await ending(t);
    const session = await inOpen();
    const stop = new AbortController();
    const poll = session.poll({ signal: stop.signal }).catch(() => {});
    await quiet(50);
    stop.abort();
    await poll;
    await seen("transport error");
    assert.equal((await session.poll()).status, 400);
  });

  test("a body of octets gets 400 and ends the session", async (t) => {
    const seen = await ending(t);
    const session = await inOpen();
    const headers = { "content-type": "application/octet-stream" };
    const options = { body: "3", headers, method: "POST" };
    assert.equal((await http(server, session.url, options)).status, 400);
    await seen("transport error");
    await isGone(session);
  });

  test("the client's close packet frees the waiting poll with a noop", async (t) => {
    const seen = await ending(t);
    const session = await inOpen();
    const poll = session.get();
    await quiet(50);
    assert.equal((await session.post("1")).body, "ok");
    assert.deepEqual(await poll, ["6"]);
    await seen("transport close");
    await isGone(session);
  });

  test("the server's close frees the waiting poll", async (t) => {
    const seen = await ending(t);
    const session = await inOpen();
    const poll = session.get();
    await quiet(50);
    await session.post('42/open,["kick",true]');
    const packets = await poll;
    if (packets.length === 1) packets.push(...(await session.get()));
    assert.match(packets.join(" "), /^41\/open, (6 )?1$/);
    await seen("server namespace disconnect");
  });

  test("an unknown packet type is a parse error", async (t) => {
    const seen = await ending(t);
    const session = await inOpen();
    const poll = session.get();
    await quiet(50);
    await session.post("x");
    assert.deepEqual(await poll, ["1"]);
    await seen("parse error");
    await isGone(session);
  });

  test("a ping from the client is an error", async (t) => {
    const seen = await ending(t);
    const session = await inOpen();
    await session.post("2").catch(() => {});
    await seen("transport error");
  });

  const early = {
    "a second CONNECT for a joined namespace": ["40/open,"],
    "an event for a namespace that was not asked for": ['42["echo"]'],
    "an undecodable packet": ["4abc"],
    "a CONNECT_ERROR": ['44/open,{"message":"no"}'],
  };
  for (const [name, packets] of Object.entries(early)) {
    test(`${name} ends the session, and the next poll says so`, async (t) => {
      const seen = await ending(t);
      const session = await inOpen();
      await session.post(...packets).catch(() => {});
      assert.deepEqual(await session.get(), ["6", "1"]);
      await eventually(
        () => session.poll(),
        ({ status }) => status === 400,
        "the session is gone",
      );
      await seen("forced close", "forced server close");
    });
  }

  test("what was answered before an undecodable packet is still delivered", async () => {
    const session = await openPolling(server);
    await session.post("40/open,");
    await session.post("4abc").catch(() => {});
    const packets = await session.get();
    if (packets.length === 1) packets.push(...(await session.get()));
    assert.match(packets[0], /^40\/open,\{"sid"/);
    assert.match(packets.slice(1).join(" "), /^(6 )?1$/);
  });
});
