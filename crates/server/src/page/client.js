/**
 * A small Socket.IO v5 client: namespaces, events, acks, and reconnecting.
 *
 *   Socket "/"      ─┐
 *                    ├─ Client ── Session (engine.js) ── polling or WebSocket
 *   Socket "/staff" ─┘
 *
 * A lost transport is tried again, with growing and jittered delays. A refusal
 * (`connect_error`) and a DISCONNECT from the server are decisions: they are not argued with.
 *
 * Not here: attachments. A binary packet ends the session, as any other packet that is not
 * understood.
 */

import { Session } from "./engine.js";

const TYPE = { connect: 0, disconnect: 1, event: 2, ack: 3, connectError: 4 };
const FIRST_DELAY_MS = 1_000;
const LONGEST_DELAY_MS = 5_000;
const ACK_TIMEOUT_MS = 5_000;
const GOODBYE_DELAY_MS = 250;

/** `<type>[<namespace>,][<ack id>][<JSON>]`, the namespace being left out for `/`. */
export function encode({ type, namespace, id, data }) {
  const where = namespace === "/" ? "" : `${namespace},`;
  return `${type}${where}${id ?? ""}${data === undefined ? "" : JSON.stringify(data)}`;
}

/** The packet in `text`; throws when there is none. */
export function decode(text) {
  const match = /^([0-4])(?:(\/[^,]*)(?:,|$))?(\d+)?([^]*)$/.exec(text);
  if (!match) throw new Error("not a Socket.IO packet");
  const [, type, namespace = "/", id, json] = match;
  const packet = {
    type: Number(type),
    namespace,
    id: id === undefined ? undefined : Number(id),
    data: json === "" ? undefined : JSON.parse(json),
  };
  if (!isWhole(packet)) throw new Error("the packet's data is not of its type");
  return packet;
}

function isWhole({ type, data }) {
  if (type === TYPE.event) return Array.isArray(data) && typeof data[0] === "string";
  if (type === TYPE.ack) return Array.isArray(data);
  if (type === TYPE.connect) return typeof data?.sid === "string";
  return true;
}

/** Listeners by name; what is fired is told to each of them in order. */
class Emitter {
  #listeners = new Map();

  on(name, listener) {
    const listeners = this.#listeners.get(name) ?? [];
    this.#listeners.set(name, [...listeners, listener]);
    return this;
  }

  /** For the two classes below; users of a socket `emit`. */
  fire(name, ...args) {
    (this.#listeners.get(name) ?? []).forEach((listener) => listener(...args));
  }
}

/**
 * One namespace of a client. Fires `connect`, `connect_error`, `disconnect`, then `event` for
 * everything the server emits, `emitted` for everything we do,
 * and `acked` for the answers.
 */
class Socket extends Emitter {
  namespace;
  id = null;
  #send;
  #auth;
  #acks = new Map();
  #nextAck = 0;
  #active = true;

  constructor(namespace, auth, send) {
    super();
    this.namespace = namespace;
    this.#auth = auth;
    this.#send = (packet) => send({ namespace, ...packet });
  }

  get connected() {
    return this.id !== null;
  }

  /** Whether this socket connects again after a lost transport. */
  get active() {
    return this.#active;
  }

  emit(event, ...args) {
    this.#emit(undefined, event, args);
  }

  /** Resolves with the first argument of the answer, rejects without one. */
  emitWithAck(event, ...args) {
    return new Promise((resolve, reject) => {
      const id = this.#nextAck;
      this.#emit(id, event, args);
      this.#nextAck += 1;
      const timer = setTimeout(() => {
        this.#acks.delete(id);
        reject(new Error("no answer in time"));
      }, ACK_TIMEOUT_MS);
      this.#acks.set(id, { event, resolve, reject, timer });
    });
  }

  /** Leaves the namespace, for good. */
  disconnect() {
    const wasConnected = this.connected;
    this.#active = false;
    if (wasConnected) this.#send({ type: TYPE.disconnect });
    this.handleClose("io client disconnect");
  }

  #emit(id, event, args) {
    if (!this.connected) throw new Error("not connected");
    this.#send({ type: TYPE.event, id, data: [event, ...args] });
    this.fire("emitted", event, args);
  }

  handleOpen() {
    if (this.#active) this.#send({ type: TYPE.connect, data: this.#auth });
  }

  handlePacket({ type, id, data }) {
    switch (type) {
      case TYPE.connect:
        this.id = data.sid;
        return this.fire("connect");
      case TYPE.connectError:
        this.#active = false;
        return this.fire("connect_error", data);
      case TYPE.disconnect:
        this.#active = false;
        return this.handleClose("io server disconnect");
      case TYPE.ack:
        return this.#handleAck(id, data);
      default:
        return this.fire("event", data[0], data.slice(1));
    }
  }

  handleClose(reason) {
    const wasConnected = this.connected;
    this.id = null;
    for (const { reject, timer } of this.#acks.values()) {
      clearTimeout(timer);
      reject(new Error("the connection was lost"));
    }
    this.#acks.clear();
    if (wasConnected) this.fire("disconnect", reason);
  }

  #handleAck(id, data) {
    const waiting = this.#acks.get(id);
    if (!waiting) return;
    this.#acks.delete(id);
    clearTimeout(waiting.timer);
    this.fire("acked", waiting.event, data[0]);
    waiting.resolve(data[0]);
  }
}

/**
 * The sockets of one page, multiplexed over one session. Fires `open`, `transport(name)`,
 * `upgradeFailed`, `beat`, `close(reason)` and `retry(delay)`.
 */
export class Client extends Emitter {
  #url;
  #choice;
  #session = null;
  #sockets = new Map();
  #attempt = 0;
  #retry = null;

  /** `choice` is `auto` (polling, then an upgrade), `websocket` or `polling`. */
  constructor(url, choice) {
    super();
    this.#url = url;
    this.#choice = choice;
  }

  /** How packets travel at the moment, if they do. */
  get transport() {
    return this.#session?.transport ?? null;
  }

  /** The socket for `namespace`, made and connected if there is none that is alive. */
  socket(namespace, auth) {
    const known = this.#sockets.get(namespace);
    if (known?.active) return known;
    const socket = new Socket(namespace, auth, (packet) => this.#session?.send(encode(packet)));
    this.#sockets.set(namespace, socket);
    if (this.#session?.isOpen) socket.handleOpen();
    else if (!this.#session && this.#retry === null) this.#open();
    return socket;
  }

  /** Leaves every namespace and closes the session. */
  close() {
    clearTimeout(this.#retry);
    this.#retry = null;
    this.#sockets.forEach((socket) => socket.disconnect());
    this.#session?.close();
  }

  #open() {
    this.#retry = null;
    const session = new Session(this.#url, this.#choice, {
      open: () => {
        this.fire("open");
        this.fire("transport", session.transport);
        this.#sockets.forEach((socket) => socket.handleOpen());
      },
      upgrade: () => this.fire("transport", session.transport),
      upgradeFailed: () => this.fire("upgradeFailed"),
      beat: () => this.fire("beat"),
      message: (text) => this.#handleMessage(text),
      close: (reason) => this.#handleClose(reason),
    });
    this.#session = session;
  }

  #handleMessage(text) {
    let packet;
    try {
      packet = decode(text);
    } catch {
      this.#session.close("parse error");
      return;
    }
    const socket = this.#sockets.get(packet.namespace);
    if (!socket) return;
    if (packet.type === TYPE.connect) this.#attempt = 0;
    socket.handlePacket(packet);
    if (!this.#wanted()) this.#closeUnused(packet.type);
  }

  #closeUnused(type) {
    const session = this.#session;
    const close = () => {
      if (session === this.#session && !this.#wanted()) session?.close();
    };
    // A server that made us leave may be closing the session too: it is left the time to.
    if (type === TYPE.disconnect) setTimeout(close, GOODBYE_DELAY_MS);
    else queueMicrotask(close);
  }

  #handleClose(reason) {
    this.#session = null;
    this.fire("close", reason);
    this.#sockets.forEach((socket) => socket.handleClose(reason));
    if (!this.#wanted() || this.#session || this.#retry !== null) return;
    const longest = Math.min(FIRST_DELAY_MS * 2 ** this.#attempt, LONGEST_DELAY_MS);
    const delay = longest * (0.5 + Math.random() / 2);
    this.#attempt += 1;
    this.#retry = setTimeout(() => this.#open(), delay);
    this.fire("retry", delay);
  }

  #wanted() {
    return [...this.#sockets.values()].some((socket) => socket.active);
  }
}
