// Ports: of servers that have to be told theirs before they listen, and of those that say it.
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { within } from "./bounded.mjs";

const given = new Set();

/**
 * Ports that nobody listens on at the moment, other ones each time.
 *
 * They lie below those that the system gives to connections: a client that tries a dead server's
 * port again and again would sooner or later be given that very port, be connected to itself, and
 * keep the server from coming back.
 */
export async function freePorts(count) {
  const ports = [];
  while (ports.length < count) {
    const port = randomInt(10_000, 32_000);
    if (given.has(port)) continue;
    given.add(port);
    if (await isFree(port)) ports.push(port);
  }
  return ports;
}

async function isFree(port) {
  const server = createServer().listen(port, "127.0.0.1");
  try {
    await once(server, "listening");
  } catch {
    return false;
  }
  await new Promise((done) => server.close(done));
  return true;
}

export async function freePort() {
  const [port] = await freePorts(1);
  return port;
}

/** The port that a process says it listens on; if it ends before, the error has what `log` says. */
export async function announcedPort(child, closed, log, ms) {
  const [binary] = child.spawnargs;
  const listening = new Promise((done, failed) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      const port = /^listening on 127\.0\.0\.1:(\d+)$/.exec(line)?.[1];
      if (port !== undefined) done(Number(port));
    });
    child.on("error", failed);
    closed.then(([code]) => failed(new Error(`${binary} ended (${code}): ${log()}`)));
  });
  return within(listening, ms, `${binary} to listen`, () => child.kill("SIGKILL"));
}
