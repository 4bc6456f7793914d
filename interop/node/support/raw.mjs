// Requests and frames written by hand, for what a stock client never does.
import { request } from "node:http";
import { connect } from "node:net";
import { WebSocket } from "ws";
import { within } from "./bounded.mjs";
import { learn } from "./secrets.mjs";

export const PATH = "/socket.io/?EIO=4";
export const SEPARATOR = "\x1e";

/** One HTTP exchange; `body` is text, `bytes` what came over the wire. */
export function http(server, path, options = {}) {
  const { body, method = "GET", headers = {}, signal } = options;
  const exchange = new Promise((done, failed) => {
    const outgoing = request(
      { agent: false, headers, host: "127.0.0.1", method, path, port: server.port, signal },
      (response) => {
        const parts = [];
        response.on("data", (part) => parts.push(part));
        response.on("error", failed);
        response.on("end", () => {
          const bytes = Buffer.concat(parts);
          const { statusCode: status, headers, rawHeaders } = response;
          done({ status, headers, rawHeaders, bytes, body: bytes.toString() });
        });
      },
    );
    outgoing.on("error", failed);
    if (typeof body === "function") body(outgoing);
    else outgoing.end(body);
  });
  exchange.catch(() => {});
  return within(exchange, 5_000, `the answer to ${method} ${path}`);
}

/** A polling session: `get()` gives the packets of one poll, `post(…)` sends some. */
export async function openPolling(server, { query = "", headers, path = PATH } = {}) {
  const opened = await http(server, `${path}&transport=polling${query}`, { headers });
  if (opened.status !== 200) throw new Error(`handshake: ${opened.status} ${opened.body}`);
  const handshake = JSON.parse(opened.body.slice(1));
  const { sid } = handshake;
  learn(sid);
  const url = `${path}&transport=polling&sid=${sid}`;
  return {
    handshake,
    opened,
    sid,
    url,
    poll: (options) => http(server, url, options),
    async get(options) {
      const { status, body } = await http(server, url, options);
      return status === 200 ? body.split(SEPARATOR) : [`status ${status}`, body];
    },
    post: (...packets) => http(server, url, { body: packets.join(SEPARATOR), method: "POST" }),
  };
}

/** A WebSocket that keeps what comes until it is asked for. Pings are answered, unless told not. */
export class RawSocket {
  #arrived = [];
  #waiting = [];

  constructor(server, { query = "", path = PATH, pongs = true, ...options } = {}) {
    const url = `ws://127.0.0.1:${server.port}${path}&transport=websocket${query}`;
    this.ws = new WebSocket(url, options);
    this.ended = new Promise((done) => this.ws.on("close", (code) => done(code)));
    this.opened = new Promise((done, failed) => {
      this.ws.on("open", done);
      this.ws.on("error", failed);
    });
    this.opened.catch(() => {});
    this.ws.on("message", (data, isBinary) => {
      const message = isBinary ? data : data.toString();
      if (pongs && message === "2") return this.ws.send("3");
      const waiting = this.#waiting.shift();
      if (waiting) return waiting(message);
      return this.#arrived.push(message);
    });
    this.ended.then(() => this.#waiting.splice(0).forEach((waiting) => waiting("closed")));
  }

  /** The next message; the text `closed` if there is none before the end. */
  next(ms = 5_000) {
    if (this.#arrived.length > 0) return Promise.resolve(this.#arrived.shift());
    if (this.ws.readyState >= WebSocket.CLOSING) return Promise.resolve("closed");
    const message = new Promise((done) => this.#waiting.push(done));
    return within(message, ms, "a message on the WebSocket");
  }

  /** What has come so far and was not asked for. */
  get pending() {
    return [...this.#arrived];
  }

  /** Sends the messages in one segment. */
  send(...messages) {
    const tcp = this.ws._socket;
    tcp.cork();
    for (const message of messages) this.ws.send(message);
    tcp.uncork();
  }

  /** The status code with which the connection ended. */
  closed(ms = 5_000) {
    return within(this.ended, ms, "the end of the WebSocket");
  }
}

/** A WebSocket whose Engine.IO handshake is done. */
export async function openWebSocket(server, options) {
  const socket = new RawSocket(server, options);
  await within(socket.opened, 5_000, "the WebSocket to open");
  if (!options?.query?.includes("sid=")) {
    socket.handshake = JSON.parse((await socket.next()).slice(1));
  }
  return socket;
}

/** How an upgrade was answered when not with 101. */
export function refusedUpgrade(server, path, headers = {}) {
  const ws = new WebSocket(`ws://127.0.0.1:${server.port}${path}`, { headers });
  const answer = new Promise((done, failed) => {
    ws.on("open", () => failed(new Error("the upgrade was accepted")));
    ws.on("error", () => {});
    ws.on("unexpected-response", (_, response) => {
      let body = "";
      response.on("data", (part) => (body += part));
      response.on("end", () => done({ status: response.statusCode, body }));
    });
  });
  return within(answer, 5_000, "the answer to the upgrade");
}

/** Writes bytes to the port; the promise gives what came back when the server closed. */
export function bytes(server, ...parts) {
  const answer = new Promise((done) => {
    const tcp = connect(server.port, "127.0.0.1");
    let got = "";
    tcp.on("data", (data) => (got += data));
    tcp.on("error", () => {});
    tcp.on("close", () => done(got));
    parts.forEach((part) => tcp.write(part));
  });
  return within(answer, 15_000, "the server to close the connection");
}

/** A CONNECT packet with its Engine.IO type. */
export const connectPacket = (auth, namespace = "/") =>
  `40${namespace === "/" ? "" : `${namespace},`}${auth === undefined ? "" : JSON.stringify(auth)}`;
