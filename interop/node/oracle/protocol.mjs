// `conformance protocol` with Node's engine.io and socket.io: two engines on one port.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { Server } from "socket.io";

const require = createRequire(import.meta.url);
const { Server: Engine } = createRequire(require.resolve("socket.io"))("engine.io");

const TIMINGS = { pingInterval: 300, pingTimeout: 200, maxHttpBufferSize: 1_000_000 };

export function serve() {
  const http = createServer((request, response) => response.writeHead(404).end());
  const engine = new Engine({ ...TIMINGS, cors: { origin: "*" } });
  engine.attach(http, { path: "/engine.io/", destroyUpgrade: false });
  engine.on("connection", (socket) => socket.on("data", (data) => socket.send(data)));

  const io = new Server(http, {
    ...TIMINGS,
    connectTimeout: 1_000,
    cors: { origin: "*" },
    destroyUpgrade: false,
    serveClient: false,
  });
  io.on("connection", (socket) => {
    socket.emit("auth", socket.handshake.auth);
    socket.on("message", (...args) => socket.emit("message-back", ...args));
    socket.on("message-with-ack", (...args) => args.pop()(...args));
  });
  io.of("/custom").on("connection", (socket) => socket.emit("auth", socket.handshake.auth));
  return http;
}
