// Clients that stop reading, among others that go on: they leave, and nobody else notices.
//
// Everybody is told a thing 200 times a second. With INTEROP_LONG=1 it has 1 kB, for 60 s, to 300
// clients of which 60 stop: as many deliveries as two processors can make and count. Otherwise
// there are 40, of which 8 stop, and larger things, so that it takes a few seconds.
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { mint } from "../support/client.mjs";
import { Helper, usage, watchMemory } from "../support/helper.mjs";
import { isLong, ours, startAlone } from "../support/server.mjs";

const CLIENTS = isLong ? 300 : 40;
const STOPPED = isLong ? 60 : 8;
const BYTES = isLong ? 1_000 : 16_000;
const PEACE_MS = isLong ? 10_000 : 1_000;
const STALL_MS = isLong ? 60_000 : 5_000;
/** What may wait for one client, in kB: the default of a server. */
const OUTBOX_KB = 1024;
const MAX_RATIO = 2;

describe("clients that stop reading", { timeout: 240_000 }, () => {
  let server;
  let listeners;
  before(async () => {
    server = await startAlone("bench");
    listeners = new Helper("listeners", 1, server.port, mint(), CLIENTS, BYTES);
    await listeners.line();
    await listeners.ask("measure 2000");
  });
  after(async () => {
    listeners?.child.kill();
    await server?.stop();
  });

  ours("are closed, all of them, and the others get everything as before", async (t) => {
    const peace = await listeners.ask(`measure ${PEACE_MS}`);
    const before = await usage(server.pid);
    const watch = watchMemory(server.pid);
    await listeners.ask(`stop ${STOPPED}`);
    const stall = await listeners.ask(`measure ${STALL_MS}`, STALL_MS + 30_000);
    const growth = watch.stop() - before.memory;
    const { files } = await usage(server.pid);
    const { ended } = await listeners.ask("ended");
    t.diagnostic(
      `${stall.healthy} go on, ${STOPPED} stop; p99 ${peace.p99.toFixed(1)} ms before, ` +
        `${stall.p99.toFixed(1)} ms beside them; memory ${(growth / 1024).toFixed(1)} MB more`,
    );
    assert.equal(ended, STOPPED, "whoever stopped was closed");
    assert.equal(files, before.files - STOPPED, "and has given its descriptor back");
    assert.equal(stall.open, CLIENTS - STOPPED, "nobody else was");
    // What is on its way is the same for all but a few messages.
    assert.ok(stall.most - stall.least < 100 * (BYTES + 100), "everybody gets the same");
    assert.ok(growth < STOPPED * OUTBOX_KB + 16 * 1024, `${growth} kB`);
    if (isLong) assert.ok(stall.p99 <= MAX_RATIO * peace.p99, `${stall.p99} ms`);
  });
});
