#!/usr/bin/env node
// Node's socket.io behind the command line of the `conformance` binary: the oracle that tells
// whether a test asks for Socket.IO's behaviour or for a mistake of ours.
//
// Not here: what we do differently on purpose (see `ours` in support/server.mjs).
import { parseArgs } from "node:util";

const SERVERS = {
  auth: () => import("./oracle/auth.mjs"),
  cluster: () => import("./oracle/cluster.mjs"),
  protocol: () => import("./oracle/protocol.mjs"),
};

const text = (fallback) => ({ type: "string", default: fallback });
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    port: text("0"),
    "jwt-secret": text(undefined),
    audience: text(undefined),
    codec: text("json"),
    sources: text("auth,bearer"),
    origin: { type: "string", multiple: true },
    transports: text("polling,websocket"),
    "max-sessions": text(undefined),
    "ping-interval": text("25000"),
    "ping-timeout": text("20000"),
    "auth-timeout": text("10000"),
    "verify-timeout": text("5000"),
    "upgrade-timeout": text("10000"),
    "max-payload": text("1000000"),
    redis: text(undefined),
    key: text("socket.io"),
    mode: text("classic"),
    client: text("redis"),
    "specific-response": { type: "boolean", default: false },
    parser: text("msgpack"),
    "requests-timeout": text("5000"),
    "websocket-only": { type: "boolean", default: false },
    name: text(undefined),
  },
});

const load = SERVERS[positionals[0]];
if (load === undefined) {
  console.error(`oracle: unknown server ${positionals[0]}`);
  process.exit(2);
}
const { serve } = await load();
const server = await serve(values);
server.listen(Number(values.port), "127.0.0.1", () => {
  console.log(`listening on 127.0.0.1:${server.address().port}`);
});
process.on("SIGTERM", () => process.exit(0));
