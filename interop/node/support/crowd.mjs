// Clients that listen to a room, in a process: `crowd.mjs <port> <token> <room> <count>`.
//
// What is said there is numbered, and says when it was due (`prober.mjs`). Each client must hear
// each number once, and in order. Lines on standard input, each answered with one of JSON:
//
//   attend         forgets how long things took
//   heard <said>   waits until everybody has heard so many, and says how it went
//   stop <count>   so many read no more
//   ended          these read again; says how many of them had been closed
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";
import { quantile, sinceBoot } from "./clock.mjs";
import { frame, frameAt, handshake, joining } from "./frames.mjs";

const [port, token, room, count] = process.argv.slice(2);
/** How many connect at once. */
const COHORT = 100;
/** How long something may take to be heard by all. */
const PATIENCE_MS = 15_000;
const HEAD_END = "\r\n\r\n";
const NOTHING = Buffer.alloc(0);
const TEXT = `"text":"`;
/** All read into one buffer, one after the other: one for each read would be most of the work. */
const SHARED = Buffer.alloc(256 * 1024);
const [DIGIT_0, BRACKET] = Buffer.from("0[");

let delays = [];
/** Where the text begins in what was said: it is the same for all that one speaker says. */
let textAt;

class Listener {
  expected = 0;
  faults = 0;
  isOpen = true;
  rest = undefined;

  async join() {
    const joined = new Promise((end) => (this.joined = end));
    const onread = { buffer: SHARED, callback: (length) => this.read(length) };
    this.socket = connect({ host: "127.0.0.1", onread, port: Number(port) }).setNoDelay();
    this.socket.on("close", () => (this.isOpen = false));
    this.socket.on("error", () => {});
    this.socket.write(handshake("websocket"));
    await joined;
  }

  read(length) {
    const now = sinceBoot();
    let bytes = SHARED.subarray(0, length);
    // The head of the answer comes first, whole.
    let start = this.rest === undefined ? bytes.indexOf(HEAD_END) + HEAD_END.length : 0;
    if (this.rest?.length > 0) bytes = Buffer.concat([this.rest, bytes]);
    for (let next; (next = frameAt(bytes, start)) !== undefined; start = next.end) {
      // `42["said",…`; what else comes is `0{…`, `2`, `40{…` and `431[…`.
      if (bytes[next.start + 2] === BRACKET) this.hear(bytes, next.start, now);
      else this.answer(bytes.toString("utf8", next.start, next.end));
    }
    this.rest = start < bytes.length ? Buffer.from(bytes.subarray(start)) : NOTHING;
    return true;
  }

  hear(bytes, start, now) {
    textAt ??= bytes.indexOf(TEXT, start) + TEXT.length - start;
    const number = digits(bytes, start + textAt, 8);
    if (number !== this.expected) this.faults += 1;
    this.expected = number + 1;
    delays.push(now - digits(bytes, start + textAt + 9, 15) / 1_000);
  }

  answer(text) {
    if (text === "2") this.socket.write(frame(0x81, "3"));
    else if (text[0] === "0") this.socket.write(joining(token));
    else if (text.startsWith("40")) this.socket.write(frame(0x81, `421["join","${room}"]`));
    else if (text.startsWith("431")) this.joined();
  }
}

function digits(bytes, start, length) {
  let value = 0;
  for (let at = start; at < start + length; at += 1) value = value * 10 + bytes[at] - DIGIT_0;
  return value;
}

const all = Array.from({ length: Number(count) }, () => new Listener());
const stopped = new Set();
const healthy = () => all.filter((listener) => !stopped.has(listener));

function attend() {
  delays = [];
  return {};
}

async function heard(said) {
  const isBehind = ({ expected, isOpen }) => isOpen && expected < said;
  const end = sinceBoot() + PATIENCE_MS;
  while (healthy().some(isBehind) && sinceBoot() < end) await wait(5);
  const sorted = Float64Array.from(delays).sort();
  return {
    count: sorted.length,
    faults: healthy().reduce((sum, { faults }) => sum + faults, 0),
    missing: healthy().filter(({ expected }) => expected < said).length,
    open: healthy().filter(({ isOpen }) => isOpen).length,
    p50: quantile(sorted, 0.5),
    p99: quantile(sorted, 0.99),
  };
}

function stop(number) {
  for (const listener of all.slice(-number)) {
    listener.socket.pause();
    stopped.add(listener);
  }
  return { stopped: stopped.size };
}

async function ended() {
  for (const { socket } of stopped) socket.resume();
  // What the kernel still holds for them comes first.
  const end = sinceBoot() + PATIENCE_MS;
  while ([...stopped].some(({ isOpen }) => isOpen) && sinceBoot() < end) await wait(5);
  return { ended: [...stopped].filter(({ isOpen }) => !isOpen).length };
}

for (let index = 0; index < all.length; index += COHORT) {
  await Promise.all(all.slice(index, index + COHORT).map((listener) => listener.join()));
}
const commands = { attend, ended, heard, stop };
console.log(JSON.stringify({ joined: all.length }));
for await (const line of createInterface({ input: process.stdin })) {
  const [name, argument] = line.split(" ");
  console.log(JSON.stringify(await commands[name](Number(argument))));
}
process.exit(0);
