// A Redis that keeps nothing when it ends.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "./bounded.mjs";
import { freePort } from "./ports.mjs";

/** Starts one; `kill()` and `restart()` make it lose everything, `remove()` ends it for good. */
export async function startRedis() {
  const folder = await mkdtemp(join(tmpdir(), "portcullis-redis-"));
  const port = await freePort();
  let child;
  const answers = () =>
    new Promise((done) => {
      const socket = connect(port, "127.0.0.1", () => socket.write("PING\r\n"));
      socket.once("data", () => (socket.destroy(), done(true)));
      socket.once("error", () => done(false));
    });
  const redis = {
    url: `redis://127.0.0.1:${port}`,
    async restart() {
      const keep = ["--save", "", "--appendonly", "no", "--dir", folder];
      const options = ["--port", String(port), "--bind", "127.0.0.1", ...keep];
      child = spawn("redis-server", options, { stdio: "ignore" });
      await eventually(answers, Boolean, "redis answers");
    },
    async kill() {
      const closed = once(child, "close");
      child.kill("SIGKILL");
      await closed;
    },
    async remove() {
      if (child.exitCode === null && child.signalCode === null) await redis.kill();
      await rm(folder, { recursive: true });
    },
  };
  await redis.restart();
  return redis;
}
