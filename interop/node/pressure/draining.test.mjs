// Nodes are replaced one after the other, and stock clients go on: nobody misses anything.
//
//   clients ─▶ balancer ─▶ a, b       SIGTERM to a: unready ─▶ transports close at a pace
//                     ╰──▶ b ◀────────────── and come back to who is ready
//
// INTEROP_LONG=1 does so with three nodes and 3,000 clients, five times.
import assert from "node:assert/strict";
import { after, describe } from "node:test";
import { peak, startBalancer } from "../support/balancer.mjs";
import { eventually, next, quiet, within } from "../support/bounded.mjs";
import { client, mint } from "../support/client.mjs";
import { freePort } from "../support/ports.mjs";
import { isLong, ours, startBusyAuth } from "../support/server.mjs";

const NODES = isLong ? 3 : 2;
const CLIENTS = isLong ? 3_000 : 600;
const ROUNDS = isLong ? 5 : 1;
const WINDOW_MS = isLong ? 10_000 : 6_000;
const PRE_DRAIN_MS = 1_000;
/** A server lets so many go in a second, however few they are. */
const LEAST_A_SECOND = 100;
const EMIT_EVERY_MS = isLong ? 3_000 : 1_000;
/** How long clients may take to come back, from the signal on. */
const RETURN_MS = 30_000;

/** A client that says a number every so often, and wants each of them acked. */
class Speaker {
  said = 0;
  acked = 0;
  wrong = 0;
  reasons = [];

  constructor(balancer, index) {
    this.socket = client(balancer, {
      ackTimeout: 4_000,
      auth: { token },
      reconnectionDelay: 1_000,
      reconnectionDelayMax: 5_000,
      retries: 20,
      timeout: 20_000,
      transport: index % 10 === 0 ? "polling" : "websocket",
    });
    this.socket.on("disconnect", (reason) => this.reasons.push(reason));
  }

  start(index) {
    const speak = () => {
      const number = ++this.said;
      this.socket.emit("echo", number, (error, answer) => {
        if (error === null && answer === number) this.acked += 1;
        else this.wrong += 1;
      });
    };
    const begin = (index * 37) % EMIT_EVERY_MS;
    setTimeout(() => (this.talking = setInterval(speak, EMIT_EVERY_MS)), begin).unref();
  }

  stop() {
    clearInterval(this.talking);
  }
}

const token = mint();

describe("a rolling restart", { timeout: 600_000 }, () => {
  let balancer;
  const nodes = [];
  after(async () => {
    balancer?.stop();
    await Promise.all(nodes.map((node) => node.server.signal("SIGKILL")));
  });

  const begin = async (node) => {
    node.server = await startBusyAuth(
      node.port,
      ...["--management", String(node.management), "--pre-drain", String(PRE_DRAIN_MS)],
      ...["--drain-window", String(WINDOW_MS)],
    );
  };

  ours(`brings ${CLIENTS} clients back in time, at a pace, without a loss`, async (t) => {
    for (let index = 0; index < NODES; index += 1) {
      const node = { management: await freePort(), port: await freePort() };
      nodes.push(node);
      await begin(node);
    }
    balancer = await startBalancer(nodes);
    const speakers = Array.from({ length: CLIENTS }, (_, index) => new Speaker(balancer, index));
    for (let index = 0; index < CLIENTS; index += 50) {
      const some = speakers.slice(index, index + 50);
      const joined = some.map(({ socket }) => next(socket, "connect", 30_000));
      for (const { socket } of some) socket.connect();
      await Promise.all(joined);
    }
    speakers.forEach((speaker, index) => speaker.start(index));
    await quiet(2_000);

    for (let round = 0; round < ROUNDS; round += 1) {
      for (const node of nodes) {
        await replace(t, node, speakers);
      }
    }

    for (const speaker of speakers) speaker.stop();
    const all = (speakers) => speakers.every(({ said, acked, wrong }) => acked + wrong === said);
    await eventually(() => speakers, all, "every message has an end", 60_000);
    const said = speakers.reduce((sum, speaker) => sum + speaker.said, 0);
    const lost = speakers.filter(({ said, acked }) => said !== acked);
    const reasons = new Set(speakers.flatMap((speaker) => speaker.reasons));
    t.diagnostic(`${said} messages, ${lost.length} clients with a loss, ended by ${[...reasons]}`);
    assert.equal(lost.length, 0, "every message was acked");
    assert.ok(!reasons.has("io server disconnect"), "nobody was told to stay away");
    for (const { socket } of speakers) socket.disconnect();
  });

  /** Stops a node, waits until its clients are elsewhere, and starts another in its place. */
  async function replace(t, node, speakers) {
    await eventually(() => balancer.ready.size, (size) => size === NODES, "all are ready", 10_000);
    const before = speakers.map(({ reasons }) => reasons.length);
    const moved = () => speakers.filter(({ reasons }, index) => reasons.length > before[index]);
    const began = Date.now();
    node.server.signal("SIGTERM");
    const [code] = await within(node.server.closed, RETURN_MS + 5_000, "the node to end");
    assert.equal(code, 0, "it ends in good order");
    const isBack = () => speakers.every(({ socket }) => socket.connected);
    await eventually(isBack, Boolean, "every client is back", RETURN_MS);
    const took = Date.now() - began;
    assert.ok(took <= RETURN_MS, `${took} ms`);

    const others = nodes.filter((other) => other !== node);
    const times = others.flatMap((other) => balancer.handshakes.get(other));
    const most = peak(times.filter((time) => time > began));
    const plan = Math.max(moved().length / (WINDOW_MS / 1_000), LEAST_A_SECOND);
    t.diagnostic(
      `${moved().length} clients moved in ${took} ms; planned ${plan.toFixed(0)} a second, ` +
        `at most ${most} handshakes in any second`,
    );
    assert.ok(most <= 1.5 * plan, `${most} of ${plan}`);
    await begin(node);
  }
});
