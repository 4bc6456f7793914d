// Records what Node's own adapters and emitter publish, as the golden bytes beside this file.
//
//   npm install @socket.io/redis-adapter@8.3.0 @socket.io/redis-emitter@5.1.0 \
//     socket.io@4.8.4 socket.io-client@4.8.4 redis@5
//   REDIS=redis://127.0.0.1:6379 MODE=classic node capture.mjs > classic.txt
//   REDIS=redis://127.0.0.1:6379 MODE=sharded node capture.mjs > sharded.txt
//
// A line is a label, the channel and the message in hex, with tabs between them.
import { createServer } from "node:http";
import { createRequire } from "node:module";

const require = createRequire(process.cwd() + "/");
const { Server } = require("socket.io");
const { io: connect } = require("socket.io-client");
const { createClient } = require("redis");
const { createAdapter, createShardedAdapter } = require("@socket.io/redis-adapter");
const { Emitter } = require("@socket.io/redis-emitter");

const sharded = process.env.MODE === "sharded";
const url = process.env.REDIS;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let label = "none";
const versions = ["socket.io", "@socket.io/redis-adapter", "@socket.io/redis-emitter", "redis"]
  .map((name) => `${name} ${require(name + "/package.json").version}`);
console.log(`# ${versions.join(", ")}, Node ${process.version}`);

async function client() {
  const made = createClient({ url });
  await made.connect();
  return made;
}

// Everything that is published goes through this client, or through one like it.
async function publisher() {
  const made = await client();
  const record = (channel, message) => {
    const hex = Buffer.from(message).toString("hex");
    console.log([label, channel, hex].join("\t"));
  };
  const publish = made.publish.bind(made);
  made.publish = (channel, message) => (record(channel, message), publish(channel, message));
  const spublish = made.sPublish.bind(made);
  made.sPublish = (channel, message) => (record(channel, message), spublish(channel, message));
  return made;
}

async function node() {
  const http = createServer();
  const server = new Server(http);
  const [pub, sub] = [await publisher(), await client()];
  server.adapter(sharded ? createShardedAdapter(pub, sub) : createAdapter(pub, sub));
  for (const namespace of ["/", "/chat"]) {
    server.of(namespace).on("connection", (socket) => {
      socket.data.name = "alice";
      socket.join(["room", 7]);
    });
  }
  await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
  return { server, port: http.address().port };
}

const [a, b] = [await node(), await node()];
const open = (port, path) =>
  new Promise((resolve) => {
    const socket = connect(`http://127.0.0.1:${port}${path}`, { transports: ["websocket"] });
    socket.on("question", (...args) => args.at(-1)("answer", 1));
    socket.on("empty", (...args) => args.at(-1)());
    socket.on("bytes", (...args) => args.at(-1)(Buffer.from([1, 2])));
    socket.on("connect", () => resolve(socket));
  });
const sockets = [await open(a.port, "/"), await open(b.port, "/"), await open(b.port, "/chat")];
await sleep(200);

const values = {
  integers: [0, 1, 127, 128, 255, 256, 65535, 65536, 4294967295, 4294967296, 9007199254740991],
  negatives: [-1, -32, -33, -128, -129, -32768, -32769, -2147483648, -2147483649],
  // Whole numbers from 2^64 on are left out: the msgpack of Node's adapter garbles them.
  floats: [0.5, -1.25e-7, 123.456, 0.000001],
  text: ["", "ä€😀", "a".repeat(31), "a".repeat(32), "a".repeat(256), '"\\\n\u0001'],
  others: [null, true, false, [], {}, [[1]], { z: 1, a: { b: [] } }],
  long: Array.from({ length: 20 }, (_, index) => index),
};
const io = a.server;
const steps = {
  "broadcast": () => io.emit("ev", "hello", 1),
  "broadcast-namespace": () => io.of("/chat").emit("ev"),
  "broadcast-room": () => io.to("room").emit("ev", 1),
  "broadcast-number": () => io.to(7).emit("ev", 1),
  "broadcast-rooms": () => io.to("room").to(7).except("x").except(8).emit("ev"),
  "broadcast-volatile": () => io.volatile.emit("ev"),
  "broadcast-uncompressed": () => io.compress(false).emit("ev"),
  "broadcast-values": () => io.emit("ev", values),
  "broadcast-binary": () =>
    io.to("room").emit("ev", Buffer.from([1, 2, 3]), { b: Buffer.alloc(300, 7) }),
  "broadcast-private": () => io.to(sockets[1].id).emit("ev", "you"),
  "broadcast-date": () =>
    io.emit("ev", new Date(1700000000000), new Date(1700000000123), new Date(-1), Buffer.from([1])),
  "join": () => io.in("room").except("x").socketsJoin(["zz", 9]),
  "leave": () => io.in("room").socketsLeave("zz"),
  "fetch": () => io.in("room").fetchSockets(),
  "all-rooms": () => io.of("/").adapter.allRooms?.(),
  "ack": () => io.timeout(500).emitWithAck("question", "q"),
  "ack-empty": () => io.timeout(500).emitWithAck("empty"),
  "ack-bytes": () => io.timeout(500).emitWithAck("bytes", Buffer.from([9])),
  "ack-nobody": () => io.to("nobody").timeout(500).emitWithAck("question"),
  "server-side": () => io.serverSideEmit("hello", 1, "two", { three: 3 }),
  "server-side-ack": () => io.serverSideEmitWithAck("ask", 1),
  "server-side-silent": () => io.serverSideEmitWithAck("silent", 1),
  "server-side-bytes": () => io.serverSideEmit("hello", Buffer.from([1, 2])),
  "disconnect": () => io.in("nobody").disconnectSockets(),
  "disconnect-close": () => io.in("nobody").disconnectSockets(true),
};
b.server.on("ask", (_, answer) => answer("yes"));
b.server.on("silent", (_, answer) => answer());
for (const [name, step] of Object.entries(steps)) {
  label = name;
  await step();
  await sleep(100);
}

if (!sharded) {
  const emitter = new Emitter(await publisher());
  const emitted = {
    "emitter-broadcast": () => emitter.emit("ev", 1),
    "emitter-namespace": () => emitter.of("chat").to("room").emit("ev", Buffer.from([1])),
    "emitter-rooms": () => emitter.to("a").to(7).except("b").volatile.emit("ev", "x"),
    "emitter-uncompressed": () => emitter.compress(false).emit("ev"),
    "emitter-join": () => emitter.in("room").socketsJoin("zz"),
    "emitter-leave": () => emitter.in("room").except("x").socketsLeave(["zz", 9]),
    "emitter-disconnect": () => emitter.in("nobody").disconnectSockets(true),
    "emitter-server-side": () => emitter.serverSideEmit("hello", "world"),
  };
  for (const [name, step] of Object.entries(emitted)) {
    label = name;
    step();
    await sleep(50);
  }
}
process.exit(0);
