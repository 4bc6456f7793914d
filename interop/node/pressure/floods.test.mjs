// Peers that flood or dawdle, while healthy clients go on: what these notice, and what is left.
//
//   processor 0   the server ◀──────┬─────── those who ask, and one who speaks     processor 1
//                     ▲             ╰─────── a crowd that listens
//                     ╰───── flood ───────── attackers
//
// The server has a load that it must bear anyway: a crowd is told something ten times a second,
// and twenty clients ask a thousand times. A figure is the 99th percentile of what these wait, in
// peace and beside attackers. Those have what the healthy clients leave of their processor: no
// machine with two of them can lend attackers one of their own.
//
// With INTEROP_LONG=1 the server is a release, the crowd has 5,000 heads, there are several blocks
// of peace and flood, and in the median a flood may cost a factor of two. Otherwise the crowd is
// small, there is one short block, and its figures are only printed.
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { eventually, quiet } from "../support/bounded.mjs";
import { ask, mint } from "../support/client.mjs";
import { median } from "../support/clock.mjs";
import { startHealthy } from "../support/healthy.mjs";
import { Helper, usage, watchMemory } from "../support/helper.mjs";
import { isLong, ours, startAlone, stayAside } from "../support/server.mjs";

const CROWD = isLong ? 5_000 : 300;
const ROOM = "crowd";
const SAID_A_SECOND = 10;
const SAID_BYTES = 16;
const BLOCKS = isLong ? 3 : 1;
const PEACE_MS = isLong ? 2_000 : 500;
const ATTACK_MS = isLong ? 2_000 : 1_000;
/** How long attackers go on before anybody looks: what is at first is not what stays. */
const SETTLE_MS = 500;
const MAX_GROWTH_KB = 200 * 1024;
/** What of a flood's memory may be kept for the next: by the allocator, in buffers of threads. */
const MAX_KEPT_KB = 24 * 1024;
const MAX_RATIO = 2;

const KINDS = [
  "pings",
  "pongs",
  "fragments",
  "empty fragments",
  "empty frames",
  "tiny packets",
  "CONNECT attempts",
  "coming and going",
  "dynamic namespaces",
  "slow headers",
  "slow bodies",
  "slow frames",
  "half-open upgrades",
  "requests that are not read",
];

describe("under attack", { timeout: 1_800_000 }, () => {
  let server;
  let healthy;
  let crowd;
  let prober;
  let watcher;
  before(async () => {
    stayAside();
    const short = ["--auth-timeout", "2000", "--event-rate", "100"];
    server = await startAlone("auth", ...short);
    healthy = await startHealthy(server, {
      size: CROWD,
      room: ROOM,
      aSecond: SAID_A_SECOND,
      bytes: SAID_BYTES,
    });
    ({ crowd, prober, watcher } = healthy);
    await measured(1_000);
  });
  after(async () => {
    healthy?.stop();
    await server?.stop();
  });

  /** What healthy clients see for a while; all of them are there, and nothing is lost. */
  async function measured(ms) {
    await crowd.ask("attend");
    const asks = await prober.ask(`measure ${ms}`);
    const deliveries = await crowd.ask(`heard ${asks.said}`);
    assert.equal(asks.missing, 0, "every healthy client was answered");
    assert.equal(asks.open, 20, "no healthy client was closed");
    assert.equal(deliveries.open, CROWD, "nobody in the crowd was closed");
    assert.equal(deliveries.missing, 0, "everybody in the crowd heard everything");
    assert.equal(deliveries.faults, 0, "once, and in order");
    return { asks: asks.p99, deliveries: deliveries.p99 };
  }

  /** The same beside attackers, with what they did. */
  async function attacked(kind) {
    const place = { isIdle: true, processor: 1 };
    const attackers = new Helper("attackers", place, kind, server.port, mint());
    await attackers.line();
    await quiet(SETTLE_MS);
    const seen = await measured(ATTACK_MS);
    return { ...seen, ...JSON.parse(await attackers.end()) };
  }

  const state = async () => {
    const { connected, disconnected } = await ask(watcher, "counters");
    return { ...(await usage(server.pid)), sockets: connected - disconnected };
  };

  for (const kind of KINDS) {
    ours(`healthy clients go on beside ${kind}, and nothing is left of them`, async (t) => {
      const before = await state();
      const blocks = [];
      const watch = watchMemory(server.pid);
      for (let block = 0; block < BLOCKS; block += 1) {
        blocks.push({ peace: await measured(PEACE_MS), flood: await attacked(kind) });
      }
      const growth = watch.stop() - before.memory;
      const asks = compared(blocks, "asks");
      const deliveries = compared(blocks, "deliveries");
      t.diagnostic(
        `p99 of asks ${asks.text}, of deliveries ${deliveries.text}; a second ` +
          `${rate(blocks, "bytes", 1e6)} MB, ${rate(blocks, "connections", 1)} connections, ` +
          `${rate(blocks, "expelled", 1)} thrown out; memory ${(growth / 1024).toFixed(1)} MB more`,
      );
      assert.ok(growth < MAX_GROWTH_KB, "memory is bounded");
      const isLeft = ({ files, memory, sockets }) =>
        files <= before.files &&
        sockets === before.sockets &&
        memory - before.memory < MAX_KEPT_KB;
      await eventually(state, isLeft, `all is as it was: ${JSON.stringify(before)}`, 30_000);
      if (isLong) {
        assert.ok(asks.ratio <= MAX_RATIO, `asks: ${asks.text}`);
        assert.ok(deliveries.ratio <= MAX_RATIO, `deliveries: ${deliveries.text}`);
      }
    });
  }
});

/** Peace and flood, each the median of its blocks. */
function compared(blocks, what) {
  const [peace, flood] = ["peace", "flood"].map((name) =>
    median(blocks.map((block) => block[name][what])),
  );
  const ratio = flood / peace;
  const text = `${peace.toFixed(2)} → ${flood.toFixed(2)} ms (${ratio.toFixed(2)} times)`;
  return { ratio, text };
}

/** How much of something attackers did in a second. */
function rate(blocks, what, unit) {
  return median(blocks.map(({ flood }) => flood[what] / unit / flood.seconds)).toFixed(1);
}
