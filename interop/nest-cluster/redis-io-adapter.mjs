// The `RedisIoAdapter` that most NestJS applications have, copied by hand from project to project;
// here with a choice of the adapter behind it.
import { IoAdapter } from "@nestjs/platform-socket.io";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";

export class RedisIoAdapter extends IoAdapter {
  #options;
  #adapter;

  constructor(app, options) {
    super(app);
    this.#options = options;
  }

  async connectToRedis() {
    const { redis, key, mode } = this.#options;
    const publisher = createClient({ url: redis });
    const subscriber = publisher.duplicate();
    for (const client of [publisher, subscriber]) {
      client.on("error", ({ message }) => console.error(`redis: ${message}`));
    }
    await Promise.all([publisher.connect(), subscriber.connect()]);
    if (mode === "classic") {
      const publishOnSpecificResponseChannel = this.#options["specific-response"];
      const options = { key, publishOnSpecificResponseChannel };
      this.#adapter = createAdapter(publisher, subscriber, options);
    } else {
      const options = { channelPrefix: key, subscriptionMode: mode.replace("sharded-", "") };
      this.#adapter = createShardedAdapter(publisher, subscriber, options);
    }
  }

  createIOServer(port, options) {
    const server = super.createIOServer(port, { ...options, serveClient: false });
    server.adapter(this.#adapter);
    return server;
  }
}
