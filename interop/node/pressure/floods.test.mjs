// Peers that flood or dawdle, while healthy clients go on: what these notice, and what is left.
//
// The attackers are another process, bounded in number; so is the server. With INTEROP_LONG=1 the
// healthy clients' delays are held to twice those of a run in peace; otherwise they are printed.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { after, before, describe } from "node:test";
import { fileURLToPath } from "node:url";
import { eventually, quiet, within } from "../support/bounded.mjs";
import { ask, client, connected, mint } from "../support/client.mjs";
import { ours, startBusyAuth } from "../support/server.mjs";

const ATTACKERS = fileURLToPath(new URL("../support/attackers.mjs", import.meta.url));
const isLong = process.env.INTEROP_LONG === "1";
const ATTACK_MS = isLong ? 8_000 : 1_500;
const HEALTHY = 20;
const ASK_EVERY_MS = 50;
/** What a server that shares two processors with its attackers and its clients may take anyway. */
const FLOOR_MS = 100;
const MAX_GROWTH_KB = 200 * 1024;

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

describe("under attack", { timeout: 600_000 }, () => {
  let server;
  let healthy;
  let peace;
  before(async () => {
    const short = ["--auth-timeout", "2000", "--event-rate", "100"];
    const pings = ["--ping-interval", "2000", "--ping-timeout", "2000"];
    server = await startBusyAuth(0, ...short, ...pings);
    healthy = await Promise.all(
      Array.from({ length: HEALTHY }, () => connected(client(server, { reconnection: false }))),
    );
    await delays(1_000);
    peace = p99(await delays(isLong ? 8_000 : 2_000));
  });
  after(async () => {
    for (const socket of healthy ?? []) socket.disconnect();
    await server?.stop();
  });

  /** How long healthy clients wait for answers, for a while, in milliseconds. */
  async function delays(forMs) {
    const taken = [];
    const end = Date.now() + forMs;
    await Promise.all(
      healthy.map(async (socket, index) => {
        await quiet((index * ASK_EVERY_MS) / HEALTHY);
        while (Date.now() < end) {
          const began = performance.now();
          await ask(socket, "echo", index);
          taken.push(performance.now() - began);
          await quiet(ASK_EVERY_MS);
        }
      }),
    );
    return taken;
  }

  for (const kind of KINDS) {
    ours(`healthy clients go on beside ${kind}, and nothing is left of them`, async (t) => {
      const before = await usage(server.pid);
      const options = [ATTACKERS, kind, String(server.port), String(ATTACK_MS), mint()];
      const attackers = spawn(process.execPath, options, { stdio: "inherit" });
      const gone = once(attackers, "close");
      const measured = p99(await delays(ATTACK_MS));
      const during = await usage(server.pid);
      await within(gone, ATTACK_MS + 20_000, "the attackers to give up", () => attackers.kill());
      const ratio = measured / peace;
      t.diagnostic(
        `p99 ${measured.toFixed(1)} ms, in peace ${peace.toFixed(1)} ms, ` +
          `memory ${((during.memory - before.memory) / 1024).toFixed(1)} MB more`,
      );
      if (isLong) assert.ok(ratio <= 2 || measured <= FLOOR_MS, `${ratio.toFixed(1)} times`);
      assert.ok(during.memory - before.memory < MAX_GROWTH_KB, "memory is bounded");
      assert.ok(healthy.every((socket) => socket.connected), "no healthy client was closed");
      const isLeft = ({ files }) => files <= before.files;
      await eventually(() => usage(server.pid), isLeft, "descriptors are given back", 30_000);
    });
  }
});

function p99(times) {
  const sorted = times.sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length * 0.99)];
}

/** Memory in kB and open descriptors of a process. */
async function usage(pid) {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const memory = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)[1]);
  const files = (await readdir(`/proc/${pid}/fd`)).length;
  return { files, memory };
}
