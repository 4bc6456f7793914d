// A Redis Cluster of the test's own, and a master with its replica under a sentinel.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { eventually, within } from "../../support/bounded.mjs";
import { freePort, freePorts } from "../../support/ports.mjs";
import { startRedis } from "./redis.mjs";

const MASTERS = 3;
const SLOTS = 16_384;

/** Three masters, each with a replica; `url` is the address of the cluster. */
export async function startCluster() {
  const buses = await freePorts(2 * MASTERS);
  const servers = await Promise.all(
    buses.map((bus) => {
      const options = ["--cluster-port", bus, "--cluster-node-timeout", 2_000];
      return startRedis("--cluster-enabled", "yes", ...options);
    }),
  );
  const stop = () => Promise.all(servers.map((server) => server.stop()));
  try {
    await form(servers, buses);
  } catch (error) {
    await stop();
    throw error;
  }
  const places = servers.slice(0, MASTERS).map(({ port }) => `127.0.0.1:${port}`);
  return { url: `redis+cluster://${places}`, stop };
}

async function form(servers, buses) {
  const [first, ...others] = servers;
  const bound = (index) => Math.round((index * SLOTS) / MASTERS);
  for (const [index, master] of servers.slice(0, MASTERS).entries()) {
    await master.ask("CLUSTER", "ADDSLOTSRANGE", bound(index), bound(index + 1) - 1);
  }
  for (const other of others) {
    await other.ask("CLUSTER", "MEET", "127.0.0.1", first.port, buses[0]);
  }
  for (const [index, replica] of servers.slice(MASTERS).entries()) {
    const master = await servers[index].ask("CLUSTER", "MYID");
    // It has to have heard of its master before.
    const follow = () =>
      replica.ask("CLUSTER", "REPLICATE", master).catch((error) => error.message);
    await eventually(follow, (answer) => answer === "OK", `a replica of ${master}`, 10_000);
  }
  for (const server of servers) {
    const seen = async () => [
      await server.ask("CLUSTER", "INFO"),
      await server.ask("CLUSTER", "NODES"),
    ];
    const isWhole = ([info, nodes]) =>
      info.includes("cluster_state:ok") && nodes.split("slave").length - 1 === MASTERS;
    await eventually(seen, isWhole, "the cluster is whole", 15_000);
  }
}

/** A master, a replica and a sentinel, which calls the master `mymaster`. */
export async function startSentinels() {
  const master = await startRedis();
  const replica = await startRedis("--replicaof", `127.0.0.1 ${master.port}`);
  const linked = () => replica.ask("INFO", "replication");
  await eventually(linked, (info) => info.includes("master_link_status:up"), "a replica", 10_000);
  const port = await freePort();
  const file = join(master.folder, "sentinel.conf");
  await writeFile(
    file,
    `port ${port}\nbind 127.0.0.1\ndir ${master.folder}\n` +
      `sentinel monitor mymaster 127.0.0.1 ${master.port} 1\n`,
  );
  const sentinel = spawn("redis-sentinel", [file], { stdio: ["ignore", "pipe", "inherit"] });
  const closed = once(sentinel, "close");
  const kill = () => sentinel.kill("SIGKILL");
  const watching = new Promise((done) => {
    createInterface({ input: sentinel.stdout }).on("line", (line) => {
      if (line.includes("+monitor master mymaster")) done();
    });
  });
  await within(watching, 10_000, "the sentinel to watch", kill);
  return {
    url: `redis+sentinel://127.0.0.1:${port}/mymaster`,
    async stop() {
      sentinel.kill("SIGTERM");
      await within(closed, 10_000, "the sentinel to end", kill);
      await Promise.all([replica.stop(), master.stop()]);
    },
  };
}
