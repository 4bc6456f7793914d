// `conformance cluster` in NestJS: two gateways and the usual Redis adapter of its manual.
//
// What a gateway does is the contract of interop/node/oracle/operations.mjs; how it comes to do it
// is Nest's: decorators, an `IoAdapter`, a lifecycle. Plain JavaScript has no decorators yet, so
// they are called as the functions that they are.
import "reflect-metadata";
import { parseArgs } from "node:util";
import { Module } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { SubscribeMessage, WebSocketGateway, WebSocketServer } from "@nestjs/websockets";
import { listen, perform } from "../node/oracle/operations.mjs";
import { RedisIoAdapter } from "./redis-io-adapter.mjs";

const text = (fallback) => ({ type: "string", default: fallback });
const { values } = parseArgs({
  allowPositionals: true,
  options: {
    port: text("0"),
    redis: text(undefined),
    key: text("socket.io"),
    mode: text("classic"),
    client: text("redis"),
    "specific-response": { type: "boolean", default: false },
    name: text(undefined),
  },
});

let app;
const name = () => values.name ?? String(app.getHttpServer().address().port);

/** A method as `@SubscribeMessage(event)` leaves it. */
function subscribe(gateway, method, event) {
  const descriptor = Object.getOwnPropertyDescriptor(gateway.prototype, method);
  SubscribeMessage(event)(gateway.prototype, method, descriptor);
}

function gateway(namespace) {
  class ClusterGateway {
    // With `namespace`, Nest gives the namespace here, and with `server` the whole server.
    afterInit(namespace) {
      listen(namespace, name);
    }

    echo(client, value) {
      return value;
    }

    op(client, data) {
      const [operation, argument] = [].concat(data);
      return perform(client.nsp.server, client, operation, argument);
    }
  }
  WebSocketServer()(ClusterGateway.prototype, "server");
  subscribe(ClusterGateway, "echo", "echo");
  subscribe(ClusterGateway, "op", "op");
  WebSocketGateway({ namespace })(ClusterGateway);
  return ClusterGateway;
}

class AppModule {}
Module({ providers: [gateway("/"), gateway("/admin")] })(AppModule);

app = await NestFactory.create(AppModule, { logger: ["error", "warn"] });
app.enableShutdownHooks();
const adapter = new RedisIoAdapter(app, values);
await adapter.connectToRedis();
app.useWebSocketAdapter(adapter);
await app.listen(Number(values.port), "127.0.0.1");
console.log(`listening on 127.0.0.1:${app.getHttpServer().address().port}`);
