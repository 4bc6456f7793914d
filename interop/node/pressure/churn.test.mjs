// Clients that come, join a room, say something, leave and go, for a long time: nothing is left.
//
// With INTEROP_LONG=1 for six minutes beside 500 that stay; otherwise for five seconds beside 50.
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { eventually, quiet } from "../support/bounded.mjs";
import { ask, client, connected } from "../support/client.mjs";
import { usage } from "../support/helper.mjs";
import { isLong, ours, startBusyAuth } from "../support/server.mjs";

const STAYING = isLong ? 500 : 50;
const CHURN_MS = isLong ? 360_000 : 5_000;
const COME_EVERY_MS = 20;
const STAY_MS = 1_000;
const SAMPLE_MS = isLong ? 5_000 : 500;
/** What memory may be at the end, in parts of what it was at half time. */
const MAX_GROWTH = 1.1;

describe("coming and going", { timeout: CHURN_MS + 120_000 }, () => {
  let server;
  let staying = [];
  let watcher;
  before(async () => {
    server = await startBusyAuth(0);
    for (let index = 0; index < STAYING; index += 50) {
      const some = Array.from({ length: 50 }, () => connected(client(server)));
      staying = staying.concat(await Promise.all(some));
    }
    watcher = await connected(client(server, { auth: {}, namespace: "/open" }));
  });
  after(async () => {
    for (const socket of [...staying, watcher]) socket?.disconnect();
    await server?.stop();
  });

  const state = async () => {
    const { connected, disconnected } = await ask(watcher, "counters");
    return { ...(await usage(server.pid)), sockets: connected - disconnected };
  };

  /** One client's life. */
  async function live(index) {
    const transport = ["websocket", "polling", "upgrade"][index % 3];
    const socket = await connected(client(server, { reconnection: false, transport }));
    const room = `room-${index % 100}`;
    assert.deepEqual(await ask(socket, "join", room), [room]);
    assert.equal(await ask(socket, "say", room, `word ${index}`), "ok");
    await quiet(STAY_MS);
    assert.deepEqual(await ask(socket, "leave", room), []);
    socket.disconnect();
  }

  ours("leaves no socket, no descriptor and no memory behind", async (t) => {
    const before = await state();
    const memory = [];
    const lives = [];
    const look = async () => memory.push((await usage(server.pid)).memory);
    const sampling = setInterval(look, SAMPLE_MS);
    const end = Date.now() + CHURN_MS;
    for (let index = 0; Date.now() < end; index += 1) {
      lives.push(live(index));
      await quiet(COME_EVERY_MS);
    }
    await Promise.all(lives);
    clearInterval(sampling);
    const isLeft = ({ files, sockets }) => files <= before.files && sockets === before.sockets;
    const left = await eventually(state, isLeft, "all is as it was", 60_000);
    const half = memory.slice(memory.length / 2);
    const [middle, last] = [mean(half.slice(0, 5)), mean(half.slice(-5))];
    t.diagnostic(
      `${lives.length} came and went; ${left.sockets} sockets and ${left.files} descriptors as ` +
        `before; memory ${mb(before.memory)} MB before, ${mb(middle)} at half time, ` +
        `${mb(last)} at the end`,
    );
    if (isLong) assert.ok(last <= MAX_GROWTH * middle, `${last} kB after ${middle} kB`);
  });
});

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const mb = (kilobytes) => (kilobytes / 1024).toFixed(1);
