// `conformance auth` with Node's socket.io: the contract is in ../../README.md.
import { createServer } from "node:http";
import { setTimeout as wait } from "node:timers/promises";
import jsonwebtoken from "jsonwebtoken";
import { Server } from "socket.io";
import msgpack from "socket.io-msgpack-parser";

const MAX_TOKEN = 8 * 1024;
const MAX_AUTH_PAYLOAD = 16 * 1024;

class Refusal extends Error {
  constructor(code) {
    super("Unauthorized");
    this.data = { code };
  }
}

function findToken(handshake, sources) {
  for (const source of sources) {
    if (source === "auth" && handshake.auth.token != null) {
      const token = handshake.auth.token;
      if (typeof token !== "string" || token === "") throw new Refusal("TOKEN_INVALID");
      return token;
    }
    if (source === "bearer" && handshake.headers.authorization !== undefined) {
      const bearer = /^bearer +(\S+)$/i.exec(handshake.headers.authorization);
      if (bearer === null) throw new Refusal("TOKEN_INVALID");
      return bearer[1];
    }
    if (source === "query" && handshake.query.token !== undefined) return handshake.query.token;
    if (source === "cookie") {
      const cookie = /(?:^|; *)token=([^;]*)/.exec(handshake.headers.cookie ?? "");
      if (cookie !== null) return cookie[1];
    }
  }
  throw new Refusal("TOKEN_MISSING");
}

function verify(token, options) {
  let claims;
  try {
    claims = jsonwebtoken.verify(token, options["jwt-secret"], {
      algorithms: ["HS256"],
      audience: options.audience,
      clockTolerance: 5,
    });
  } catch (error) {
    if (error.name === "TokenExpiredError") throw new Refusal("TOKEN_EXPIRED");
    const ofClaims = error.name === "NotBeforeError" || /audience/.test(error.message);
    throw new Refusal(ofClaims ? "TOKEN_CLAIMS" : "TOKEN_INVALID");
  }
  if (claims.exp === undefined) throw new Refusal("TOKEN_CLAIMS");
  if (typeof claims.sub !== "string" || typeof claims.username !== "string") {
    throw new Refusal("TOKEN_CLAIMS");
  }
  return { sub: claims.sub, username: claims.username };
}

async function steer(step) {
  if (step === "panic") throw new Error("the authenticator panicked");
  if (step === "hang") await new Promise(() => {});
  if (step?.wait !== undefined) await wait(step.wait);
}

function authenticator(options, counters) {
  const sources = options.sources.split(",");
  const timeout = Number(options["verify-timeout"]);
  return async (socket, next) => {
    const { auth } = socket.handshake;
    try {
      if (JSON.stringify(auth).length > MAX_AUTH_PAYLOAD) throw new Refusal("TOKEN_INVALID");
      counters.verified += 1;
      const late = wait(timeout, undefined, { ref: false }).then(() => {
        throw new Refusal("AUTH_UNAVAILABLE");
      });
      await Promise.race([steer(auth.verify), late]);
      const token = findToken(socket.handshake, sources);
      if (token.length > MAX_TOKEN) throw new Refusal("TOKEN_INVALID");
      socket.data.identity = verify(token, options);
    } catch (error) {
      return next(error instanceof Refusal ? error : new Refusal("AUTH_UNAVAILABLE"));
    }
    return next();
  };
}

const roomsOf = (socket) => [...socket.rooms].filter((room) => room !== socket.id).sort();

function rooms(socket, on) {
  on("join", (room, ack) => {
    socket.join(room);
    ack(roomsOf(socket));
  });
  on("leave", (room, ack) => {
    socket.leave(room);
    ack(roomsOf(socket));
  });
  on("rooms", (ack) => ack(roomsOf(socket)));
  on("say", (room, text, ack) => {
    socket.to(room).emit("said", { from: socket.id, text });
    ack("ok");
  });
  on("say-except", (room, except, text, ack) => {
    socket.to(room).except(except).emit("said", { from: socket.id, text });
    ack("ok");
  });
  on("say-all", (text, ack) => {
    socket.nsp.emit("said", { from: socket.id, text });
    ack?.("ok");
  });
  on("kick-room", (room, close) => socket.nsp.in(room).disconnectSockets(close));
}

function acks(socket, on) {
  on("whoami", (ack) => {
    const { sub, username } = socket.data.identity ?? { sub: null, username: null };
    ack({ namespace: socket.nsp.name, sub, username });
  });
  on("echo", (...args) => {
    const ack = args.at(-1);
    if (typeof ack === "function") ack(...args.slice(0, -1));
    else socket.emit("echo", ...args);
  });
  on("ask", async (event, ack) => {
    try {
      ack({ ok: await socket.timeout(2_000).emitWithAck(event, "ping") });
    } catch (error) {
      ack({ error: error.message });
    }
  });
  on("ask-room", async (room, ack) => {
    try {
      const answers = await socket.nsp.in(room).timeout(500).emitWithAck("question", "ping");
      ack({ answers });
    } catch (error) {
      ack({ error: error.message, answers: error.responses });
    }
  });
}

function rest(socket, on, counters) {
  // One chain per socket stands in for our ordered queue; Node itself interleaves.
  let last = Promise.resolve();
  on("slow", (ms, value, ack) => {
    last = last.then(() => wait(ms)).then(() => ack(value));
  });
  on("panic", () => {
    throw new Error("the handler panicked");
  });
  on("kick", (close, ack) => {
    ack?.("ok");
    socket.disconnect(close);
  });
  on("volatile", (n) => {
    for (let i = 0; i < n; i += 1) socket.volatile.emit("v", i);
    socket.emit("v-end");
  });
  on("plain", (n) => socket.compress(false).emit("plain", "x".repeat(n)));
  on("handshake", (ack) => ack(socket.handshake));
  socket.on("counters", (ack) => ack(counters));
}

function gateway(namespace, counters) {
  namespace.on("connection", async (socket) => {
    counters.connected += 1;
    socket.on("disconnect", (reason) => {
      counters.disconnected += 1;
      counters.reasons[reason] = (counters.reasons[reason] ?? 0) + 1;
    });
    const on = (event, handler) =>
      socket.on(event, (...args) => {
        counters.handled += 1;
        return handler(...args);
      });
    rooms(socket, on);
    acks(socket, on);
    rest(socket, on, counters);
    const { connect } = socket.handshake.auth;
    await steer(connect);
    if (connect?.kick !== undefined) socket.disconnect(connect.kick);
  });
}

export function serve(options) {
  const http = createServer((request, response) => response.writeHead(404).end());
  const io = new Server(http, {
    allowRequest: (request, callback) => {
      const { origin } = request.headers;
      const good = !options.origin || !origin || options.origin.includes(origin);
      callback(good ? null : "Forbidden", good);
    },
    connectTimeout: Number(options["auth-timeout"]),
    cors: options.origin && { origin: options.origin },
    maxHttpBufferSize: Number(options["max-payload"]),
    parser: options.codec === "msgpack" ? msgpack : undefined,
    pingInterval: Number(options["ping-interval"]),
    pingTimeout: Number(options["ping-timeout"]),
    serveClient: false,
    transports: options.transports.split(","),
    upgradeTimeout: Number(options["upgrade-timeout"]),
  });
  const counters = { verified: 0, connected: 0, disconnected: 0, handled: 0, reasons: {} };
  const guarded = [io.of("/"), io.of("/admin"), io.of(/^\/tenant-[^/]+$/)];
  for (const namespace of guarded) namespace.use(authenticator(options, counters));
  for (const namespace of [...guarded, io.of("/open")]) gateway(namespace, counters);
  process.on("uncaughtException", (error) => console.error(error.message));
  return http;
}
