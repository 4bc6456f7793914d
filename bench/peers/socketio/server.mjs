// The peer socket.io, behind the contract of `conformance bench`.
//
//   node server.mjs --port N [--jwt-secret S | --jwt-public-key FILE] [--redis URL]
//
// Every socket joins `room`, and `g<k>` when its connect payload carries `"group": k`.
// With --jwt-secret, connecting needs a valid HS256 token in `auth.token`; with --jwt-public-key,
// an RS256 token.

import { createPublicKey, createSecretKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { createAdapter } from "@socket.io/redis-adapter";
import jwt from "jsonwebtoken";
import { createClient } from "redis";
import { Server } from "socket.io";

const { values: options } = parseArgs({
  options: {
    port: { type: "string" },
    "jwt-secret": { type: "string" },
    "jwt-public-key": { type: "string" },
    redis: { type: "string" },
  },
});

const httpServer = createServer();
const io = new Server(httpServer, { serveClient: false });

if (options.redis !== undefined) {
  const publisher = createClient({ url: options.redis });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  io.adapter(createAdapter(publisher, subscriber));
}

// What socket.io's page on memory usage advises: do not keep the first HTTP request.
io.engine.on("connection", (session) => {
  session.request = null;
});

// A key made once: jsonwebtoken would otherwise make one for each token.
function verification() {
  const { "jwt-secret": secret, "jwt-public-key": file } = options;
  if (secret !== undefined) {
    return { key: createSecretKey(Buffer.from(secret)), algorithms: ["HS256"] };
  }
  if (file === undefined) return undefined;
  return { key: createPublicKey(readFileSync(file)), algorithms: ["RS256"] };
}

const verified = verification();
if (verified !== undefined) {
  const { key, algorithms } = verified;
  io.use((socket, next) => {
    try {
      socket.data.claims = jwt.verify(socket.handshake.auth.token, key, { algorithms });
      next();
    } catch {
      next(new Error("Unauthorized"));
    }
  });
}

io.on("connection", (socket) => {
  socket.join("room");
  const { group } = socket.handshake.auth;
  if (group !== undefined) socket.join(`g${group}`);

  socket.on("echo", (value) => socket.emit("echo", value));
  socket.on("ack", (value, ack) => ack(value));
  socket.on("bcast", (value) => io.to("room").emit("m", value));
  socket.on("gcast", (key, value) => io.to(`g${key}`).emit("m", value));
});

process.once("SIGTERM", () => process.exit(0));

httpServer.listen({ port: Number(options.port), host: "127.0.0.1", backlog: 4096 }, () => {
  console.log(`listening on 127.0.0.1:${httpServer.address().port}`);
});
