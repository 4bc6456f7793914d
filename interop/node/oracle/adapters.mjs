// Node's Redis adapters by the names of `--mode`, over either Redis client.
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { Redis } from "ioredis";
import { createClient } from "redis";

async function pair(url, client) {
  if (client === "ioredis") {
    const publisher = new Redis(url);
    return [publisher, publisher.duplicate()];
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
