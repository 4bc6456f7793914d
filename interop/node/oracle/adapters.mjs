// Node's Redis adapters by the names of `--mode`, over either Redis client.
import { once } from "node:events";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { Cluster, Redis } from "ioredis";
import { createClient } from "redis";

/** `host:port,host:port` as ioredis wants it. */
const hosts = (list) =>
  list.split(",").map((place) => {
    const { hostname, port } = new URL(`redis://${place}`);
    return { host: hostname, port: Number(port) };
  });

/** The schemes are those of the Rust nodes: a server, sentinels that know it, or a cluster. */
function ioredis(url) {
  const [, kind, places, name] = /^redis\+(cluster|sentinel):\/\/([^/]+)\/?(.*)$/.exec(url) ?? [];
  if (kind === "cluster") return new Cluster(hosts(places), { shardedSubscribers: true });
  if (kind === "sentinel") return new Redis({ name, sentinels: hosts(places) });
  return new Redis(url);
}

async function pair(url, client) {
  if (client === "ioredis") {
    const publisher = ioredis(url);
    const clients = [publisher, publisher.duplicate()];
    // What is subscribed to between connecting and being ready fails ioredis' own check of whether
    // it is, in a promise that is nobody's: the process would end when a client comes that early.
    await Promise.all(clients.map((client) => once(client, "ready")));
    return clients;
  }
  const publisher = createClient({ url });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  return [publisher, subscriber];
}

/** A codec of the application's own. */
const JSON_PARSER = { decode: (bytes) => JSON.parse(bytes), encode: JSON.stringify };

/** What goes to `io.adapter(…)`. */
export async function adapter(options) {
  const { redis, key, mode, client, parser, specificResponse, requestsTimeout } = options;
  const clients = await pair(redis, client);
  for (const one of clients) one.on("error", (error) => console.error(`redis: ${error.message}`));
  if (mode === "classic") {
    return createAdapter(...clients, {
      key,
      ...(parser === "json" ? { parser: JSON_PARSER } : {}),
      publishOnSpecificResponseChannel: specificResponse,
      requestsTimeout,
    });
  }
  const subscriptionMode = mode.replace("sharded-", "");
  return createShardedAdapter(...clients, { channelPrefix: key, subscriptionMode });
}
