// Clients that publish and count, through the replacement of the nodes that they are on.
//
//   connect ──500 ms──▶ window opens ─────────────▶ retire() ──500 ms──▶ the node closes
//                       publishes, must hear all    window closes
//
// A message that was sent at a moment must have been heard once by every client in whose window
// that moment lies, and by nobody twice at any time.
import { setTimeout as wait } from "node:timers/promises";
import { next } from "../../support/bounded.mjs";
import { clientOf, done } from "./nodes.mjs";

/** How long after its connect a client may still miss something, and before its node's close. */
export const MARGIN_MS = 500;

const PUBLISH_EVERY_MS = 450;
const ROOMS = 3;

class Client {
  windows = [];
  heard = new Map();
  reasons = [];
  #sent = 0;
  #opens;

  constructor(index, node, log) {
    Object.assign(this, { index, log, node, room: `room ${index % ROOMS}` });
    this.socket = clientOf(node, {
      reconnection: true,
      reconnectionDelay: 50,
      reconnectionDelayMax: 250,
    });
    this.socket.on("connect", () => this.#enter());
    this.socket.on("disconnect", (reason) => {
      this.reasons.push(reason);
      this.close();
    });
    this.socket.on("load", (id) => this.heard.set(id, (this.heard.get(id) ?? 0) + 1));
  }

  get isOpen() {
    return this.windows.at(-1)?.end === Infinity;
  }

  async connect() {
    const connected = next(this.socket, "connect", 20_000);
    this.socket.connect();
    await connected;
  }

  async #enter() {
    const began = Date.now();
    await done(this.socket, "join", { rooms: this.room });
    const late = Date.now() - began - MARGIN_MS;
    if (late > 0) this.log.problems.push(`client ${this.index} was in its room ${late} ms late`);
    this.#opens = setTimeout(
      () => this.windows.push({ start: Date.now(), end: Infinity }),
      Math.max(0, -late),
    );
  }

  /** From now on it publishes nothing, and what it misses does not count. */
  close() {
    clearTimeout(this.#opens);
    if (this.isOpen) this.windows.at(-1).end = Date.now();
  }

  /** Publishes one message: to everyone, or every other time to its room. */
  publish() {
    this.#sent += 1;
    const id = `${this.index}:${this.#sent}`;
    const to = this.#sent % 2 === 0 ? this.room : undefined;
    this.log.messages.push({ at: Date.now(), id, to });
    this.socket.emit("op", "emit", { args: [id], event: "load", to }, ({ error }) => {
      if (error !== undefined) this.log.problems.push(`${id}: ${error}`);
    });
  }

  expects({ at, to }) {
    const inWindow = this.windows.some(({ start, end }) => start <= at && at <= end);
    return inWindow && (to === undefined || to === this.room);
  }
}

/** `count` clients, dealt out to the nodes. */
export class Load {
  log = { messages: [], problems: [] };
  #stopped = new AbortController();

  constructor(nodes, count) {
    this.clients = Array.from(
      { length: count },
      (_, index) => new Client(index, nodes[index % nodes.length], this.log),
    );
  }

  async start() {
    await Promise.all(this.clients.map((client) => client.connect()));
    this.publishing = Promise.all(this.clients.map((client) => this.#publish(client)));
  }

  async #publish(client) {
    const { signal } = this.#stopped;
    // Spread out, so that the nodes are never all busy at once and never all idle.
    await wait((client.index * 37) % PUBLISH_EVERY_MS);
    while (!signal.aborted) {
      if (client.isOpen) client.publish();
      await wait(PUBLISH_EVERY_MS);
    }
  }

  /** The clients of a node get ready for its end: their windows close, then the margin passes. */
  async retire(node) {
    for (const client of this.clients) if (client.node === node) client.close();
    await wait(MARGIN_MS);
  }

  /** Ready when every client of a node is back, and its window open again. */
  async returned(node, ms = 20_000) {
    const mine = this.clients.filter((client) => client.node === node);
    const end = Date.now() + ms;
    while (!mine.every((client) => client.isOpen)) {
      if (Date.now() > end) {
        throw new Error(`${mine.filter(({ isOpen }) => !isOpen).length} clients did not return`);
      }
      await wait(20);
    }
  }

  /** Ends it, and gives what was expected, lost, doubled and heard where it did not belong. */
  async finish() {
    this.#stopped.abort();
    await this.publishing;
    await wait(2 * MARGIN_MS);
    const report = { doubled: [], expected: 0, lost: [], misled: [], problems: this.log.problems };
    const rooms = new Map(this.log.messages.map(({ id, to }) => [id, to]));
    for (const client of this.clients) {
      for (const message of this.log.messages) {
        if (!client.expects(message)) continue;
        report.expected += 1;
        if (!client.heard.has(message.id)) report.lost.push(`${message.id} at ${client.index}`);
      }
      for (const [id, count] of client.heard) {
        const to = rooms.get(id);
        if (count > 1) report.doubled.push(`${id} at ${client.index}: ${count} times`);
        if (to !== undefined && to !== client.room) report.misled.push(`${id} at ${client.index}`);
      }
      client.socket.disconnect();
    }
    return report;
  }
}
