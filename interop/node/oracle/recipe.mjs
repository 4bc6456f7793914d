#!/usr/bin/env node
// The usual recipe of a NestJS gateway, with the pieces that Nest puts together for it: what the
// headlines of SECURITY.md are held against (headlines.test.mjs).
//
// | namespace | how it is guarded                                                               |
// |-----------|---------------------------------------------------------------------------------|
// | `/`       | `server.use()`, the token by `split(" ")[1]` or from `auth`                     |
// | `/admin`  | not said, because "`server.use()` guards the server"                            |
// | `/hook`   | an asynchronous `handleConnection`; Nest subscribes handlers without awaiting it |
import { createServer } from "node:http";
import { setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import { createAdapter } from "@socket.io/redis-adapter";
import { Redis } from "ioredis";
import jsonwebtoken from "jsonwebtoken";
import { Server } from "socket.io";

const { values } = parseArgs({
  options: { "jwt-secret": { type: "string" }, redis: { type: "string" } },
});
const blocked = new Set();

function verify({ auth, headers }) {
  const token = auth.token ?? headers.authorization?.split(" ")[1];
  const claims = jsonwebtoken.verify(token, values["jwt-secret"]);
  if (blocked.has(claims.sub)) throw new Error("blocked");
  return claims;
}

const http = createServer((request, response) => response.writeHead(404).end());
const io = new Server(http, {
  cors: { credentials: true, origin: true },
  connectionStateRecovery: values.redis === undefined ? {} : undefined,
});
if (values.redis !== undefined) {
  const publisher = new Redis(values.redis);
  io.adapter(createAdapter(publisher, publisher.duplicate()));
}

io.use((socket, next) => {
  try {
    socket.data.user = verify(socket.handshake);
    next();
  } catch {
    next(new Error("Unauthorized"));
  }
});

function subscribe(socket) {
  socket.on("echo", (value, ack) => ack(value));
  socket.on("block", (sub, ack) => ack(blocked.add(sub).size));
  socket.emit("welcome", "an event with an offset, from which recovery goes on");
}

io.on("connection", subscribe);
io.of("/admin").on("connection", subscribe);
io.of("/hook").on("connection", (socket) => {
  const handleConnection = async () => {
    await wait(50);
    try {
      verify(socket.handshake);
    } catch {
      socket.disconnect(true);
    }
  };
  handleConnection();
  subscribe(socket);
});

http.listen(0, "127.0.0.1", () => console.log(`listening on 127.0.0.1:${http.address().port}`));
process.on("SIGTERM", () => process.exit(0));
