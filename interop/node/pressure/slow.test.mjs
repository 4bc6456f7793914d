// Clients that stop reading, among others that go on: they leave, and nobody else notices.
//
// With INTEROP_LONG=1 a crowd of 5,000 is told 16 kB five times a second, and 1,000 of it stop:
// what the kernel holds for them, and then their outboxes, are full within a minute. Otherwise
// there are 40, of which 8 stop, and it is said so often that it takes a few seconds. Nobody must
// say pong to be kept: whoever is closed is closed for what it does not read.
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { ask } from "../support/client.mjs";
import { startHealthy } from "../support/healthy.mjs";
import { usage, watchMemory } from "../support/helper.mjs";
import { isLong, ours, startAlone, stayAside } from "../support/server.mjs";

const CROWD = isLong ? 5_000 : 40;
const STOPPED = isLong ? 1_000 : 8;
const ROOM = "crowd";
const SAID_A_SECOND = isLong ? 5 : 200;
const SAID_BYTES = 16_000;
const PEACE_MS = isLong ? 5_000 : 1_000;
const STALL_MS = isLong ? 50_000 : 5_000;
/** What may wait for one client, in kB: the default of a server. */
const OUTBOX_KB = 1024;
const MAX_RATIO = 2;

describe("clients that stop reading", { timeout: 240_000 }, () => {
  let server;
  let healthy;
  let crowd;
  let prober;
  let watcher;
  before(async () => {
    stayAside();
    server = await startAlone("auth", "--ping-timeout", "300000");
    healthy = await startHealthy(server, {
      size: CROWD,
      room: ROOM,
      aSecond: SAID_A_SECOND,
      bytes: SAID_BYTES,
    });
    ({ crowd, prober, watcher } = healthy);
    await measured(2_000);
  });
  after(async () => {
    healthy?.stop();
    await server?.stop();
  });

  async function measured(ms) {
    await crowd.ask("attend");
    const asks = await prober.ask(`measure ${ms}`, ms + 30_000);
    const deliveries = await crowd.ask(`heard ${asks.said}`);
    return { asks, deliveries };
  }

  ours("are closed, all of them, and the others get everything as before", async (t) => {
    const peace = await measured(PEACE_MS);
    const before = await usage(server.pid);
    const watch = watchMemory(server.pid);
    await crowd.ask(`stop ${STOPPED}`);
    const stall = await measured(STALL_MS);
    const growth = watch.stop() - before.memory;
    const { files } = await usage(server.pid);
    const { reasons } = await ask(watcher, "counters");
    const { ended } = await crowd.ask("ended");
    const times = (what) => `${peace[what].p99.toFixed(2)} → ${stall[what].p99.toFixed(2)} ms`;
    t.diagnostic(
      `${STOPPED} of ${CROWD} stop; p99 of asks ${times("asks")}, of deliveries ` +
        `${times("deliveries")}; memory ${(growth / 1024).toFixed(1)} MB more`,
    );
    assert.deepEqual(reasons, { "slow consumer": STOPPED }, "whoever stopped was closed for it");
    assert.equal(ended, STOPPED, "and has seen it");
    assert.equal(files, before.files - STOPPED, "and has given its descriptor back");
    assert.equal(stall.deliveries.open, CROWD - STOPPED, "nobody else was");
    assert.equal(stall.deliveries.missing, 0, "all others heard everything");
    assert.equal(stall.deliveries.faults, 0, "once, and in order");
    assert.ok(growth < STOPPED * OUTBOX_KB + 16 * 1024, `${growth} kB`);
    const { p99 } = stall.deliveries;
    if (isLong) assert.ok(p99 <= MAX_RATIO * peace.deliveries.p99, times("deliveries"));
  });
});
