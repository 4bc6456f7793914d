/**
 * One Engine.IO v4 session in a browser: over polling, over WebSocket, or the first and then
 * the second.
 *
 *   opening ──0{…}──▶ open ──▶ closed          every session closes once, for one reason
 *                      │ 2probe, 3probe, 5     (polling only) moves to WebSocket meanwhile
 *
 * Not here: namespaces, events, acks and reconnecting (client.js). Binary messages are not
 * spoken: the page has no use for them, and one that arrives ends the session.
 */

const SEPARATOR = "\x1e";
const OPEN_TIMEOUT_MS = 20_000;
const PROBE_TIMEOUT_MS = 10_000;
const PACKET = {
  open: "0",
  close: "1",
  ping: "2",
  pong: "3",
  message: "4",
  upgrade: "5",
  noop: "6",
};

/** Packets by HTTP: one GET waits for the server's, one POST at a time carries ours. */
class Polling {
  name = "polling";
  #address;
  #hear;
  #aborter = new AbortController();
  #paused = false;
  #polling;
  #posting = Promise.resolve();

  constructor(address, hear) {
    this.#address = address;
    this.#hear = hear;
    this.#polling = this.#poll();
  }

  /** Resolves once the packets are with the server, or the transport has failed. */
  send(packets, limit) {
    this.#posting = this.#posting.then(() => this.#post(packets, limit));
    return this.#posting;
  }

  /** Resolves once no request is under way: then nothing can be lost between two transports. */
  async pause() {
    this.#paused = true;
    await Promise.all([this.#polling, this.#posting]);
  }

  /** Goes on; a poll that is still under way does so by itself, and two would be one too many. */
  resume() {
    this.#paused = false;
    this.#polling = this.#polling.then(() => this.#poll());
  }

  async finish(packets, limit) {
    this.#paused = true;
    await this.send([...packets, PACKET.close], limit);
    this.abort();
  }

  abort() {
    this.#aborter.abort();
  }

  async #poll() {
    while (!this.#paused && !this.#aborter.signal.aborted) {
      const body = await this.#request({ method: "GET" });
      if (body === null) return;
      body.split(SEPARATOR).forEach((packet) => this.#hear.packet(packet));
      // Whoever heard the packets may have decided to finish: then this was the last poll.
      await null;
    }
  }

  async #post(packets, limit) {
    for (const body of payloads(packets, limit)) {
      if ((await this.#request({ method: "POST", body })) === null) return;
    }
  }

  async #request(init) {
    const { signal } = this.#aborter;
    if (signal.aborted) return null;
    try {
      const request = { ...init, signal, cache: "no-store" };
      const response = await fetch(this.#address("polling"), request);
      const body = await response.text();
      if (response.ok) return body;
    } catch {
      // Aborted by ourselves, or the network is gone: said below.
    }
    if (!signal.aborted) this.#hear.failed("transport error");
    return null;
  }
}

/** Joins packets into bodies of at most `limit` bytes; a single larger packet goes alone. */
function payloads(packets, limit) {
  const bytes = new TextEncoder();
  const bodies = [];
  let size = 0;
  for (const packet of packets) {
    const length = bytes.encode(packet).length + SEPARATOR.length;
    if (bodies.length === 0 || size + length > limit) {
      bodies.push([]);
      size = 0;
    }
    bodies.at(-1).push(packet);
    size += length;
  }
  return bodies.map((body) => body.join(SEPARATOR));
}

/** Packets by WebSocket: one frame each. */
class Socket {
  name = "websocket";
  #socket;

  constructor(socket, hear) {
    this.#socket = socket;
    socket.onopen = null;
    socket.onmessage = ({ data }) => hear.packet(data);
    socket.onclose = () => hear.failed("transport close");
    socket.onerror = () => hear.failed("transport error");
  }

  async send(packets) {
    packets.forEach((packet) => this.#socket.send(packet));
  }

  async finish(packets) {
    await this.send(packets);
    this.abort();
  }

  abort() {
    this.#socket.onclose = this.#socket.onerror = this.#socket.onmessage = null;
    this.#socket.close();
  }
}

/**
 * A session. `hear` is told what happens: `open()`, `message(text)`, `upgrade()`,
 * `upgradeFailed()`, `beat()`, and last and exactly once `close(reason)`.
 */
export class Session {
  #url;
  #hear;
  #choice;
  #transport;
  #state = "opening";
  #handshake = null;
  #queue = [];
  #writing = false;
  #probe = null;
  #timer = null;

  constructor(url, choice, hear) {
    this.#url = new URL("/socket.io/", url);
    this.#choice = choice;
    this.#hear = hear;
    this.#transport =
      choice === "websocket"
        ? new Socket(new WebSocket(this.#address("websocket")), this.#ear())
        : new Polling((name) => this.#address(name), this.#ear());
    this.#arm(OPEN_TIMEOUT_MS, "timeout");
  }

  /** How packets travel at the moment. */
  get transport() {
    return this.#transport.name;
  }

  get isOpen() {
    return this.#state === "open";
  }

  send(message) {
    this.#write(PACKET.message + message);
  }

  /** Says goodbye, after everything that was sent before. */
  close(reason = "forced close") {
    if (this.#state === "closed") return;
    const wasOpen = this.isOpen;
    this.#end(reason, !wasOpen);
    if (wasOpen) this.#transport.finish(this.#queue.splice(0), this.#handshake.maxPayload);
  }

  #address(transport) {
    const url = new URL(this.#url);
    if (transport === "websocket") url.protocol = url.protocol.replace("http", "ws");
    url.searchParams.set("EIO", "4");
    url.searchParams.set("transport", transport);
    if (this.#handshake) url.searchParams.set("sid", this.#handshake.sid);
    return url;
  }

  #ear() {
    return {
      packet: (packet) => this.#handlePacket(packet),
      failed: (reason) => this.#end(reason),
    };
  }

  #handlePacket(packet) {
    if (this.#state === "closed") return;
    const type = typeof packet === "string" ? packet[0] : undefined;
    if (this.#state === "opening" && type !== PACKET.open) return this.#end("parse error");
    switch (type) {
      case PACKET.open:
        return this.#handleOpen(packet.slice(1));
      case PACKET.close:
        return this.#end("transport close");
      case PACKET.ping:
        this.#write(PACKET.pong);
        this.#awaitPing();
        return this.#hear.beat();
      case PACKET.message:
        return this.#hear.message(packet.slice(1));
      case PACKET.noop:
        return undefined;
      default:
        return this.#end("parse error");
    }
  }

  #handleOpen(text) {
    try {
      this.#handshake = JSON.parse(text);
    } catch {
      return this.#end("parse error");
    }
    this.#state = "open";
    this.#awaitPing();
    this.#hear.open();
    if (this.#choice === "auto" && this.#handshake.upgrades.includes("websocket")) this.#upgrade();
    return undefined;
  }

  /** The server pings; one that has fallen silent for interval and timeout is gone. */
  #awaitPing() {
    this.#arm(this.#handshake.pingInterval + this.#handshake.pingTimeout, "ping timeout");
  }

  #arm(timeout, reason) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#end(reason), timeout);
  }

  #write(packet) {
    if (this.#state === "closed") return;
    this.#queue.push(packet);
    // Whatever is written in one go travels in one request.
    queueMicrotask(() => this.#flush());
  }

  async #flush() {
    const held = this.#writing || this.#probe?.answered;
    if (held || this.#queue.length === 0 || this.#state === "closed") return;
    this.#writing = true;
    await this.#transport.send(this.#queue.splice(0), this.#handshake.maxPayload);
    this.#writing = false;
    this.#flush();
  }

  /**
   * Moves from polling to WebSocket. Once the probe is answered, writing is held and the last
   * poll awaited; a probe that fails costs nothing, polling goes on.
   */
  #upgrade() {
    const polling = this.#transport;
    const socket = new WebSocket(this.#address("websocket"));
    const probe = { socket, answered: false, timer: null };
    const abandon = () => {
      this.#dropProbe();
      if (this.#state === "closed") return;
      if (probe.answered) polling.resume();
      this.#hear.upgradeFailed();
      this.#flush();
    };
    probe.timer = setTimeout(abandon, PROBE_TIMEOUT_MS);
    this.#probe = probe;
    socket.onopen = () => socket.send(`${PACKET.ping}probe`);
    socket.onclose = socket.onerror = abandon;
    socket.onmessage = async ({ data }) => {
      if (data !== `${PACKET.pong}probe`) return abandon();
      probe.answered = true;
      await polling.pause();
      if (this.#probe !== probe) return undefined;
      clearTimeout(probe.timer);
      this.#probe = null;
      socket.send(PACKET.upgrade);
      this.#transport = new Socket(socket, this.#ear());
      this.#hear.upgrade();
      return this.#flush();
    };
  }

  #dropProbe() {
    if (!this.#probe) return;
    const { socket, timer } = this.#probe;
    this.#probe = null;
    clearTimeout(timer);
    socket.onopen = socket.onclose = socket.onerror = socket.onmessage = null;
    socket.close();
  }

  #end(reason, abort = true) {
    if (this.#state === "closed") return;
    this.#state = "closed";
    clearTimeout(this.#timer);
    this.#dropProbe();
    if (abort) this.#transport.abort();
    this.#hear.close(reason);
  }
}
