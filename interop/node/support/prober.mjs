// Healthy clients, in a process of their own that goes before others: `prober.mjs <port> <token>`.
//
// Twenty ask at a steady pace whether they are answered or not, so that a stall is seen by all who
// would have asked meanwhile, and one speaks to a room. What it says is numbered from 0, and says
// when it was due, in microseconds since boot. Lines on standard input:
//
//   say <room> <times a second> <bytes>   begins to speak, and does not stop
//   measure <ms>                          says in JSON how long answers took, and how much was said
//
// At the end of the input all of them leave.
import { once } from "node:events";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";
import { quantile, sinceBoot } from "./clock.mjs";
import { frame, handshake, joining, takeTexts } from "./frames.mjs";
import { goFirst } from "./server.mjs";

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

  say(room, text) {
    this.socket.write(frame(0x81, `42["say","${room}","${text}"]`));
  }
}

let taken = [];
let said = 0;

/** Speaks when it is due; what is late says so. */
async function say(room, perSecond, bytes) {
  const padding = "x".repeat(bytes);
  const start = sinceBoot();
  for (;;) {
    const due = start + (said * 1_000) / perSecond;
    if (due > sinceBoot()) await wait(due - sinceBoot());
    const number = String(said).padStart(8, "0");
    const when = String(Math.round(due * 1_000)).padStart(15, "0");
    speaker.say(room, `${number} ${when} ${padding}`);
    said += 1;
  }
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
    said,
  };
}

goFirst(process.pid);
const clients = Array.from({ length: CLIENTS }, () => new Healthy());
const speaker = new Healthy();
const input = createInterface({ input: process.stdin });
const ended = once(input, "close");
await Promise.all([speaker, ...clients].map((client) => client.join()));
console.log(JSON.stringify({ open: clients.length }));
input.on("line", async (line) => {
  const [name, ...args] = line.split(" ");
  if (name === "say") {
    say(args[0], Number(args[1]), Number(args[2]));
    console.log("{}");
  } else console.log(JSON.stringify(await measure(Number(args[0]))));
});
await ended;
process.exit(0);
