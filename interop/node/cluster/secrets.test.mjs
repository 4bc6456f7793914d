// What a cluster says to its Redis, every command of it: what was broadcast, and no secret.
//
//   client ─▶ node ─▶ Redis ──▶ MONITOR: tokens? cookies? session ids? what was said to one node?
//   client ─▶ node ─▶   ▲
//                       ╰── a node of Node, which asks all others for their sockets
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { after, before, describe } from "node:test";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";
import { eventually, next } from "../support/bounded.mjs";
import { ask, mint, refused, scope } from "../support/client.mjs";
import { assertUnsaid, learn } from "../support/secrets.mjs";
import { ours, startAuth } from "../support/server.mjs";
import { startRedis } from "./support/redis.mjs";

const COOKIE = learn("session=a-cookie-that-nobody-else-may-see");
const PARAMETER = learn("a-parameter-that-nobody-else-may-see");

/** Everything that a Redis is told from now on. */
async function monitor({ port }) {
  const socket = connect(port, "127.0.0.1");
  const heard = { text: "", stop: () => socket.destroy() };
  socket.on("data", (data) => (heard.text += data.toString().replaceAll('\\"', '"')));
  socket.write("MONITOR\r\n");
  await once(socket, "data");
  return heard;
}

/** A node of Node's in this process, which nobody connects to. */
async function startPeer(url) {
  const clients = [createClient({ url }), createClient({ url })];
  await Promise.all(clients.map((client) => client.connect()));
  const io = new Server();
  io.adapter(createAdapter(...clients));
  return { io, stop: () => clients.forEach((client) => client.destroy()) };
}

describe("what a cluster tells its Redis", () => {
  let heard, nodes, peer, redis;
  before(async () => {
    redis = await startRedis();
    heard = await monitor(redis);
    nodes = [await startAuth("--redis", redis.url), await startAuth("--redis", redis.url)];
    peer = await startPeer(redis.url);
  });
  after(async () => {
    peer?.stop();
    await Promise.all((nodes ?? []).map((node) => node.stop()));
    heard?.stop();
    await redis?.stop();
  });

  ours("holds no token, cookie, session id, or word that was meant for one node", async (t) => {
    const clients = scope(t);
    const headers = { cookie: COOKIE };
    const sockets = [];
    for (const node of nodes) {
      for (const transport of ["polling", "websocket", "upgrade"]) {
        const options = { extraHeaders: headers, query: { token: PARAMETER }, transport };
        sockets.push(await clients.connected(node, options));
        const extraHeaders = { ...headers, authorization: `Bearer ${mint()}` };
        sockets.push(await clients.connected(node, { ...options, auth: {}, extraHeaders }));
      }
      const forged = mint({}, {}, "another secret, as long");
      const bad = clients.client(node, { auth: { token: forged } });
      assert.equal((await refused(bad)).message, "Unauthorized");
    }
    for (const [index, socket] of sockets.entries()) {
      learn(socket.io.engine.id);
      await ask(socket, "join", "room");
      const word = `a word to the node alone, ${index}`;
      assert.equal(await ask(socket, "echo", word), word);
    }
    const last = sockets.at(-1);
    const said = next(last, "said");
    await ask(sockets[0], "say", "room", "a word to everybody");
    await said;

    const fetched = await peer.io.fetchSockets();
    assert.equal(fetched.length, sockets.length, "the peer is told of everybody");
    assertUnsaid(JSON.stringify(fetched.map(({ handshake }) => handshake)), "a fetched handshake");
    for (const socket of sockets) socket.disconnect();
    const gone = async () => (await peer.io.fetchSockets()).length;
    await eventually(gone, (count) => count === 0, "everybody has left");

    assert.ok(heard.text.includes("a word to everybody"), "what is broadcast is heard");
    assertUnsaid(heard.text, "what Redis was told");
  });
});
