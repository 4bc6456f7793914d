// Healthy clients, in a process of their own that goes before others: `prober.mjs <port> <token>`.
//
// They ask at a steady pace whether they are answered or not, so that a stall is seen by everybody
// who would have asked meanwhile. For each line on its standard input, a number of milliseconds,
// it says in JSON how long answers took; at the end of the input it leaves.
import { once } from "node:events";
import { connect } from "node:net";
import { setPriority } from "node:os";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";
import { frame, handshake, joining, takeTexts } from "./frames.mjs";

const [port, token] = process.argv.slice(2);
const CLIENTS = 20;
const ASK_EVERY_MS = 20;
/** How long an answer may take at all. */
const PATIENCE_MS = 10_000;

/** A client of raw bytes: the delays of a stock client would hide those of the server. */
class Healthy {
  next = 0;
  asked = new Map();
  isOpen = true;

  async join() {
    this.socket = connect(Number(port), "127.0.0.1").setNoDelay();
    this.socket.on("close", () => (this.isOpen = false));
    this.socket.on("error", () => {});
    this.socket.write(handshake("websocket"));
    const joined = new Promise((end) => (this.joined = end));
    let rest;
    this.socket.on("data", (bytes) => {
      let all = rest === undefined ? bytes : Buffer.concat([rest, bytes]);
      // The head of the answer comes first, whole.
      if (rest === undefined) all = all.subarray(all.indexOf("\r\n\r\n") + 4);
      const { rest: left, texts } = takeTexts(all);
      rest = left;
      for (const text of texts) this.hear(text);
    });
    await joined;
  }

  hear(text) {
    if (text[0] === "0") this.socket.write(joining(token));
    else if (text === "2") this.socket.write(frame(0x81, "3"));
    else if (text.startsWith("40")) this.joined();
    else if (text.startsWith("43")) {
      const id = Number.parseInt(text.slice(2), 10);
      taken.push(performance.now() - this.asked.get(id));
      this.asked.delete(id);
    }
  }

  ask() {
    const id = this.next++;
    this.asked.set(id, performance.now());
    this.socket.write(frame(0x81, `42${id}["echo",${id}]`));
  }
}

let taken = [];

function quantile(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

async function measure(ms) {
  taken = [];
  const asking = clients.map(async (client, index) => {
    await wait((index * ASK_EVERY_MS) / CLIENTS);
    const timer = setInterval(() => client.ask(), ASK_EVERY_MS);
    await wait(ms);
    clearInterval(timer);
  });
  await Promise.all(asking);
  const end = performance.now() + PATIENCE_MS;
  while (clients.some(({ asked }) => asked.size > 0) && performance.now() < end) await wait(5);
  const missing = clients.reduce((sum, { asked }) => sum + asked.size, 0);
  const sorted = taken.sort((a, b) => a - b);
  return {
    count: sorted.length,
    max: sorted.at(-1),
    missing,
    open: clients.filter(({ isOpen }) => isOpen).length,
    p50: quantile(sorted, 0.5),
    p99: quantile(sorted, 0.99),
  };
}

try {
  setPriority(-20);
} catch {
  // Without the right to go before others, its figures hold more of the machine's noise.
}
const clients = Array.from({ length: CLIENTS }, () => new Healthy());
const input = createInterface({ input: process.stdin });
const ended = once(input, "close");
await Promise.all(clients.map((client) => client.join()));
console.log(JSON.stringify({ open: clients.length }));
input.on("line", async (line) => console.log(JSON.stringify(await measure(Number(line)))));
await ended;
process.exit(0);
