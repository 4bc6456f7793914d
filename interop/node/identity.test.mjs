// The life of an identity as a stock client sees it: expiry, refresh, and what it does then.
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { ask, mint, refused, scope } from "./support/client.mjs";
import { next, quiet } from "./support/bounded.mjs";
import { ours, startAuth } from "./support/server.mjs";

const now = () => Math.floor(Date.now() / 1000);
const short = (seconds, claims = {}) => mint({ exp: now() + seconds, ...claims });
const TRANSPORTS = ["polling", "websocket", "upgrade"];

describe("a connection whose token expires", () => {
  let closing, disconnecting;
  before(async () => {
    closing = await startAuth();
    disconnecting = await startAuth("--expiry-disconnects");
  });
  after(() => Promise.all([closing?.stop(), disconnecting?.stop()]));

  for (const transport of TRANSPORTS) {
    ours(`comes back by itself with a fresh token (${transport})`, async (t) => {
      let asked = 0;
      const auth = (give) => give({ token: asked++ === 0 ? short(1) : mint() });
      const socket = await scope(t).connected(closing, { auth, transport });
      const first = socket.id;
      const expired = next(socket, "auth:expired", 10_000);
      const left = next(socket, "disconnect", 10_000);
      const back = left.then(() => next(socket, "connect", 10_000));
      assert.equal(typeof (await expired)[0].exp, "number");
      assert.equal((await left)[0], "transport close");
      await back;
      assert.notEqual(socket.id, first);
      assert.equal(asked, 2);
    });

    ours(`is refused with the old one, and stays away (${transport})`, async (t) => {
      const socket = await scope(t).connected(closing, { auth: { token: short(1) }, transport });
      await next(socket, "disconnect", 10_000);
      const [error] = await next(socket, "connect_error", 10_000);
      assert.equal(error.message, "Unauthorized");
      assert.equal(error.data.code, "TOKEN_EXPIRED");
      assert.equal(socket.active, false);
    });

    ours(`may be told so by a DISCONNECT, and stays away (${transport})`, async (t) => {
      const auth = { token: short(1) };
      const socket = await scope(t).connected(disconnecting, { auth, transport });
      const expired = next(socket, "auth:expired", 10_000);
      const [reason] = await next(socket, "disconnect", 10_000);
      await expired;
      assert.equal(reason, "io server disconnect");
      assert.equal(socket.active, false);
    });
  }
});

describe("a connection that refreshes", () => {
  let server;
  before(async () => {
    server = await startAuth("--expiry", "notify", "--expiry-ms", "60000");
  });
  after(() => server?.stop());

  for (const transport of TRANSPORTS) {
    ours(`goes on as who it is now (${transport})`, async (t) => {
      const clients = scope(t);
      const auth = { token: short(2, { username: "before" }) };
      const socket = clients.client(server, { auth, transport });
      const warned = next(socket, "auth:expiring");
      socket.connect();
      assert.equal(typeof (await warned)[0].exp, "number");
      const exp = now() + 600;
      const answer = await ask(socket, "auth:refresh", mint({ exp, username: "after" }));
      assert.deepEqual(answer, { status: "ok", exp });
      assert.match(JSON.stringify(await ask(socket, "whoami")), /after/);
      let ended = false;
      socket.on("disconnect", () => (ended = true));
      await quiet(8_500);
      assert.equal(ended, false);
    });
  }

  ours("is refused as somebody else, and keeps what it has", async (t) => {
    const socket = await scope(t).connected(server);
    const answer = await ask(socket, "auth:refresh", mint({ sub: "43" }));
    assert.deepEqual(answer, { status: "error", code: "TOKEN_CLAIMS", message: "Unauthorized" });
    assert.match(JSON.stringify(await ask(socket, "whoami")), /alice/);
  });

  ours("is one subject over all its namespaces", async (t) => {
    const clients = scope(t);
    const socket = await clients.connected(server, { forceNew: false });
    const other = socket.io.socket("/admin", { auth: { token: mint({ sub: "43" }) } });
    const { code } = await refused(other);
    assert.equal(code, "TOKEN_CLAIMS");
  });
});
