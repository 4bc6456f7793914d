// What is seen of a whole process: ports, shutdown, and what does not start.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { io } from "socket.io-client";
import { eventually, next, within } from "../node/support/bounded.mjs";
import { runOurs, startNest, startOurs } from "./support/servers.mjs";

const CLIENT = { forceNew: true, reconnection: false, transports: ["websocket"] };
const connect = (url, auth = {}) => io(url, { ...CLIENT, auth });

const SERVERS = [
  { name: "NestJS", start: startNest, waitsForHooks: false, survives: false },
  { name: "ours", start: startOurs, waitsForHooks: true, survives: true },
];

/** How long the connection hook of `/hook` takes when it is told to wait. */
const HOOK_MS = 200;

for (const { name, start, waitsForHooks, survives } of SERVERS) {
  describe(`${name}:`, () => {
    let server;
    before(async () => {
      server = await start();
    });
    after(() => server.stop());

    test("a gateway on a port of its own is another server", async () => {
      const own = connect(server.second.url);
      const main = connect(server.url);
      try {
        const pop = next(own, "pop");
        own.emit("push", { test: "test" });
        assert.deepEqual(await pop, [{ test: "test" }]);
        // The gateway of the first port has an event that this one has not.
        own.emit("ping-pong", () => assert.fail("the gateway of the other port answered"));
        assert.equal(await main.timeout(5_000).emitWithAck("ping-pong"), "pong");
      } finally {
        own.disconnect();
        main.disconnect();
      }
    });

    const ends = survives
      ? "an error of a connection hook is no error of the process"
      : "an error of a connection hook ends the process, unless somebody catches it there";
    test(ends, async () => {
      const hooks = ["throws", "rejects"].map((hook) =>
        connect(`${server.url}/hook`, { hook }),
      );
      try {
        const events = survives ? "connect_error" : "connect";
        await Promise.all(hooks.map((socket) => next(socket, events)));
        const UNCAUGHT = ["uncaught exception", "unhandled rejection"];
        const seen = () => UNCAUGHT.filter((what) => server.log().includes(what));
        if (survives) assert.deepEqual(seen(), []);
        else await eventually(seen, ({ length }) => length === 2, "two errors were nobody's");
      } finally {
        for (const socket of hooks) socket.disconnect();
      }
    });

    const connects = waitsForHooks ? "after its connection hook is done" : "before";
    test(`a client hears that it is connected ${connects}`, async () => {
      // Neither the manager nor the session is part of the time.
      const plain = connect(`${server.url}/fence`);
      await next(plain, "connect");
      const start = performance.now();
      const socket = plain.io.socket("/hook", { auth: { hook: "waits" } });
      try {
        await next(socket, "connect");
        const took = performance.now() - start;
        const isReady = await socket.timeout(5_000).emitWithAck("is-ready");
        assert.equal(isReady, waitsForHooks);
        // Timers may be early by a millisecond.
        if (waitsForHooks) assert.ok(took >= HOOK_MS - 1, `${took} ms`);
      } finally {
        plain.disconnect();
        socket.disconnect();
      }
    });

    const waits = waitsForHooks ? "waits for" : "does not wait for";
    test(`shutdown closes the transport, and ${waits} the disconnect hooks`, async () => {
      const leaving = await start();
      const socket = connect(`${leaving.url}/farewell`);
      await next(socket, "connect");
      const gone = next(socket, "disconnect");
      await leaving.stop();
      const [reason] = await within(gone, 5_000, "the end of the connection");
      assert.equal(reason, "transport close");
      assert.match(leaving.log(), /farewell begins: server shutting down/);
      assert.equal(leaving.log().includes("farewell is done"), waitsForHooks);
    });
  });
}

test("ours: two gateways of a namespace that handle one event do not start", async () => {
  const { code, stderr } = await runOurs("--handle-twice");
  assert.notEqual(code, 0);
  assert.match(stderr, /"both"/);
  assert.match(stderr, /\/shared/);
});
