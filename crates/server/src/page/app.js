/**
 * The page: what a person sees and does, over the client in client.js.
 *
 *   gate (name, token, connect) ──▶ Client ──▶ sockets "/" and "/staff"
 *   rooms, messages, members    ◀── events ──┘        └──▶ log
 *
 * Text that came from anybody reaches the document through `textContent` only.
 *
 * Not here: what people say and who is where (rooms.js), packets and transports.
 */

import { Client } from "./client.js";
import { Rooms } from "./rooms.js";

const LOG_LENGTH = 300;
const $ = (id) => document.getElementById(id);

/** The connection of this page, once there is one: its client and its socket on `/`. */
let client = null;
let chat = null;

const rooms = new Rooms({
  join: (room) => chat.emitWithAck("join", { room }),
  leave: (room) => chat.emitWithAck("leave", { room }),
  say: (room, text) => chat.emitWithAck("say", { room, text }),
  complain: (text) => log("bad", text),
});

// The log.

const SIGN = { in: "←", out: "→", good: "✓", bad: "✕", info: "·" };

function log(kind, text) {
  const entry = document.createElement("li");
  entry.className = kind;
  const time = document.createElement("time");
  time.textContent = new Date().toLocaleTimeString([], { hourCycle: "h23" });
  const sign = document.createElement("span");
  sign.textContent = SIGN[kind];
  const said = document.createElement("span");
  said.textContent = text;
  entry.append(time, sign, said);
  $("log").append(entry);
  while ($("log").children.length > LOG_LENGTH) $("log").firstChild.remove();
  $("log-scroll").scrollTop = $("log-scroll").scrollHeight;
}

function short(value) {
  const text = value === undefined ? "" : JSON.stringify(value);
  return text.length > 160 ? `${text.slice(0, 159)}…` : text;
}

/** Logs what a socket says and hears; `where` is its namespace. */
function follow(socket, where) {
  socket.on("emitted", (event, args) => log("out", `${where} ${event} ${short(args[0])}`));
  socket.on("event", (event, args) => log("in", `${where} ${event} ${short(args[0])}`));
  socket.on("acked", (event, answer) => log("in", `${where} ack of ${event} ${short(answer)}`));
}

// The state of the connection.

const CAN_CLOSE = new Set(["connecting", "connected", "reconnecting"]);

function show(state) {
  const connected = state === "connected";
  document.body.dataset.state = state;
  $("state").textContent = state;
  $("connect").textContent = CAN_CLOSE.has(state) ? "Disconnect" : "Connect";
  $("connect").classList.toggle("primary", !CAN_CLOSE.has(state));
  $("transport").disabled = CAN_CLOSE.has(state);
  for (const id of ["kick", "whoami", "room", "join"]) $(id).disabled = !connected;
  if (!connected) showTransport(null);
  rooms.setConnected(connected, state);
}

function showTransport(name) {
  $("transport-name").textContent = name ?? "none";
}

function showRefusal(error) {
  $("refusal").hidden = error === null;
  if (error === null) return;
  const code = error.data?.code ?? "";
  $("refusal-message").textContent = `connect_error: ${error.message}`;
  $("refusal-code").textContent = code;
  log("bad", `connect_error: ${error.message}${code ? ` (${code})` : ""}`);
}

function connect() {
  showRefusal(null);
  const token = $("token").value.trim();
  const auth = token === "" ? undefined : { token };
  const mine = new Client(location.origin, $("transport").value);
  client = mine;
  show("connecting");
  log("info", `connecting, transport ${$("transport").value}`);
  watch(mine);
  const socket = mine.socket("/", auth);
  chat = socket;
  follow(socket, "/");
  socket.on("connect", () => {
    log("good", `connected to / as socket ${socket.id}`);
    show("connected");
    showTransport(mine.transport);
    fold();
  });
  socket.on("connect_error", (error) => {
    showRefusal(error);
    show("refused");
  });
  socket.on("disconnect", (reason) => {
    log("bad", `disconnected: ${reason}`);
    if (!socket.active) show("disconnected");
  });
  socket.on("event", (event, [data]) => rooms.handle(event, data));
}

/** Follows the session under the sockets: transports, losses, attempts. */
function watch(mine) {
  mine.on("transport", (name) => {
    log("info", `transport is ${name}`);
    if (mine === client && chat.connected) showTransport(name);
  });
  mine.on("upgradeFailed", () => log("bad", "no WebSocket here, polling goes on"));
  mine.on("beat", () => log("info", "ping answered"));
  mine.on("close", (reason) => log("info", `session closed: ${reason}`));
  mine.on("retry", (delay) => {
    show("reconnecting");
    log("info", `next attempt in ${(delay / 1000).toFixed(1)} s`);
  });
}

function disconnect() {
  client.close();
  show("disconnected");
}

// The gate.

async function getToken() {
  const name = $("name").value.trim();
  const refused = (why) => log("bad", `no token: ${why}`);
  try {
    const response = await fetch("/dev/token", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name }),
    });
    const answer = await response.json();
    if (!response.ok) return refused(answer.error);
    $("token").value = answer.token;
    log("good", `a token for ${name}`);
  } catch {
    return refused("the server does not answer");
  }
  describeToken();
  $("connect").focus();
  return undefined;
}

const NO_TOKEN = "Without one the gate stays shut.";

/** Says whose token it is, as far as one can tell without the secret. */
function describeToken() {
  const token = $("token").value.trim();
  $("token-hint").textContent = token === "" ? NO_TOKEN : claimed(token);
}

function claimed(token) {
  try {
    const base64 = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
    const { sub, exp } = JSON.parse(new TextDecoder().decode(bytes));
    const clock = { timeStyle: "short", hourCycle: "h23" };
    const until = new Date(exp * 1000).toLocaleTimeString([], clock);
    return `For ${sub}, until ${until}. Change a letter and see.`;
  } catch {
    return "This does not look like a token.";
  }
}

/** The token at hand with one letter of its signature changed, or nonsense. */
function forged() {
  const [header, claims, signature] = $("token").value.trim().split(".");
  if (!signature) return "not.a.token";
  return [header, claims, (signature[0] === "A" ? "B" : "A") + signature.slice(1)].join(".");
}

function knock() {
  showRefusal(null);
  log("info", "knocking with a bad token");
  const stranger = new Client(location.origin, $("transport").value);
  const done = (report) => {
    report();
    stranger.close();
    if (!chat?.active) show("refused");
  };
  stranger
    .socket("/", { token: forged() })
    .on("connect_error", (error) => done(() => showRefusal(error)))
    .on("connect", () => done(() => log("bad", "admitted: this must never happen")));
  stranger.on("retry", () => done(() => log("bad", "the server does not answer")));
}

/** The socket on `/staff` of each client that has asked for one. */
const staffOf = new WeakMap();

function askStaff() {
  const token = $("token").value.trim();
  const known = staffOf.get(client);
  const staff = client.socket("/staff", { token });
  if (staff === known) return whoAmI(staff);
  staffOf.set(client, staff);
  follow(staff, "/staff");
  staff.on("connect_error", showRefusal);
  staff.on("connect", () => {
    log("good", `connected to /staff as socket ${staff.id}`);
    whoAmI(staff);
  });
  return undefined;
}

async function whoAmI(staff) {
  try {
    const { sub } = await staff.emitWithAck("whoami");
    log("good", `/staff says that you are ${sub}`);
  } catch (error) {
    log("bad", `/staff whoami: ${error.message}`);
  }
}

// On a narrow screen the gate folds away once it is open, and the conversation comes up.

const narrow = matchMedia("(max-width: 52rem)");

function fold() {
  $("gate").open = !narrow.matches;
}

narrow.addEventListener("change", () => {
  $("gate").open = !narrow.matches || !chat?.connected;
});

function onSubmit(form, action) {
  $(form).addEventListener("submit", (event) => {
    event.preventDefault();
    action();
  });
}

onSubmit("name-form", getToken);
$("token").addEventListener("input", describeToken);
$("connect").addEventListener("click", () => {
  if (CAN_CLOSE.has(document.body.dataset.state)) disconnect();
  else connect();
});
$("bad-token").addEventListener("click", knock);
$("whoami").addEventListener("click", askStaff);
$("kick").addEventListener("click", () => chat.emit("kick"));
$("snippet").textContent = [
  'import { io } from "socket.io-client";',
  `const socket = io("${location.origin}", { auth: { token } });`,
  'socket.on("message", ({ from, text }) => console.log(from, text));',
].join("\n");
show("disconnected");
