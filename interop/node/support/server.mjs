// Starts the server under test, and says which one it is.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpus } from "node:os";
import { resolve } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { quiet, within } from "./bounded.mjs";
import { announcedPort } from "./ports.mjs";
import { assertUnsaid, learn } from "./secrets.mjs";

export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
export const CONFORMANCE = process.env.CONFORMANCE_BIN ?? `${ROOT}target/debug/conformance`;
const PORTCULLIS = process.env.PORTCULLIS_BIN ?? `${ROOT}target/debug/portcullis`;

/** The same, optimised; runs that are about figures need it. */
const RELEASE = process.env.RELEASE_BIN ?? `${ROOT}target/release/conformance`;

/** The program, and the verifier of tokens. */
export const portcullis = resolve(PORTCULLIS);
export const conformance = resolve(CONFORMANCE);

export const SECRET = learn("a secret of more than thirty-two bytes");
export const isOracle = CONFORMANCE.endsWith(".mjs");

/** Registers a test of something that we do differently from Node, on purpose. */
export function ours(name, options, body) {
  if (!isOracle) test(name, options, body);
}

/** Starts `conformance auth` with further options; `stop()` ends it. */
export function startAuth(...options) {
  return startAuthOn(0, ...options);
}

export function startAuthOn(port, ...options) {
  const args = ["auth", "--port", String(port), "--jwt-secret", SECRET, ...options];
  return start(CONFORMANCE, args);
}

/** Whether runs are as long as figures need, and of an optimised server. */
export const isLong = process.env.INTEROP_LONG === "1";

/** As `startAuthOn`, for so much traffic that its log would be the larger part of the work. */
export function startBusyAuth(port, ...options) {
  return startBusy(["auth", "--port", String(port), "--jwt-secret", SECRET, ...options]);
}

/** As `startBusyAuth`, on a processor where it goes before whatever else the machine does. */
export async function startAlone(...args) {
  const server = await startBusy([...args, "--port", "0", "--jwt-secret", SECRET], 0);
  goFirst(server.pid);
  return server;
}

/** Has a process go before all others, if there is the right to; else figures hold their noise. */
export function goFirst(pid) {
  spawnSync("chrt", ["--fifo", "--all-tasks", "--pid", "1", String(pid)], { stdio: "ignore" });
}

function startBusy(args, processor) {
  return start(isLong ? RELEASE : CONFORMANCE, args, { level: "warn", processor });
}

/** Leaves the processor of a server that stands alone: this process has things to do, too. */
export function stayAside() {
  if (cpus().length < 2) return;
  spawnSync("taskset", ["--all-tasks", "--cpu-list", "--pid", "1", String(process.pid)]);
}

/** What `spawn` takes to run a program on one processor alone, if there are two. */
export function onProcessor(processor, program, args) {
  if (processor === undefined || cpus().length < 2) return [program, args];
  return ["taskset", ["--cpu-list", String(processor), program, ...args]];
}

export function startProtocol() {
  return start(CONFORMANCE, ["protocol", "--port", "0"]);
}

export function startDev(...options) {
  return start(PORTCULLIS, ["dev", "--port", "0", ...options]);
}

/** Runs `conformance auth` to its end, for options with which it must not start. */
export async function runAuth(...options) {
  const args = ["auth", "--port", "0", "--jwt-secret", SECRET, ...options];
  const child = spawn(resolve(CONFORMANCE), args, { stdio: ["ignore", "pipe", "pipe"] });
  let stderr = "";
  child.stderr.on("data", (data) => (stderr += data));
  const [code] = await within(once(child, "close"), 5_000, "the server to give up", () =>
    child.kill("SIGKILL"),
  );
  return { code, stderr };
}

/** Starts a server that says where it listens; `stop()` ends it, `signal(name)` does worse. */
export async function start(binary, args, { level = "trace", processor } = {}) {
  // Everything that the server would ever log is there, and is looked through at its end.
  const env = { ...process.env, RUST_LOG: level };
  const command = onProcessor(processor, resolve(binary), args);
  const child = spawn(...command, { env, stdio: ["ignore", "pipe", "pipe"] });
  const server = { log: "", pid: child.pid };
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data) => (server.log += data));
  }
  const closed = once(child, "close");
  const kill = () => child.kill("SIGKILL");
  server.port = await announcedPort(child, closed, () => server.log, 10_000);
  server.url = `http://127.0.0.1:${server.port}`;
  server.signal = (name) => child.kill(name);
  server.closed = closed;
  // A signal takes effect a moment after it was sent.
  server.freeze = async () => {
    child.kill("SIGSTOP");
    await quiet(100);
  };
  server.isRunning = () => child.exitCode === null && child.signalCode === null;
  server.stop = async () => {
    child.kill("SIGTERM");
    await within(closed, 10_000, `${binary} to stop`, kill);
    const isJudged = binary === CONFORMANCE || binary === RELEASE;
    if (!isOracle && isJudged) assertUnsaid(server.log);
  };
  return server;
}
