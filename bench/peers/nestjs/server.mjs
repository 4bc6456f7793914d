// The peer NestJS with its IoAdapter, behind the contract of `conformance bench`.
//
//   node server.mjs --port N [--jwt-secret S | --jwt-public-key FILE] [--redis URL]
//
// Every socket joins `room`, and `g<k>` when its connect payload carries `"group": k`.
// With --jwt-secret, connecting needs a valid HS256 token in `auth.token`; with --jwt-public-key,
// an RS256 token. It is verified once per connection, in a middleware of the server, with the
// JwtService: a guard would verify it again for every event.
//
// Plain JavaScript has no decorators yet, so they are called as the functions that they are.
import "reflect-metadata";
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Module } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { JwtModule, JwtService } from "@nestjs/jwt";
import { SubscribeMessage, WebSocketGateway, WebSocketServer } from "@nestjs/websockets";
import { RedisIoAdapter } from "./redis-io-adapter.mjs";

const { values: options } = parseArgs({
  options: {
    port: { type: "string" },
    "jwt-secret": { type: "string" },
    "jwt-public-key": { type: "string" },
    redis: { type: "string" },
  },
});
const { "jwt-secret": secret, "jwt-public-key": file } = options;
const publicKey = file === undefined ? undefined : readFileSync(file, "utf8");

class BenchGateway {
  constructor(jwt) {
    this.jwt = jwt;
  }

  afterInit(namespace) {
    // What socket.io's page on memory usage advises: do not keep the first HTTP request.
    namespace.server.engine?.on("connection", (session) => {
      session.request = null;
    });
    if (secret === undefined && publicKey === undefined) return;
    namespace.use(async (socket, next) => {
      try {
        socket.data.claims = await this.jwt.verifyAsync(socket.handshake.auth.token);
        next();
      } catch {
        next(new Error("Unauthorized"));
      }
    });
  }

  handleConnection(socket) {
    socket.join("room");
    const { group } = socket.handshake.auth;
    if (group !== undefined) socket.join(`g${group}`);
  }

  echo(socket, value) {
    return { event: "echo", data: value };
  }

  ack(socket, value) {
    return value;
  }

  bcast(socket, value) {
    this.server.to("room").emit("m", value);
  }

  gcast(socket, [key, value]) {
    this.server.to(`g${key}`).emit("m", value);
  }
}

Reflect.defineMetadata("design:paramtypes", [JwtService], BenchGateway);
WebSocketServer()(BenchGateway.prototype, "server");
for (const event of ["echo", "ack", "bcast", "gcast"]) {
  const descriptor = Object.getOwnPropertyDescriptor(BenchGateway.prototype, event);
  SubscribeMessage(event)(BenchGateway.prototype, event, descriptor);
}
WebSocketGateway({ namespace: "/" })(BenchGateway);

class AppModule {}
Module({
  imports: [
    JwtModule.register({
      secret,
      publicKey,
      verifyOptions: { algorithms: [publicKey === undefined ? "HS256" : "RS256"] },
    }),
  ],
  providers: [BenchGateway],
})(AppModule);

const app = await NestFactory.create(AppModule, { logger: ["error", "warn"] });
const adapter = new RedisIoAdapter(app);
if (options.redis !== undefined) await adapter.connectToRedis(options.redis);
app.useWebSocketAdapter(adapter);

process.once("SIGTERM", () => process.exit(0));

await app.init();
app.getHttpServer().listen(
  { port: Number(options.port), host: "127.0.0.1", backlog: 4096 },
  () => console.log(`listening on 127.0.0.1:${app.getHttpServer().address().port}`),
);
