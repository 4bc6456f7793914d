// A Redis of the test's own, in a folder of its own, with nothing kept.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "redis";
import { within } from "../../support/bounded.mjs";
import { freePort } from "../../support/ports.mjs";

/** Starts `redis-server`; `ask` sends it a command, `stop` ends it. */
export async function startRedis(...settings) {
  const port = await freePort();
  const { folder, stop } = await launch("redis-server", (folder) => [
    ...["--bind", "127.0.0.1", "--port", String(port), "--dir", folder],
    ...["--save", "", "--appendonly", "no", ...settings],
  ]);
  const url = `redis://127.0.0.1:${port}`;
  const client = createClient({ url });
  client.on("error", () => {});
  await client.connect();
  return {
    folder,
    port,
    url,
    ask: (...words) => client.sendCommand(words.map(String)),
    listen: (pattern) => listen(url, pattern),
    async stop() {
      client.destroy();
      await stop();
    },
  };
}

/** Runs a program of Redis until `stop`, in a folder of its own, from when it is ready on. */
async function launch(program, settings) {
  const folder = await mkdtemp(join(tmpdir(), "portcullis-redis-"));
  const child = spawn(program, settings(folder), { stdio: ["ignore", "pipe", "inherit"] });
  const closed = once(child, "close");
  const kill = () => child.kill("SIGKILL");
  const ready = new Promise((done, failed) => {
    let log = "";
    child.on("error", failed);
    child.stdout.on("data", (data) => {
      log += data;
      if (/Ready to accept connections|Sentinel ID is/.test(log)) done();
    });
    closed.then(() => failed(new Error(`${program} ended: ${log}`)));
  });
  await within(ready, 10_000, `${program} to be ready`, kill);
  return {
    folder,
    async stop() {
      child.kill("SIGTERM");
      await within(closed, 10_000, `${program} to end`, kill);
      await rm(folder, { recursive: true });
    },
  };
}

/** Hears all channels that fit a pattern, without being counted as a node of a cluster. */
async function listen(url, pattern) {
  const client = createClient({ url });
  client.on("error", () => {});
  await client.connect();
  const messages = [];
  await client.pSubscribe(pattern, (message, channel) => messages.push({ channel, message }));
  return { messages, stop: () => client.destroy() };
}
