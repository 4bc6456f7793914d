// Stock clients and their tokens.
import jsonwebtoken from "jsonwebtoken";
import { io } from "socket.io-client";
import msgpack from "socket.io-msgpack-parser";
import { next, quiet, within } from "./bounded.mjs";
import { learn, overhear } from "./secrets.mjs";
import { SECRET } from "./server.mjs";

export const TRANSPORTS = {
  polling: { transports: ["polling"] },
  websocket: { transports: ["websocket"] },
  upgrade: { transports: ["polling", "websocket"] },
};
export const GUARDED = ["/", "/admin", "/tenant-42"];

/** A token as `jsonwebtoken` makes it; `options` are its own. */
export function mint(claims = {}, options = {}, secret = SECRET) {
  const all = { sub: "42", username: "alice", ...claims };
  for (const name of Object.keys(all)) if (all[name] === undefined) delete all[name];
  const lifetime = "exp" in claims ? {} : { expiresIn: "1h" };
  return learn(jsonwebtoken.sign(all, secret, { algorithm: "HS256", ...lifetime, ...options }));
}

/** A client that has not connected yet and does not share its connection with another. */
export function client(server, options = {}) {
  const { namespace = "/", transport = "websocket", codec = "json", ...rest } = options;
  const socket = io(server.url + namespace, {
    ...TRANSPORTS[transport],
    auth: { token: mint() },
    autoConnect: false,
    forceNew: true,
    parser: codec === "msgpack" ? msgpack : undefined,
    reconnectionDelay: 20,
    reconnectionDelayMax: 40,
    timeout: 5_000,
    ...rest,
  });
  return overhear(socket);
}

/** Connects, and with the transport "upgrade" waits until the upgrade is complete. */
export async function connected(socket) {
  const connect = next(socket, "connect");
  const refused = new Promise((_, failed) => socket.once("connect_error", failed));
  socket.connect();
  const { engine } = socket.io;
  const upgrades = engine.opts.transports.length > 1 && engine.transport.name === "polling";
  const upgraded = upgrades ? next(engine, "upgrade") : undefined;
  upgraded?.catch(() => {});
  await Promise.race([connect, refused]);
  await upgraded;
  return socket;
}

/** How the server refused: the error, and what a refused client must never see. */
export async function refused(socket) {
  const seen = [];
  for (const event of ["connect", "disconnect"]) socket.on(event, () => seen.push(event));
  socket.onAny((event) => seen.push(event));
  const error = next(socket, "connect_error");
  socket.connect();
  const [{ message, data }] = await error;
  return { message, code: data?.code, active: socket.active, seen };
}

/** Emits and waits for the ack. */
export function ask(socket, event, ...args) {
  return within(socket.emitWithAck(event, ...args), 5_000, `the ack of ${event}`);
}

/** The server's counters, once the clients of earlier tests have been counted out. */
export async function settled(watcher) {
  let before;
  let now = await ask(watcher, "counters");
  do {
    before = now;
    await quiet(40);
    now = await ask(watcher, "counters");
  } while (now.disconnected !== before.disconnected || now.handled !== before.handled);
  return now;
}

/** Clients that are gone when the test ends, and a watcher on `/open` for the counters. */
export function scope(context) {
  const sockets = [];
  context.after(() => {
    for (const { io: manager } of sockets) {
      manager.reconnection(false);
      manager.engine?.close();
    }
  });
  return {
    client(server, options) {
      const socket = client(server, options);
      sockets.push(socket);
      return socket;
    },
    connected(server, options) {
      return connected(this.client(server, options));
    },
    watcher(server, options) {
      return this.connected(server, { namespace: "/open", auth: {}, ...options });
    },
  };
}
