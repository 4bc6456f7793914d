// Clients of a broadcast, in a process: `listeners.mjs <port> <token> <count> <bytes>`.
//
// One of them has the server say something to all, 200 times a second. Lines on standard input:
//
//   measure <ms>   how long what was said took to reach ten of them, and how many got everything
//   stop <count>   so many read no more
//   ended          reads again, and says how many of those that stopped had been closed
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";
import { frame, handshake, joining, takeTexts } from "./frames.mjs";

const [port, token, count, bytes] = process.argv.slice(2);
const SAY_EVERY_MS = 5;
const MEASURED = 10;
/** Who does not look at what it reads says pong all the same; who has stopped reading, too. */
const PONG_EVERY_MS = 10_000;
const PADDING = "x".repeat(Number(bytes));
const HEAD_END = "\r\n\r\n";

let delays = [];

/** Reads everything, and understands it only if it is measured, or until it has joined. */
class Listener {
  isOpen = true;
  hasJoined = false;
  received = 0;

  constructor(isMeasured) {
    this.isMeasured = isMeasured;
  }

  async join() {
    this.socket = connect(Number(port), "127.0.0.1").setNoDelay();
    this.socket.on("close", () => (this.isOpen = false));
    this.socket.on("error", () => {});
    this.socket.write(handshake("websocket"));
    let rest;
    await new Promise((joined) => {
      this.socket.on("data", (data) => {
        this.received += data.length;
        if (this.hasJoined && !this.isMeasured) return;
        let all = rest === undefined ? data : Buffer.concat([rest, data]);
        if (rest === undefined) all = all.subarray(all.indexOf(HEAD_END) + HEAD_END.length);
        const taken = takeTexts(all);
        rest = taken.rest;
        for (const text of taken.texts) this.hear(text, joined);
      });
    });
  }

  hear(text, joined) {
    if (text.startsWith('42["m",')) {
      const said = Number(/"at":([\d.]+)/.exec(text)[1]);
      delays.push(performance.now() - said);
    } else if (text[0] === "0") {
      this.socket.write(joining(token));
    } else if (text.startsWith("40")) {
      this.hasJoined = true;
      this.received = 0;
      joined();
    }
  }
}

const all = Array.from({ length: Number(count) }, (_, index) => new Listener(index < MEASURED));
const stopped = [];
for (const listener of all) await listener.join();
setInterval(() => {
  for (const { socket } of all) if (socket.writable) socket.write(frame(0x81, "3"));
}, PONG_EVERY_MS);
const speaker = all[0];
setInterval(() => {
  const event = ["bcast", { at: performance.now(), padding: PADDING }];
  speaker.socket.write(frame(0x81, `42${JSON.stringify(event)}`));
}, SAY_EVERY_MS);

async function measure(ms) {
  delays = [];
  await wait(ms);
  const sorted = delays.sort((a, b) => a - b);
  const healthy = all.filter((listener) => !stopped.includes(listener));
  const at = (share) => sorted[Math.floor((sorted.length - 1) * share)];
  const open = healthy.filter(({ isOpen }) => isOpen).length;
  // Those that were there all along got the same; a message or two may be on its way.
  const least = Math.min(...healthy.map(({ received }) => received));
  const most = Math.max(...healthy.map(({ received }) => received));
  return { healthy: healthy.length, least, most, open, p50: at(0.5), p99: at(0.99) };
}

function stop(number) {
  for (const listener of all.slice(-number)) {
    listener.socket.pause();
    stopped.push(listener);
  }
  return { stopped: stopped.length };
}

async function ended() {
  for (const { socket } of stopped) socket.resume();
  await wait(1_000);
  return { ended: stopped.filter(({ isOpen }) => !isOpen).length };
}

const commands = { ended, measure, stop };
console.log(JSON.stringify({ joined: all.length }));
for await (const line of createInterface({ input: process.stdin })) {
  const [name, argument] = line.split(" ");
  console.log(JSON.stringify(await commands[name](Number(argument))));
}
process.exit(0);
