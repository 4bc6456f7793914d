// Peers that flood or dawdle, while healthy clients go on: what these notice, and what is left.
//
//   processor 0   the server ◀──────────── healthy clients   processor 1
//                     ▲                     (a process that goes before others)
//                     ╰───── flood ───────── attackers
//                 a server that forgets ◀── control ──╯
//
// A figure is the 99th percentile of what healthy clients wait, in three states: peace, flood, and
// control, where the same attackers send as much to a process on the server's processor that
// throws it away. Flood over control is what the server adds; the rest is the machine's. With
// INTEROP_LONG=1 the server is a release, there are several blocks, and their medians are held to
// a factor of two. Otherwise there is one short block, and its figures are only printed.
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { eventually, quiet } from "../support/bounded.mjs";
import { ask, client, connected, mint } from "../support/client.mjs";
import { Helper, usage, watchMemory } from "../support/helper.mjs";
import { isLong, ours, startAlone } from "../support/server.mjs";

const BLOCKS = isLong ? 3 : 1;
const PEACE_MS = isLong ? 1_000 : 500;
const ATTACK_MS = isLong ? 1_500 : 1_000;
/** How long attackers go on before anybody looks: what is at first is not what stays. */
const SETTLE_MS = 300;
const MAX_GROWTH_KB = 200 * 1024;
/** What of a flood's memory may be kept for the next: by the allocator, in buffers of threads. */
const MAX_KEPT_KB = 24 * 1024;
const MAX_RATIO = 2;
/** Less than this is a matter of a few wake-ups, of which a shared machine has many. */
const FLOOR_MS = 1;

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
  let prober;
  let watcher;
  before(async () => {
    const short = ["--auth-timeout", "2000", "--event-rate", "100"];
    const pings = ["--ping-interval", "2000", "--ping-timeout", "2000"];
    server = await startAlone("auth", ...short, ...pings);
    prober = new Helper("prober", 1, server.port, mint());
    await prober.line();
    watcher = await connected(client(server, { auth: {}, namespace: "/open" }));
    await prober.ask(1_000);
  });
  after(async () => {
    watcher?.disconnect();
    prober?.child.stdin.end();
    await server?.stop();
  });

  /** Lets attackers of a kind loose on a port, and measures meanwhile. */
  async function attacked(kind, port) {
    const attackers = new Helper("attackers", 1, kind, port, mint());
    await attackers.line();
    await quiet(SETTLE_MS);
    const measured = await prober.ask(ATTACK_MS);
    return { ...measured, ...JSON.parse(await attackers.end()) };
  }

  /** The same attack on a process that throws away what it gets, and as much of it. */
  async function controlled(kind, { bytes, connections }) {
    const discard = new Helper("discard", 0, Math.max(1, Math.round(bytes / connections)));
    const measured = await attacked(kind, await discard.line());
    discard.child.stdin.end();
    return measured;
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
        const peace = await prober.ask(PEACE_MS);
        const flood = await attacked(kind, server.port);
        const control = await controlled(kind, flood);
        blocks.push({ control, flood, peace });
        for (const { missing, open } of [peace, flood, control]) {
          assert.equal(missing, 0, "every healthy client was answered");
          assert.equal(open, 20, "no healthy client was closed");
        }
      }
      const growth = watch.stop() - before.memory;

      const of = (name) => median(blocks.map((block) => block[name].p99));
      const over = (name) => median(blocks.map((block) => block.flood.p99 / block[name].p99));
      const times = (ratio) => `${ratio.toFixed(2)} times`;
      const all = ["peace", "control", "flood"].map((name) => `${name} ${of(name).toFixed(2)} ms`);
      t.diagnostic(
        `p99 ${all.join(", ")}: ` +
          `${times(over("peace"))} peace, ${times(over("control"))} control; ` +
          `${rate(blocks, "bytes", 1e6)} MB and ${rate(blocks, "connections", 1)} connections ` +
          `a second; memory ${(growth / 1024).toFixed(1)} MB more`,
      );
      assert.ok(growth < MAX_GROWTH_KB, "memory is bounded");
      const isLeft = ({ files, memory, sockets }) =>
        files <= before.files &&
        sockets === before.sockets &&
        memory - before.memory < MAX_KEPT_KB;
      await eventually(state, isLeft, `all is as it was: ${JSON.stringify(before)}`, 30_000);
      if (isLong) {
        const isFine = over("control") <= MAX_RATIO || of("flood") <= FLOOR_MS;
        assert.ok(isFine, `${times(over("control"))} control`);
      }
    });
  }
});

function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}

/** How much of something attackers did in a second. */
function rate(blocks, what, unit) {
  const amounts = blocks.map(({ flood }) => flood[what]);
  return (median(amounts) / unit / ((SETTLE_MS + ATTACK_MS) / 1_000)).toFixed(1);
}
