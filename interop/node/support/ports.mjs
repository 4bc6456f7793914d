// Ports: of servers that have to be told theirs before they listen, and of those that say it.
import { once } from "node:events";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { within } from "./bounded.mjs";

/** Ports that nobody listens on at the moment. */
export async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
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
