// What the usual recipe gets wrong (SECURITY.md): every row is asked of the recipe, which must
// fail, and of ours, which must not.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { after, before, describe } from "node:test";
import { promisify } from "node:util";
import { createAdapter } from "@socket.io/redis-adapter";
import { Redis } from "ioredis";
import { Server } from "socket.io";
import { eventually, next, quiet, within } from "./support/bounded.mjs";
import { ask, mint, refused, scope } from "./support/client.mjs";
import { openWebSocket, PATH, refusedUpgrade } from "./support/raw.mjs";
import { startRedis } from "./support/redis.mjs";
import { ours, portcullis, SECRET, start, startAuth } from "./support/server.mjs";

const run = promisify(execFile);
const RECIPE = fileURLToPath(new URL("oracle/recipe.mjs", import.meta.url));
const now = () => Math.floor(Date.now() / 1000);
const startRecipe = (...options) => start(RECIPE, ["--jwt-secret", SECRET, ...options]);

let redis, alone, clustered;
before(async () => {
  redis = await startRedis();
  alone = { ours: await startAuth("--redis", redis.url), recipe: await startRecipe() };
  clustered = { ours: alone.ours, recipe: await startRecipe("--redis", redis.url) };
});
after(async () => {
  const servers = new Set([alone, clustered].flatMap((both = {}) => Object.values(both)));
  await Promise.all([...servers].map((server) => server.stop()));
  await redis?.remove();
});

/** Registers a row: whether `isSafe` is what tells ours from the recipe. */
function headline(name, isSafe, servers = () => alone) {
  ours(name, async (t) => {
    const both = servers();
    const [safe, recipe] = await Promise.all([
      isSafe(both.ours, t, "ours"),
      isSafe(both.recipe, t, "recipe"),
    ]);
    assert.deepEqual({ ours: safe, recipe }, { ours: true, recipe: false });
  });
}

describe("headlines", () => {
  headline("an event right behind a bad CONNECT is never handled", async (server, t, which) => {
    const socket = await openWebSocket(server);
    const at = which === "ours" ? "" : "/hook,";
    const connect = `40${at}{"token":"bad"}`;
    const event = `42${at}7["echo","an event ahead of the verdict"]`;
    // Node ends who sends it in the same segment, and admits who waits for its reply.
    socket.send(...(which === "ours" ? [connect, event] : [connect]));
    const packets = [];
    for (let packet = ""; packet !== "closed" && !packet.startsWith("44"); ) {
      packet = await socket.next();
      packets.push(packet);
      if (packet.startsWith("40")) socket.send(event);
    }
    socket.ws.terminate();
    return !packets.some((packet) => packet.startsWith(`43${at}7`));
  });

  headline("a namespace of which nothing was said is guarded", async (server, t) => {
    const socket = scope(t).client(server, { auth: {}, namespace: "/admin" });
    const refusal = next(socket, "connect_error").then(() => true);
    const connect = next(socket, "connect").then(() => false);
    socket.connect();
    return within(Promise.any([refusal, connect]), 6_000, "a verdict");
  });

  headline(
    "no token or cookie of a handshake is ever on Redis",
    async (server, t, which) => {
      const token = mint({ jti: `a token for ${which}` });
      const cookie = `session=a cookie for ${which}`;
      const options = { auth: { token }, extraHeaders: { cookie } };
      const socket = await scope(t).connected(server, options);
      const eavesdropper = new Redis(redis.url);
      const clients = [new Redis(redis.url), new Redis(redis.url)];
      const http = createServer();
      const io = new Server(http, { adapter: createAdapter(...clients) });
      t.after(() => {
        for (const client of [eavesdropper, ...clients]) client.disconnect();
        http.close();
      });
      const heard = [];
      await eavesdropper.psubscribe("*");
      eavesdropper.on("pmessageBuffer", (_, __, message) => heard.push(message.toString()));
      const fetched = await eventually(
        () => io.fetchSockets(),
        (sockets) => sockets.some(({ id }) => id === socket.id),
        "the socket is fetched by another node",
      );
      const { handshake } = fetched.find(({ id }) => id === socket.id);
      const told = heard.join() + JSON.stringify(handshake);
      return !told.includes(token) && !told.includes(cookie);
    },
    () => clustered,
  );

  headline("a connection ends when its token does", async (server, t) => {
    const token = mint({ exp: now() + 2 });
    const socket = await scope(t).connected(server, { auth: { token }, reconnection: false });
    let isOver = false;
    socket.on("disconnect", () => (isOver = true));
    await quiet(10_000);
    return isOver;
  });

  headline(
    "a malformed message on Redis ends nobody's process",
    async (server, t) => {
      const publisher = new Redis(redis.url);
      t.after(() => publisher.disconnect());
      const clients = scope(t);
      const socket = await clients.connected(server).catch(async (error) => {
        // What is published for the other server reaches this one, too, and may be faster.
        await quiet(500);
        if (server.isRunning()) throw error;
      });
      if (socket === undefined) return false;
      for (const junk of ["junk", "\xc1", "\x93\xc0\xc0\xc0", "{"]) {
        await publisher.publish("socket.io#/#", Buffer.from(junk, "latin1"));
        await publisher.publish("socket.io-request#/#", junk);
      }
      await quiet(500);
      return server.isRunning() && (await ask(socket, "echo", "alive")) === "alive";
    },
    () => clustered,
  );

  headline("a page of another origin gets no WebSocket", async (server) => {
    const evil = { origin: "https://evil.example", cookie: "session=a visitor's" };
    const upgrade = refusedUpgrade(server, `${PATH}&transport=websocket`, evil);
    return upgrade.then(
      ({ status }) => status === 403,
      () => false,
    );
  });

  headline("who is blocked in a gap is asked again when back", async (server, t, which) => {
    const clients = scope(t);
    const token = mint({ jti: "blocked in between", sub: "blocked" });
    const socket = clients.client(server, { auth: { token }, reconnectionDelay: 300 });
    if (which === "recipe") {
      const welcome = next(socket, "welcome");
      socket.connect();
      await welcome;
    } else {
      socket.connect();
      await next(socket, "connect");
    }
    const back = next(socket, "disconnect").then(() =>
      Promise.any([
        next(socket, "connect", 10_000).then(() => false),
        next(socket, "connect_error", 10_000).then(() => true),
      ]),
    );
    socket.io.engine.close();
    if (which === "recipe") {
      const other = await clients.connected(server);
      await ask(other, "block", "blocked");
      const anew = await refused(clients.client(server, { auth: { token } }));
      assert.equal(anew.message, "Unauthorized", "the recipe does block");
    } else {
      await run(portcullis, ["revoke", "--redis", redis.url, "--jti", "blocked in between"]);
    }
    return back;
  });

  headline("a refusal says whether a fresh token would help", async (server, t) => {
    const codes = [];
    for (const token of [mint({ exp: now() - 60 }), "no token at all"]) {
      codes.push((await refused(scope(t).client(server, { auth: { token } }))).code);
    }
    return codes[0] === "TOKEN_EXPIRED" && codes[1] === "TOKEN_INVALID";
  });

  headline("a token of another scheme is no bearer token", async (server, t) => {
    for (const scheme of ["Basic", "Foo"]) {
      const extraHeaders = { authorization: `${scheme} ${mint()}` };
      const socket = scope(t).client(server, { auth: {}, extraHeaders, reconnection: false });
      const refusal = next(socket, "connect_error").then(() => true);
      const connect = next(socket, "connect").then(() => false);
      socket.connect();
      if (!(await Promise.any([refusal, connect]))) return false;
    }
    return true;
  });
});
