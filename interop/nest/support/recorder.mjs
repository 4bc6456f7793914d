// Plays scripts against a server, and writes down what comes back.
//
// A script is data (`scripts.mjs`). It is played by a stock client, whose record is what a program
// sees, and by a raw WebSocket, whose record is what is on the wire. What differs from run to run,
// ids, is replaced by a name for it.
//
//   connect ─▶ steps ─▶ quiet ─▶ fence ─▶ the record
//
// That nothing came is only known if something later did: after the quiet time the connection joins
// the namespace `/fence`, and what was sent before that has been handled by then.
import { setTimeout as wait } from "node:timers/promises";
import { Manager } from "socket.io-client";
import { WebSocket } from "ws";
import { eventually, within } from "../../node/support/bounded.mjs";

/** How long a script waits for what must not come, if it does not say. */
const QUIET = 150;
const LIMIT = 10_000;
const AT_A_TIME = 48;
// A socket that connects by itself would send a second CONNECT when it is told to.
const CLIENT = { autoConnect: false, reconnection: false, transports: ["websocket"] };

/** The records of all scripts, by name. */
export async function record(server, scripts, play) {
  const records = new Map();
  const waiting = [...scripts];
  const worker = async () => {
    for (let script = waiting.shift(); script !== undefined; script = waiting.shift()) {
      const lines = (await play(server, labelled(script, play.name))).map(normalised);
      // In which order the two directions crossed is chance; within each, order is what counts.
      const sent = lines.filter((line) => line.startsWith("> "));
      const heard = lines.filter((line) => !line.startsWith("> "));
      records.set(script.name, { sent, heard });
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
  return records;
}

/** The script with a label that no other play has. */
function labelled(script, play) {
  if (script.auth?.label === undefined) return script;
  return { ...script, auth: { ...script.auth, label: `${script.auth.label} (${play})` } };
}

/** What a program sees through the stock client. */
export async function playStock(server, script) {
  const lines = [];
  const manager = new Manager(server.url, CLIENT);
  const sockets = new Map();
  const join = (namespace) => {
    const socket = manager.socket(namespace, { auth: script.auth });
    const where = namespace === script.namespace ? "" : `${namespace} `;
    sockets.set(namespace, socket);
    socket.onAny((...event) => lines.push(`${where}event ${text(event)}`));
    socket.on("disconnect", (reason) => lines.push(`${where}disconnected: ${reason}`));
    return settled(socket, (line) => lines.push(`${where}${line}`));
  };
  let asked = 0;
  const step = {
    send: (...event) => sockets.get(script.namespace).emit(...event),
    ask: (...event) => {
      const id = asked++;
      const ack = (...answer) => lines.push(`ack ${id} ${text(answer)}`);
      sockets.get(script.namespace).emit(...event, ack);
    },
    hear: (part) => heardIn(lines, part, script),
    pause: (ms) => wait(ms),
    join,
    leave: () => sockets.get(script.namespace).disconnect(),
    drop: () => manager.engine.transport.ws.terminate(),
  };
  try {
    await within(join(script.namespace), LIMIT, `${script.name}: an answer to CONNECT`);
    for (const [name, ...args] of script.steps) await step[name](...args);
    await wait(script.quiet ?? QUIET);
    if (manager.engine.readyState === "open") {
      const fence = settled(manager.socket("/fence"), () => {});
      const closed = new Promise((done) => manager.once("close", done));
      await within(Promise.race([fence, closed]), LIMIT, `${script.name}: the fence`);
    }
    return [...lines, ...(await departures(server, script))];
  } finally {
    manager.engine?.close();
  }
}

/** Waits until something has come with `part` in it. */
async function heardIn(lines, part, script) {
  const isHeard = () => lines.some((line) => !line.startsWith("> ") && line.includes(part));
  await eventually(isHeard, Boolean, `${script.name}: ${part} was not heard`, LIMIT);
}

/** Waits until the socket is connected, refused, or gone. */
function settled(socket, note) {
  const connected = new Promise((done) => {
    socket.once("connect", () => done(note("connected")));
    socket.once("connect_error", ({ message, data }) => {
      done(note(`refused: ${text(data === undefined ? [message] : [message, data])}`));
    });
  });
  socket.connect();
  return connected;
}

/** What is on the wire, in both directions. */
export async function playRaw(server, script) {
  const lines = [];
  const url = server.url.replace("http", "ws");
  const ws = new WebSocket(`${url}/socket.io/?EIO=4&transport=websocket`);
  const heard = listeners();
  const ended = new Promise((done) => ws.on("close", done));
  let isFencing = false;
  ws.on("message", (data, isBinary) => {
    const frame = isBinary ? `bytes ${data.toString("hex")}` : data.toString();
    if (frame === "2") return ws.send("3");
    if (!isFencing || !frame.startsWith("40/fence,")) lines.push(`< ${frame}`);
    return heard.tell(frame);
  });
  ws.on("close", (code) => lines.push(`< closed ${code}`));
  const send = (...frames) => {
    for (const frame of frames) {
      lines.push(`> ${typeof frame === "string" ? frame : `bytes ${frame.toString("hex")}`}`);
      ws.send(frame);
    }
  };
  const answered = (namespace) => {
    const answer = heard.until((frame) => isAnswer(frame, namespace));
    return within(Promise.race([answer, ended]), LIMIT, `${script.name}: an answer to CONNECT`);
  };
  const join = (namespace) => {
    const answer = answered(namespace);
    send(`40${prefix(namespace)}${script.auth === undefined ? "" : JSON.stringify(script.auth)}`);
    return answer;
  };
  let asked = 0;
  const step = {
    send: (...event) => send(...packets(script.namespace, "", event)),
    ask: (...event) => send(...packets(script.namespace, asked++, event)),
    hear: (part) => heardIn(lines, part, script),
    pause: (ms) => wait(ms),
    frames: send,
    join,
    leave: () => send(`41${prefix(script.namespace)}`),
    drop: () => ws.terminate(),
  };
  try {
    const opened = heard.until((frame) => frame.startsWith("0"));
    await within(Promise.race([opened, ended]), LIMIT, `${script.name}: the handshake`);
    await join(script.namespace);
    for (const [name, ...args] of script.steps) await step[name](...args);
    await wait(script.quiet ?? QUIET);
    if (ws.readyState === WebSocket.OPEN) {
      isFencing = true;
      const answer = answered("/fence");
      ws.send("40/fence,");
      await answer;
    }
    return [...lines, ...(await departures(server, script))];
  } finally {
    ws.terminate();
  }
}

/** Those who wait for a frame. */
function listeners() {
  const waiting = new Set();
  return {
    until: (fits) => new Promise((done) => waiting.add({ fits, done })),
    tell(frame) {
      for (const one of waiting) {
        if (!one.fits(frame)) continue;
        waiting.delete(one);
        one.done();
      }
    },
  };
}

/** Why the sockets with this script's label left, as the server's hooks heard it. */
async function departures(server, script) {
  const label = script.auth?.label;
  if (label === undefined) return [];
  const manager = new Manager(server.url, CLIENT);
  try {
    const socket = manager.socket("/lifecycle").connect();
    const reasons = await within(
      new Promise((done) => socket.emit("reasons", label, done)),
      LIMIT,
      `${script.name}: the reasons`,
    );
    return [`the hook heard ${text(reasons)}`];
  } finally {
    manager.engine?.close();
  }
}

const prefix = (namespace) => (namespace === "/" ? "" : `${namespace},`);

const isAnswer = (frame, namespace) =>
  ["40", "44"].some((type) => frame.startsWith(`${type}${prefix(namespace)}`));

/** An event as frames: a packet, and one more for each buffer in it. */
function packets(namespace, id, event) {
  const buffers = [];
  const json = JSON.stringify(withPlaceholders(event, buffers));
  const type = buffers.length === 0 ? "42" : `45${buffers.length}-`;
  return [`${type}${prefix(namespace)}${id}${json}`, ...buffers];
}

function withPlaceholders(value, buffers) {
  if (Buffer.isBuffer(value)) return { _placeholder: true, num: buffers.push(value) - 1 };
  if (Array.isArray(value)) return value.map((item) => withPlaceholders(item, buffers));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value);
  return Object.fromEntries(entries.map(([key, item]) => [key, withPlaceholders(item, buffers)]));
}

const text = (value) => JSON.stringify(value);

const normalised = (line) =>
  line
    .replace(/"sid":"[^"]+"/g, '"sid":"<id>"')
    .replace(/"correlationId":"[^"]+"/g, '"correlationId":"<id>"');
