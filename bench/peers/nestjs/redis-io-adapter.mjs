// The adapter with which NestJS applications share a Redis: the one of its manual's chapter on
// adapters, with the connections passed in.
import { IoAdapter } from "@nestjs/platform-socket.io";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";

export class RedisIoAdapter extends IoAdapter {
  #adapter;

  async connectToRedis(url) {
    const publisher = createClient({ url });
    const subscriber = publisher.duplicate();
    await Promise.all([publisher.connect(), subscriber.connect()]);
    this.#adapter = createAdapter(publisher, subscriber);
  }

  createIOServer(port, options) {
    const server = super.createIOServer(port, { ...options, serveClient: false });
    if (this.#adapter) server.adapter(this.#adapter);
    return server;
  }
}
