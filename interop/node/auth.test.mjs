// Who may connect: the same answer on every transport and in every namespace.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually, next } from "./support/bounded.mjs";
import {
  ask,
  connected,
  GUARDED,
  mint,
  refused,
  scope,
  settled,
  TRANSPORTS,
} from "./support/client.mjs";
import { http, openPolling, openWebSocket } from "./support/raw.mjs";
import { ours, runAuth, startAuth } from "./support/server.mjs";

const KIB = 1024;
const past = Math.floor(Date.now() / 1000) - 60;
const tampered = () => mint().replace(/.$/, (last) => (last === "A" ? "B" : "A"));
const BAD = {
  "no token": [{}, "TOKEN_MISSING"],
  "a token that is null": [{ token: null }, "TOKEN_MISSING"],
  "an empty token": [{ token: "" }, "TOKEN_INVALID"],
  "a number": [{ token: 5 }, "TOKEN_INVALID"],
  "an object": [{ token: { token: mint() } }, "TOKEN_INVALID"],
  "an array": [{ token: [mint()] }, "TOKEN_INVALID"],
  "a word": [{ token: "let me in" }, "TOKEN_INVALID"],
  "a token of another server": [
    { token: mint({}, {}, "another secret of thirty-two bytes") },
    "TOKEN_INVALID",
  ],
  "a token with a changed signature": [{ token: tampered() }, "TOKEN_INVALID"],
  "an expired token": [{ token: mint({ exp: past }) }, "TOKEN_EXPIRED"],
  "a token without a user name": [{ token: mint({ username: undefined }) }, "TOKEN_CLAIMS"],
  "a token whose user name is a number": [{ token: mint({ username: 7 }) }, "TOKEN_CLAIMS"],
};

let server;
before(async () => (server = await startAuth()));
after(() => server?.stop());

for (const transport of Object.keys(TRANSPORTS)) {
  describe(`over ${transport}`, () => {
    for (const namespace of GUARDED) {
      refusals(transport, namespace);
      admissions(transport, namespace);
    }
    openness(transport);
  });
}

function refusals(transport, namespace) {
  test(`${namespace} refuses what is not a good token, and nothing runs`, async (t) => {
    const peers = scope(t);
    const watcher = await peers.watcher(server);
    const before = await settled(watcher);
    for (const [name, [auth, code]] of Object.entries(BAD)) {
      const socket = peers.client(server, { auth, namespace, transport });
      assert.deepEqual(
        await refused(socket),
        { message: "Unauthorized", code, active: false, seen: [] },
        name,
      );
      assert.equal(socket.connected, false, name);
      assert.equal(socket.id, undefined, name);
      socket.disconnect();
    }
    const { connected, disconnected, handled } = await ask(watcher, "counters");
    assert.deepEqual(
      [connected, disconnected, handled],
      [before.connected, before.disconnected, before.handled],
    );
  });

  test(`${namespace} tells a refused client its code and nothing else`, async (t) => {
    const bodies = new Map();
    for (const [auth, code] of Object.values(BAD)) {
      const socket = scope(t).client(server, { auth, namespace, transport });
      const error = next(socket, "connect_error");
      socket.connect();
      const [{ data }] = await error;
      bodies.set(code, (bodies.get(code) ?? new Set()).add(JSON.stringify(data)));
    }
    for (const [code, seen] of bodies) assert.deepEqual([...seen], [JSON.stringify({ code })]);
  });

  test(`no broadcast in ${namespace} reaches a refused client`, async (t) => {
    const peers = scope(t);
    const speaker = await peers.connected(server, { namespace });
    const loop = setInterval(() => speaker.emit("say-all", "for members only"), 10);
    t.after(() => clearInterval(loop));
    const socket = peers.client(server, { auth: { token: "bad" }, namespace, transport });
    const { seen } = await refused(socket);
    for (let i = 0; i < 5; i += 1) await next(speaker, "said");
    assert.deepEqual(seen, []);
  });
}

function admissions(transport, namespace) {
  test(`${namespace} admits a client that comes back with a good token`, async (t) => {
    const socket = scope(t).client(server, { auth: {}, namespace, transport });
    assert.equal((await refused(socket)).code, "TOKEN_MISSING");
    socket.auth = { token: mint({ username: "bob" }) };
    await connected(socket);
    const { namespace: name, username } = await ask(socket, "whoami");
    assert.deepEqual([name, username], [namespace, "bob"]);
  });

  test(`${namespace} verifies a token once, however much is said`, async (t) => {
    const peers = scope(t);
    const watcher = await peers.watcher(server);
    const verified = async () => (await ask(watcher, "counters")).verified;
    const before = (await settled(watcher)).verified;
    const socket = await peers.connected(server, { namespace, transport });
    for (let i = 0; i < 100; i += 1) await ask(socket, "echo", i);
    assert.equal((await verified()) - before, 1);
    const other = socket.io.socket(namespace === "/admin" ? "/" : "/admin", {
      auth: { token: mint() },
    });
    await connected(other);
    assert.equal((await verified()) - before, 2);
  });
}

function openness(transport) {
  test("a namespace that was declared public asks for no token", async (t) => {
    for (const auth of [undefined, {}, { token: "bad" }]) {
      const socket = scope(t).client(server, { auth, namespace: "/open", transport });
      await connected(socket);
      assert.deepEqual(await ask(socket, "whoami"), {
        namespace: "/open",
        sub: null,
        username: null,
      });
    }
  });

  test("who is connected to the public namespace is not yet in the others", async (t) => {
    const socket = await scope(t).connected(server, { auth: {}, namespace: "/open", transport });
    for (const name of GUARDED) {
      const other = socket.io.socket(name, { auth: {} });
      assert.equal((await refused(other)).code, "TOKEN_MISSING", name);
    }
    assert.equal(await ask(socket, "echo", "still here"), "still here");
  });

  test("the handshake tells what the client sent", async (t) => {
    const token = mint();
    const socket = await scope(t).connected(server, {
      auth: { token, extra: { a: [1] } },
      extraHeaders: { origin: server.url, "user-agent": "interop" },
      query: { q: "ä &" },
      transport,
    });
    const { headers, query, auth, ...facts } = await ask(socket, "handshake");
    assert.equal(headers["user-agent"], "interop");
    assert.equal(query.EIO, "4");
    assert.equal(query.q, "ä &");
    assert.equal(query.transport, transport === "websocket" ? "websocket" : "polling");
    // The token itself may be kept from handlers: it has done its work.
    assert.deepEqual({ ...auth, token }, { token, extra: { a: [1] } });
    assert.match(facts.address, /127\.0\.0\.1$/);
    assert.deepEqual([facts.secure, facts.xdomain], [false, true]);
    assert.match(facts.url, /^\/socket\.io\/\?/);
    assert.ok(Math.abs(facts.issued - Date.now()) < 60_000);
    assert.ok(Math.abs(Date.parse(facts.time) - Date.now()) < 60_000);
  });

  test("a bearer header is taken when the connect payload has no token", async (t) => {
    const good = mint();
    const cases = [
      [{}, `Bearer ${good}`, undefined],
      [{ token: null }, `Bearer ${good}`, undefined],
      [{}, `bearer ${good}`, undefined],
      [{}, `BEARER   ${good}`, undefined],
      [{ token: good }, "Bearer bad", undefined],
      [{ token: "bad" }, `Bearer ${good}`, "TOKEN_INVALID"],
      [{ token: "" }, `Bearer ${good}`, "TOKEN_INVALID"],
      [{}, `Basic ${good}`, "TOKEN_INVALID"],
      [{}, good, "TOKEN_INVALID"],
      [{}, `Bearer ${good} ${good}`, "TOKEN_INVALID"],
      [{}, "Bearer", "TOKEN_INVALID"],
    ];
    for (const [auth, authorization, code] of cases) {
      const options = { auth, extraHeaders: { authorization }, transport };
      const socket = scope(t).client(server, options);
      if (code === undefined) await connected(socket);
      else assert.equal((await refused(socket)).code, code, authorization.slice(0, 12));
      socket.disconnect();
    }
  });
}

describe("token sources", () => {
  ours("two Authorization headers are refused", async () => {
    const authorization = [`Bearer ${mint()}`, `Bearer ${mint()}`];
    const session = await openPolling(server, { headers: { authorization } });
    await session.post("40");
    const [answer] = await session.get();
    assert.match(answer, /^44\{"message":"Unauthorized"/);
  });

  test("a connect payload that is no object never connects", async () => {
    for (const payload of ['"text"', "[]", `["${mint()}"]`, "null", "5", "true"]) {
      const socket = await openWebSocket(server);
      socket.send(`40${payload}`);
      assert.match(await socket.next(), /^44\{"message":"Unauthorized"|^closed$/, payload);
      socket.ws.terminate();
    }
  });

  ours("a scheme before the token of the connect payload is not taken off unasked", async (t) => {
    const auth = { token: `Bearer ${mint()}` };
    assert.equal((await refused(scope(t).client(server, { auth }))).code, "TOKEN_INVALID");
  });

  test("a token in the query is not looked at", async (t) => {
    const socket = scope(t).client(server, { auth: {}, query: { token: mint() } });
    assert.equal((await refused(socket)).code, "TOKEN_MISSING");
  });

  test("a token in the query is taken where it was asked for, and never logged", async (t) => {
    const asked = await startAuth("--sources", "auth,query");
    t.after(() => asked.stop());
    const token = mint();
    await scope(t).connected(asked, { auth: {}, query: { token } });
    assert.equal(asked.log.includes(token.slice(-20)), false);
  });

  test("a token in a cookie is taken where it was asked for", async (t) => {
    const origin = "https://chat.example";
    const asked = await startAuth("--sources", "auth,cookie", "--origin", origin);
    t.after(() => asked.stop());
    const cookie = `theme=dark; token=${mint()}; lang=de`;
    for (const transport of Object.keys(TRANSPORTS)) {
      const extraHeaders = { cookie, origin };
      await scope(t).connected(asked, { auth: {}, extraHeaders, transport });
    }
    const bad = { auth: {}, extraHeaders: { cookie: "token=bad", origin } };
    assert.equal((await refused(scope(t).client(asked, bad))).code, "TOKEN_INVALID");
  });

  ours("cookies without a list of origins do not even start", async () => {
    const { code, stderr } = await runAuth("--sources", "auth,cookie");
    assert.notEqual(code, 0);
    assert.match(stderr, /origin/i);
  });
});

describe("bounds", () => {
  async function refusedUnverified(t, target, auth) {
    const peers = scope(t);
    const watcher = await peers.watcher(target);
    const before = await settled(watcher);
    const outcome = await refused(peers.client(target, { auth }));
    const { verified } = await ask(watcher, "counters");
    return { ...outcome, verified: verified - before.verified };
  }
  const nothing = { active: false, message: "Unauthorized", seen: [], verified: 0 };

  test("a token of 900 kB is refused before it is verified", async (t) => {
    const outcome = await refusedUnverified(t, server, { token: "x".repeat(900_000) });
    assert.deepEqual(outcome, { ...nothing, code: "TOKEN_INVALID" });
  });

  test("a token of 1 MB is refused where the payload limit lets it pass", async (t) => {
    const roomy = await startAuth("--max-payload", "3000000");
    t.after(() => roomy.stop());
    const outcome = await refusedUnverified(t, roomy, { token: "x".repeat(KIB * KIB) });
    assert.deepEqual(outcome, { ...nothing, code: "TOKEN_INVALID" });
  });

  test("a connect payload of more than 16 KiB is refused before it is verified", async (t) => {
    const auth = { token: mint(), padding: "x".repeat(16 * KIB) };
    const outcome = await refusedUnverified(t, server, auth);
    assert.deepEqual(outcome, { ...nothing, code: "TOKEN_INVALID" });
  });

  test("a token of more than 8 KiB is refused, however good its signature", async (t) => {
    const token = mint({ padding: "x".repeat(7 * KIB) });
    assert.ok(token.length > 8 * KIB);
    const { code } = await refused(scope(t).client(server, { auth: { token } }));
    assert.equal(code, "TOKEN_INVALID");
  });

  ours("a connect payload nested deeper than 32 never connects", async () => {
    const socket = await openWebSocket(server);
    const deep = "[".repeat(33) + "]".repeat(33);
    socket.send(`40{"token":"${mint()}","deep":${deep}}`);
    assert.match(await socket.next(), /^44\{"message":"Unauthorized"|^closed$/);
    socket.ws.terminate();
  });
});

describe("an authenticator that fails", () => {
  let impatient;
  before(async () => (impatient = await startAuth("--verify-timeout", "300")));
  after(() => impatient?.stop());

  for (const [name, verify] of [["panics", "panic"], ["never answers", "hang"]]) {
    test(`refuses when it ${name}, and the server goes on`, async (t) => {
      const peers = scope(t);
      for (const transport of Object.keys(TRANSPORTS)) {
        const auth = { token: mint(), verify };
        assert.deepEqual(await refused(peers.client(impatient, { auth, transport })), {
          message: "Unauthorized",
          code: "AUTH_UNAVAILABLE",
          active: false,
          seen: [],
        });
      }
      await peers.connected(impatient);
      assert.equal(impatient.isRunning(), true);
    });
  }

  test("a verification that takes its time admits in the end", async (t) => {
    const auth = { token: mint(), verify: { wait: 150 } };
    const socket = await scope(t).connected(impatient, { auth });
    assert.equal((await ask(socket, "whoami")).username, "alice");
  });

  test("a client that leaves while it is verified leaves nothing behind", async (t) => {
    const peers = scope(t);
    const watcher = await peers.watcher(impatient);
    const before = await settled(watcher);
    const socket = await openWebSocket(impatient);
    socket.send(`40{"token":"${mint()}","verify":{"wait":100}}`);
    const verifying = ({ verified }) => verified > before.verified;
    await eventually(() => ask(watcher, "counters"), verifying, "the verification begins");
    socket.ws.terminate();
    const patient = { auth: { token: mint(), verify: { wait: 150 } } };
    await peers.connected(impatient, patient);
    const { connected, disconnected } = await ask(watcher, "counters");
    assert.deepEqual([connected, disconnected], [before.connected + 1, before.disconnected]);
  });
});

test("the answer of a refused handshake gives no identity away over plain HTTP", async () => {
  const { status, body } = await http(server, "/socket.io/?EIO=4&transport=polling&sid=guess");
  assert.deepEqual([status, body], [400, '{"code":1,"message":"Session ID unknown"}']);
});
