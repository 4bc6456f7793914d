// Peers that do no good, in a process of their own: `attackers.mjs <kind> <port> <token>`.
//
// Each kind keeps a bounded number of connections busy, and opens another when one is closed. Says
// `begun`, goes on until its standard input ends, and says in JSON how much it did, and how often
// it was thrown out.
import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { frame, handshake, joining } from "./frames.mjs";

const [kind, port, token] = process.argv.slice(2);
const CONNECTIONS = 20;
/** How long an attacker that was thrown out stays away. */
const PAUSE_MS = 50;
/** How often a dawdler gives a sign of life. */
const DAWDLE_MS = 250;
/** Between one helping and the next. */
const FLOOD_MS = 5;

const many = (buffer, count) => Buffer.concat(Array(count).fill(buffer));
const CONNECT = joining(token);

/** What each kind sends: once, and then again and again. */
const FLOODS = {
  pings: [CONNECT, many(frame(0x89, "ping"), 500)],
  pongs: [CONNECT, many(frame(0x8a), 500)],
  fragments: [Buffer.concat([CONNECT, frame(0x01, "4")]), many(frame(0x00, "x"), 500)],
  "empty fragments": [Buffer.concat([CONNECT, frame(0x01)]), many(frame(0x00), 500)],
  "empty frames": [CONNECT, many(frame(0x82), 500)],
  "tiny packets": [CONNECT, many(frame(0x81, `42["x"]`), 500)],
  "CONNECT attempts": [Buffer.alloc(0), many(frame(0x81, '40{"token":"bad"}'), 50)],
  "coming and going": [Buffer.alloc(0), Buffer.concat([CONNECT, frame(0x81, "41")])],
  "dynamic namespaces": [
    Buffer.alloc(0),
    () => frame(0x81, `40/tenant-${Math.random()},${JSON.stringify({ token })}`),
  ],
};

/** What dawdles: what it sends first, and then a little at a time. */
const DAWDLERS = {
  "slow headers": ["GET / HTTP/1.1\r\n", "X"],
  "slow bodies": ["POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n", "x"],
  "slow frames": [handshake("websocket"), "\x81"],
  "half-open upgrades": [handshake("websocket"), ""],
  "requests that are not read": [handshake("polling"), handshake("polling")],
};

let isOver = false;
const done = { bytes: 0, connections: 0, expelled: 0 };

function dial() {
  const socket = connect(Number(port), "127.0.0.1");
  done.connections += 1;
  let isClosed = false;
  socket.on("error", () => {});
  const closed = new Promise((end) => socket.on("close", end));
  closed.then(() => (isClosed = true));
  return { closed, isOpen: () => !isClosed && !isOver, socket };
}

async function flood([first, again]) {
  const { closed, isOpen, socket } = dial();
  socket.resume();
  socket.write(handshake("websocket"));
  socket.write(first);
  while (isOpen()) {
    const isTaken = socket.write(typeof again === "function" ? again() : again);
    if (!isTaken) await Promise.race([closed, new Promise((end) => socket.once("drain", end))]);
    await wait(FLOOD_MS);
  }
  return socket;
}

async function dawdle([first, again]) {
  const { closed, isOpen, socket } = dial();
  socket.write(first);
  while (isOpen()) {
    if (again !== "") socket.write(again);
    await Promise.race([closed, wait(DAWDLE_MS)]);
  }
  return socket;
}

const attack = kind in FLOODS ? () => flood(FLOODS[kind]) : () => dawdle(DAWDLERS[kind]);
console.log("begun");
const begun = performance.now();
process.stdin.resume();
once(process.stdin, "end").then(() => (isOver = true));
await Promise.all(
  Array.from({ length: CONNECTIONS }, async (_, index) => {
    // They do not know each other, and do not act in step.
    await wait((index * FLOOD_MS) / CONNECTIONS);
    while (!isOver) {
      const socket = await attack();
      if (!isOver) done.expelled += 1;
      done.bytes += socket.bytesWritten;
      socket.destroy();
      await wait(PAUSE_MS);
    }
  }),
);
console.log(JSON.stringify({ ...done, seconds: (performance.now() - begun) / 1_000 }));
process.exit(0);
