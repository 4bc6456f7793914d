// Peers that do no good, in a process of their own: `attackers.mjs <kind> <port> <ms> <token>`.
//
// Each kind keeps a bounded number of connections busy, and opens another when one is closed.
import { connect } from "node:net";
import { setTimeout as wait } from "node:timers/promises";

const [kind, port, ms, token] = process.argv.slice(2);
const CONNECTIONS = 20;
/** How long an attacker that was thrown out stays away. */
const PAUSE_MS = 50;

const PATH = "/socket.io/?EIO=4";
const KEY = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
const UPGRADE = `Connection: Upgrade\r\nUpgrade: websocket\r\n${KEY}\r\n`;
const handshake = (query, headers = UPGRADE) =>
  `GET ${PATH}&transport=${query} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`;

/** A frame masked with zeros. */
function frame(first, text = "") {
  const payload = Buffer.from(text);
  const length =
    payload.length < 126 ? [0x80 | payload.length] : [0xfe, payload.length >> 8, payload.length];
  return Buffer.concat([Buffer.from([first, ...length, 0, 0, 0, 0]), payload]);
}

const many = (buffer, count) => Buffer.concat(Array(count).fill(buffer));
const CONNECT = frame(0x81, `40${JSON.stringify({ token })}`);

/** What each kind sends: once, and then again and again. */
const FLOODS = {
  pings: [CONNECT, many(frame(0x89, "ping"), 500)],
  pongs: [CONNECT, many(frame(0x8a), 500)],
  fragments: [Buffer.concat([CONNECT, frame(0x01, "4")]), many(frame(0x00, "x"), 500)],
  "empty fragments": [Buffer.concat([CONNECT, frame(0x01)]), many(frame(0x00), 500)],
  "empty frames": [CONNECT, many(frame(0x82), 500)],
  "tiny packets": [CONNECT, many(frame(0x81, "42[0]"), 500)],
  "CONNECT attempts": [Buffer.alloc(0), many(frame(0x81, '40{"token":"bad"}'), 50)],
  "coming and going": [Buffer.alloc(0), Buffer.concat([CONNECT, frame(0x81, "41")])],
  "dynamic namespaces": [
    Buffer.alloc(0),
    () => frame(0x81, `40/tenant-${Math.random()},${JSON.stringify({ token })}`),
  ],
};

/** What dawdles: bytes, one at a time, and how often. */
const DAWDLERS = {
  "slow headers": ["GET / HTTP/1.1\r\n", "X"],
  "slow bodies": ["POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n", "x"],
  "slow frames": [handshake("websocket"), "\x81"],
  "half-open upgrades": [handshake("websocket"), ""],
  "requests that are not read": [handshake("polling", ""), handshake("polling", "")],
};

const end = Date.now() + Number(ms);
const isOver = () => Date.now() > end;

function dial() {
  const socket = connect(Number(port), "127.0.0.1");
  socket.on("error", () => {});
  const closed = new Promise((done) => socket.on("close", done));
  return { closed, socket };
}

async function flood([first, again]) {
  const { closed, socket } = dial();
  let isClosed = false;
  closed.then(() => (isClosed = true));
  socket.resume();
  socket.write(handshake("websocket"));
  socket.write(first);
  while (!isClosed && !isOver()) {
    const isTaken = socket.write(typeof again === "function" ? again() : again);
    if (!isTaken) await Promise.race([closed, new Promise((done) => socket.once("drain", done))]);
    await wait(5);
  }
  socket.destroy();
}

async function dawdle([first, again]) {
  const { closed, socket } = dial();
  let isClosed = false;
  closed.then(() => (isClosed = true));
  socket.write(first);
  while (!isClosed && !isOver()) {
    if (again !== "") socket.write(again);
    await Promise.race([closed, wait(250)]);
  }
  socket.destroy();
}

const attack = kind in FLOODS ? () => flood(FLOODS[kind]) : () => dawdle(DAWDLERS[kind]);
await Promise.all(
  Array.from({ length: CONNECTIONS }, async () => {
    while (!isOver()) {
      await attack();
      await wait(PAUSE_MS);
    }
  }),
);
process.exit(0);
