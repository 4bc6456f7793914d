// Plays the script on a cluster, and writes down what came of it in words that are the same for
// every cluster: ids become the names of clients.
//
//   step ─▶ op ─▶ answer ─▶ two fences ─▶ {answer, heard, gone, rooms, received}
//
// A fence is an event to everyone. What its publisher did before has happened, wherever the fence
// is heard: the first comes from the node that was asked, and the second from another, because a
// node may learn of its own operations from Redis, behind its own emits.
//
// On a Redis Cluster channels have servers of their own, and nothing says in which order messages
// of two of them come: there a step is over when what came of it is what is `expected`, or after a
// while. What comes later still is found in the next step.
import { isDeepStrictEqual } from "node:util";
import { quiet, within } from "../../support/bounded.mjs";
import { done, join, op } from "./nodes.mjs";
import { ROOMS } from "./script.mjs";

const ROLES = ["here", "next", "last"];

/** How long a room that was joined may be without its channel. */
const SUBSCRIBED_MS = 60;

/** How long what is on its way may take over several servers. */
const UNTIL_EXPECTED_MS = 2_000;

let fences = 0;

/** One client: what it hears, and how it answers. */
class Actor {
  heard = [];
  gone = null;
  fence = 0;
  #waiting = [];

  constructor(role, socket) {
    Object.assign(this, { role, socket });
    this.listen = (event, ...args) => this.#hear(event, args);
    this.ended = (reason) => {
      this.gone = reason;
      this.#wake();
    };
    socket.onAny(this.listen);
    socket.on("disconnect", this.ended);
  }

  release() {
    this.socket.offAny(this.listen);
    this.socket.off("disconnect", this.ended);
  }

  /** Ready when fence `number` was heard, or never will be. */
  async reached(number) {
    const passed = () => this.gone !== null || this.fence >= number;
    const waiting = async () => {
      while (!passed()) await new Promise((wake) => this.#waiting.push(wake));
    };
    await within(waiting(), 10_000, `${this.role} to hear fence ${number}`);
  }

  #wake() {
    this.#waiting.splice(0).forEach((wake) => wake());
  }

  #hear(event, args) {
    if (event === "fence") {
      this.fence = Math.max(this.fence, args[0]);
      return this.#wake();
    }
    const ack = typeof args.at(-1) === "function" ? args.pop() : undefined;
    this.heard.push([event, ...args]);
    if (event === "question") ack?.({ from: this.role, args });
    if (event === "bytes") ack?.(Buffer.from(this.role));
    if (event === "silence" && this.role !== "last1") ack?.(this.role);
    return undefined;
  }
}

/** The cluster as seen from one of its nodes. */
export class Stage {
  /** `asker`, if given, does the operations in place of `here1`: one that is no client. */
  constructor(cluster, first, asker) {
    cluster.clients.forEach(({ node, socket }) => (socket.nodeName = `n${node}`));
    this.asker = asker;
    this.actors = cluster.clients.map(({ node, name, socket }) => {
      const role = ROLES[(node - first + ROLES.length) % ROLES.length];
      return new Actor(`${role}${name.split(".")[1]}`, socket);
    });
  }

  actor(role) {
    return this.actors.find((actor) => actor.role === role);
  }

  release() {
    this.actors.forEach((actor) => actor.release());
  }

  /**
   * Everyone is connected, in the rooms of the script and no others, with data of its own. A room
   * that is left and joined at once is without its channel for ever on some of Node's nodes, which
   * send the two commands to Redis without waiting: so there is a pause between them.
   */
  async set() {
    let moved = false;
    for (const { role, socket } of this.actors) {
      if (!socket.connected) await join(socket);
      const rooms = await done(socket, "rooms");
      const surplus = rooms.filter((room) => room !== socket.id && !ROOMS[role].includes(room));
      if (surplus.length > 0) await done(socket, "leave", { rooms: surplus });
      moved ||= surplus.length > 0;
    }
    if (moved) await quiet(SUBSCRIBED_MS);
    for (const { role, socket } of this.actors) {
      await done(socket, "join", { rooms: ROOMS[role] });
      await done(socket, "set-data", { role, n: 1, deep: { list: [1, "2", null] } });
    }
    await quiet(SUBSCRIBED_MS);
  }

  async fence(from) {
    fences += 1;
    await from("emit", { event: "fence", args: [fences] });
    await Promise.all(this.actors.map((actor) => actor.reached(fences)));
  }

  async step(step, expected) {
    const { argument, ends, heardByNodes, look, op: name, title, unordered } = step;
    for (const actor of this.actors) Object.assign(actor, { gone: null, heard: [] });
    const before = heardByNodes ? await this.#received() : undefined;
    const ask = this.asker ?? by(this.actor("here1"));
    let answer = await ask(name, this.#addressed(argument));
    await this.fence(ask);
    const elsewhere = this.actors.find(({ gone, role }) => !gone && !role.startsWith("here"));
    if (elsewhere) await this.fence(by(elsewhere));
    answer = this.#named(answer);
    if (unordered) sort(answer.ok ?? answer.responses);
    if (name === "fetch-sockets") sort(answer.ok);
    if (name === "all-rooms") sort(answer.ok);
    const record = await settled(
      () => this.#record({ answer, before, look }),
      (sofar) => isDeepStrictEqual(sofar, expected?.get(title)),
      expected === undefined ? 0 : UNTIL_EXPECTED_MS,
    );
    if (ends) await this.set();
    return record;
  }

  /** What has come of a step by now. */
  async #record({ answer, before, look }) {
    const record = { answer, heard: {}, gone: {} };
    for (const { gone, heard, role } of this.actors) {
      if (heard.length > 0) record.heard[role] = this.#named(heard);
      if (gone !== null) record.gone[role] = gone;
    }
    if (look) record.rooms = await this.#rooms();
    if (before) record.received = since(before, await this.#received());
    return record;
  }

  /** The rooms of every socket as each node tells them. */
  async #rooms() {
    const rooms = {};
    for (const { role, socket } of this.actors) {
      rooms[role] = sort(this.#named(await done(socket, "rooms")));
    }
    const fetched = await done(this.actor("here1").socket, "fetch-sockets", {});
    return { fetched: sort(this.#named(fetched)), rooms };
  }

  async #received() {
    const received = {};
    for (const role of ROLES) {
      received[role] = await done(this.actor(`${role}1`).socket, "received");
    }
    return received;
  }

  #addressed(value) {
    return replace(value, (text) =>
      text.startsWith("@") ? this.actor(text.slice(1)).socket.id : text,
    );
  }

  #named(value) {
    const names = new Map(this.actors.map(({ role, socket }) => [socket.id, `@${role}`]));
    const nodes = new Map(ROLES.map((role) => [this.#nodeName(role), role]));
    return replace(value, (text) => names.get(text) ?? nodes.get(text) ?? text);
  }

  #nodeName(role) {
    return this.actor(`${role}1`).socket.nodeName;
  }
}

/** Operations as one client asks for them. */
const by =
  ({ socket }) =>
  (name, argument) =>
    op(socket, name, argument);

/** The value with every text in it replaced; lists of rooms are sorted anew by their new names. */
function replace(value, change) {
  if (typeof value === "string") return change(value);
  if (Array.isArray(value)) return value.map((item) => replace(item, change));
  if (value === null || typeof value !== "object" || ArrayBuffer.isView(value)) return value;
  const entries = Object.entries(value).map(([key, inner]) => {
    const changed = replace(inner, change);
    return [key, key === "rooms" && Array.isArray(changed) ? sort(changed) : changed];
  });
  return Object.fromEntries(entries);
}

function sort(list) {
  const key = (value) => (Buffer.isBuffer(value) ? value.toString() : JSON.stringify(value));
  return list?.sort((a, b) => (key(a) < key(b) ? -1 : Number(key(a) > key(b))));
}

const since = (before, now) =>
  Object.fromEntries(ROLES.map((role) => [role, now[role].slice(before[role].length)]));

/** The record when it is as it should be; or as it is after `ms`. */
async function settled(ask, isRight, ms) {
  const end = Date.now() + ms;
  for (;;) {
    const record = await ask();
    if (isRight(record) || Date.now() >= end) return record;
    await quiet(10);
  }
}

/** As `play`, on a Redis of several servers, of which none knows the order of all messages. */
export function playApart(cluster, first, steps, expected) {
  return play(cluster, first, steps, undefined, expected);
}

/** Plays steps as seen from node `first`: title → what came of it. */
export async function play(cluster, first, steps, asker, expected) {
  const stage = new Stage(cluster, first, asker);
  const records = new Map();
  try {
    await stage.set();
    for (const step of steps) records.set(step.title, await stage.step(step, expected));
  } finally {
    stage.release();
  }
  return records;
}
