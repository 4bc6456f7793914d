// Starts NestJS and our server, behind the same command line.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { within } from "../../node/support/bounded.mjs";
import { announcedPort, freePort } from "../../node/support/ports.mjs";

const HERE = fileURLToPath(new URL("../", import.meta.url));
const CONFORMANCE = process.env.CONFORMANCE_BIN ?? `${HERE}../../target/debug/conformance`;
const LIMIT = 20_000;

/** NestJS, as `npm run build` has compiled it. */
export async function startNest() {
  const second = await freePort();
  const env = { ...process.env, NO_COLOR: "1", SECOND_PORT: String(second) };
  const server = await start(process.execPath, [`${HERE}target/main.js`], env);
  return { ...server, second: { url: `http://127.0.0.1:${second}` } };
}

/** The same gateways in Rust, with further options of `conformance nest`. */
export async function startOurs(...options) {
  const second = await freePort();
  const args = ["nest", "--port", "0", "--second-port", String(second), ...options];
  const server = await start(CONFORMANCE, args, process.env);
  return { ...server, second: { url: `http://127.0.0.1:${second}` } };
}

/** Runs our server to its end, for options with which it must not start. */
export async function runOurs(...options) {
  const child = spawn(CONFORMANCE, ["nest", "--port", "0", ...options]);
  let stderr = "";
  child.stderr.on("data", (data) => (stderr += data));
  const kill = () => child.kill("SIGKILL");
  const [code] = await within(once(child, "close"), LIMIT, "the server to give up", kill);
  return { code, stderr };
}

async function start(binary, args, env) {
  const child = spawn(binary, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data) => (log += data));
  }
  const closed = once(child, "close");
  const kill = () => child.kill("SIGKILL");
  const port = await announcedPort(child, closed, () => log, LIMIT);
  return {
    url: `http://127.0.0.1:${port}`,
    log: () => log,
    async stop() {
      child.kill("SIGTERM");
      await within(closed, LIMIT, `${binary} to stop`, kill);
    },
  };
}
