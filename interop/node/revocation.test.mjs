// Revocation with stock clients, on three nodes over Redis: restarted empty, and a node asleep.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, describe } from "node:test";
import { promisify } from "node:util";
import { WebSocket } from "ws";
import { next, quiet, within } from "./support/bounded.mjs";
import { mint, refused, scope } from "./support/client.mjs";
import { startRedis } from "./support/redis.mjs";
import { ours, portcullis, startAuth } from "./support/server.mjs";

/** How many tries with revoked tokens there are, most of them by raw sockets, which are cheaper. */
const TRIES = 10_000;
const STOCK_TRIES = 300;

const run = promisify(execFile);

/** One try by hand: what the server says to a CONNECT with this token. */
function rawTry(node, token) {
  const answer = new Promise((done) => {
    const path = "/socket.io/?EIO=4&transport=websocket";
    const socket = new WebSocket(`ws://127.0.0.1:${node.port}${path}`);
    socket.on("error", () => done("unreachable"));
    socket.on("close", () => done("closed"));
    socket.on("message", (data) => {
      const packet = data.toString();
      if (packet.startsWith("0")) socket.send(`40${JSON.stringify({ token })}`);
      else if (packet.startsWith("4")) {
        done(packet.startsWith("40") ? "admitted" : JSON.parse(packet.slice(2)).data.code);
        socket.close();
      }
    });
  });
  return within(answer, 15_000, "the answer to a CONNECT");
}

describe("what is revoked", () => {
  let redis, url;
  const nodes = [];
  before(async () => {
    redis = await startRedis();
    url = redis.url;
    for (let number = 0; number < 3; number += 1) nodes.push(await startAuth("--redis", url));
  });
  after(async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    await redis?.remove();
  });

  const revoke = (...args) => run(portcullis, ["revoke", "--redis", url, ...args]);

  for (const [what, claims, args] of [
    ["a token", { jti: "t-1" }, ["--jti", "t-1"]],
    ["a login", { sid: "s-1" }, ["--sid", "s-1"]],
    ["a user", { sub: "mallory" }, ["--sub", "mallory"]],
  ]) {
    ours(`${what} ends on every node, and does not come back`, async (t) => {
      const clients = scope(t);
      const token = mint(claims);
      const transports = ["websocket", "polling", "upgrade"];
      const sockets = await Promise.all(
        nodes.map((node, number) =>
          clients.connected(node, { auth: { token }, transport: transports[number] }),
        ),
      );
      const bystander = await clients.connected(nodes[1], { auth: { token: mint({ jti: "ok" }) } });
      if (what === "a user") await quiet(1_100);
      const told = sockets.map((socket) => next(socket, "auth:revoked"));
      const ended = sockets.map((socket) => next(socket, "disconnect"));
      await revoke(...args);
      for (const [data] of await Promise.all(told)) {
        assert.deepEqual(data, { code: "TOKEN_REVOKED" });
      }
      for (const [reason] of await Promise.all(ended)) assert.equal(reason, "io server disconnect");
      for (const socket of sockets) assert.equal(socket.active, false);
      for (const node of nodes) {
        const { code } = await refused(clients.client(node, { auth: { token } }));
        assert.equal(code, "TOKEN_REVOKED");
      }
      assert.equal(bystander.connected, true);
    });
  }

  ours(`is admitted in none of ${TRIES} tries, whatever becomes of Redis and nodes`, async (t) => {
    const clients = scope(t);
    const outcomes = {};
    let tried = 0;
    const revoked = [];
    const attempt = async (token, only = nodes) => {
      const node = only[tried % only.length];
      tried += 1;
      let outcome;
      if (tried % Math.floor(TRIES / STOCK_TRIES) === 0) {
        const { code, seen } = await refused(clients.client(node, { auth: { token } }));
        outcome = seen.length > 0 ? "admitted" : code;
      } else {
        outcome = await rawTry(node, token);
      }
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    };
    const attempts = async (count, only) => {
      for (let done = 0; done < count; done += 20) {
        const token = () => revoked[tried % revoked.length];
        await Promise.all(Array.from({ length: 20 }, () => attempt(token(), only)));
      }
    };
    const take = async (id) => {
      await revoke("--jti", id);
      revoked.push(mint({ jti: id }));
    };

    await take("r-1");
    await attempts(2_000);

    // A node sleeps through a revocation, and is asked the moment it wakes.
    for (let nap = 0; nap < 3; nap += 1) {
      nodes[2].signal("SIGSTOP");
      await quiet(1_500);
      await take(`asleep-${nap}`);
      await quiet(500);
      const first = revoked.at(-1);
      const waiting = Array.from({ length: 100 }, () => attempt(first, [nodes[2]]));
      nodes[2].signal("SIGCONT");
      await Promise.all(waiting);
    }

    // Redis goes, and comes back with nothing.
    await redis.kill();
    const away = attempts(60);
    await quiet(1_000);
    await redis.restart();
    await away;
    await attempts(500);
    await take("r-2");

    // A node that starts now has nothing but what the others wrote back.
    nodes.push(await startAuth("--redis", url));
    await attempts(1_000, [nodes[3]]);
    await attempts(TRIES - tried);
    t.diagnostic(JSON.stringify(outcomes));
    assert.equal(outcomes.admitted ?? 0, 0);
    assert.equal(tried >= TRIES, true);
    assert.equal((outcomes.TOKEN_REVOKED ?? 0) > TRIES * 0.9, true);
    await clients.connected(nodes[3], { auth: { token: mint({ jti: "good" }) } });
  });

});
