/**
 * Rooms: which ones we are in, what was said there, and who is there.
 *
 *   send ──▶ pending row "sending…" ──ack──▶ the message's own row, "delivered"
 *                                  └─error─▶ "not delivered: why"
 *
 * A message comes to its sender as to everyone else, by the event `message`; the ack only says
 * which one it became. Either may be first.
 *
 * Not here: the connection (app.js).
 */

const KEPT_MESSAGES = 200;
const HUES = 6;
const $ = (id) => document.getElementById(id);

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** The same colour for the same name, wherever it is shown. */
function face(name) {
  const hash = [...name].reduce((all, char) => (all * 31 + char.codePointAt(0)) % 65_521, 7);
  const made = element("span", `face hue-${hash % HUES}`, [...name][0]?.toUpperCase() ?? "?");
  made.setAttribute("aria-hidden", "true");
  return made;
}

function clock(at) {
  return new Date(at).toLocaleTimeString([], { timeStyle: "short", hourCycle: "h23" });
}

export class Rooms {
  #actions;
  #me = "";
  #node = "";
  #state = "disconnected";
  #connected = false;
  #rooms = new Map();
  #current = null;

  /** `join`, `leave` and `say` answer with the ack, `complain` says what failed. */
  constructor(actions) {
    this.#actions = actions;
    $("leave").addEventListener("click", () => this.#leave(this.#current));
    this.#onSubmit("room-form", () => this.#join($("room").value.trim()));
    this.#onSubmit("say-form", () => this.#say($("text").value.trim()));
  }

  setConnected(connected, state) {
    if (!connected) $("node").textContent = "none";
    this.#connected = connected;
    this.#state = state;
    if (state === "connecting") this.#forget();
    if (!connected) this.#rooms.forEach((room) => (room.members = []));
    this.#show();
  }

  /** An event from the server. */
  handle(event, data) {
    if (event === "welcome") this.#welcome(data);
    if (event === "presence") this.#presence(data);
    if (event === "message") this.#message(data);
  }

  /** A list of members counts unless a later one has come before it. */
  #setMembers(name, { members, version }) {
    const room = this.#room(name);
    if (version > room.version) Object.assign(room, { members, version });
  }

  #onSubmit(form, action) {
    $(form).addEventListener("submit", (event) => {
      event.preventDefault();
      action();
    });
  }

  #forget() {
    this.#rooms.clear();
    this.#current = null;
  }

  #room(name) {
    const empty = { rows: [], members: [], version: 0, unread: 0, tab: null };
    if (!this.#rooms.has(name)) this.#rooms.set(name, empty);
    return this.#rooms.get(name);
  }

  /** The server has put us into its first room; into the others we go back ourselves. */
  #welcome({ name, node, room, ...list }) {
    this.#me = name;
    this.#node = node;
    $("node").textContent = node;
    // Another session, perhaps on another node, which counts its lists by itself.
    this.#rooms.forEach((known) => (known.version = 0));
    const others = [...this.#rooms.keys()].filter((known) => known !== room);
    this.#setMembers(room, list);
    this.#select(this.#current ?? room);
    others.forEach((other) => this.#join(other, false));
  }

  #presence({ room, ...list }) {
    if (!this.#rooms.has(room)) return;
    this.#setMembers(room, list);
    this.#show();
  }

  #message(message) {
    if (!this.#rooms.has(message.room)) return;
    const room = this.#room(message.room);
    const pending = room.rows.find((row) => row.id === message.id);
    if (pending) Object.assign(pending, message);
    else room.rows.push({ ...message, note: "" });
    room.rows.splice(0, Math.max(0, room.rows.length - KEPT_MESSAGES));
    if (message.room !== this.#current) room.unread += 1;
    this.#show();
  }

  async #join(name, select = true) {
    if (name === "") return;
    const answer = await this.#ask(`join ${name}`, () => this.#actions.join(name));
    if (!answer) return;
    this.#setMembers(answer.room, answer);
    if (select) {
      $("room").value = "";
      this.#select(answer.room);
      $("text").focus();
    } else {
      this.#show();
    }
  }

  async #leave(name) {
    const answer = await this.#ask(`leave ${name}`, () => this.#actions.leave(name));
    if (!answer) return;
    this.#rooms.delete(name);
    this.#select(this.#rooms.keys().next().value ?? null);
  }

  async #say(text) {
    if (text === "" || this.#current === null) return;
    const room = this.#room(this.#current);
    const pending = { from: this.#me, text, at: Date.now(), note: "sending…" };
    room.rows.push(pending);
    $("text").value = "";
    this.#show();
    try {
      const answer = await this.#actions.say(this.#current, text);
      const problem = problemIn(answer);
      if (problem !== null) throw new Error(problem);
      this.#delivered(room, pending, answer);
    } catch (error) {
      pending.note = `not delivered: ${error.message}`;
      pending.failed = true;
      this.#actions.complain(`say: ${error.message}`);
    }
    this.#show();
  }

  #delivered(room, pending, { id, at }) {
    const known = room.rows.find((row) => row.id === id);
    if (known) room.rows.splice(room.rows.indexOf(pending), 1);
    Object.assign(known ?? pending, { id, at, note: "delivered" });
  }

  /** The answer, or nothing when it is an error: that has been said then. */
  async #ask(what, question) {
    try {
      const answer = await question();
      const problem = problemIn(answer);
      if (problem === null) return answer;
      this.#actions.complain(`${what}: ${problem}`);
    } catch (error) {
      this.#actions.complain(`${what}: ${error.message}`);
    }
    return null;
  }

  #select(name) {
    this.#current = name;
    if (name !== null) this.#room(name).unread = 0;
    this.#show();
    this.#rooms.get(name)?.tab.scrollIntoView({ block: "nearest" });
  }

  #show() {
    const room = this.#rooms.get(this.#current);
    const usable = this.#connected && room !== undefined;
    for (const id of ["text", "send", "leave"]) $(id).disabled = !usable;
    $("room-title").textContent = this.#current ?? "No room";
    $("room-title").title = this.#current ?? "";
    $("text").placeholder = usable ? `Say something in ${this.#current}` : "Say something";
    this.#showRooms();
    this.#showMembers(room?.members ?? []);
    this.#showMessages(room?.rows ?? []);
    $("nothing").textContent = this.#nothing(room);
  }

  #nothing(room) {
    if (room?.rows.length > 0) return "";
    if (this.#connected && room) return "Nothing has been said yet. Open a second window.";
    if (this.#connected) return "You are in no room. Join one above.";
    if (this.#state === "refused") return "The gate stays shut.";
    if (this.#state === "disconnected") return "The gate is down. Get a token, then connect.";
    return "Waiting at the gate…";
  }

  #showRooms() {
    const items = [...this.#rooms].map(([name, room]) => {
      room.tab ??= this.#newTab(name);
      const [button] = room.tab.children;
      const [, unread] = button.children;
      if (name === this.#current) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
      unread.textContent = room.unread === 0 ? "" : room.unread;
      unread.setAttribute("aria-label", `${room.unread} unread`);
      unread.hidden = room.unread === 0;
      return room.tab;
    });
    replace($("rooms"), items);
  }

  #newTab(name) {
    const button = element("button");
    button.type = "button";
    button.title = name;
    button.append(element("span", "", name), element("span", "unread"));
    button.addEventListener("click", () => this.#select(name));
    const tab = element("li");
    tab.append(button);
    return tab;
  }

  #showMembers(members) {
    replace(
      $("members"),
      members.map(({ name, node }) => {
        const item = element("li", name === this.#me && node === this.#node ? "me" : "");
        item.append(face(name), element("span", "who", name), element("span", "node", node));
        return item;
      }),
    );
  }

  /** Rows (and tabs) keep their elements: each message is read out once, focus stays. */
  #showMessages(rows) {
    const scroll = $("message-scroll");
    const atEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;
    const items = rows.map((row) => {
      row.item ??= this.#newRow(row);
      row.item.querySelector(".note").textContent = row.note;
      row.item.classList.toggle("failed", row.failed === true);
      return row.item;
    });
    replace($("messages"), items);
    if (atEnd) scroll.scrollTop = scroll.scrollHeight;
  }

  #newRow({ from, text, at }) {
    const item = element("li", from === this.#me ? "mine" : "");
    const head = element("p", "head");
    const time = element("time", "", clock(at));
    time.dateTime = new Date(at).toISOString();
    head.append(element("b", "", from), time, element("span", "note"));
    const body = element("div", "body");
    body.append(head, element("p", "text", text));
    item.append(face(from), body);
    return item;
  }
}

/** What an ack says went wrong, and where if it says so. */
function problemIn(answer) {
  if (answer?.status !== "error") return null;
  const { code, details, message } = answer;
  const [first] = Array.isArray(details) ? details : [];
  const why = first ? `${message}, ${first.path}: ${first.message}` : message;
  return `${why} (${code})`;
}

/** Makes `items` the children of `list`, leaving those alone that are there already. */
function replace(list, items) {
  const same = list.children.length === items.length;
  if (same && items.every((item, index) => list.children[index] === item)) return;
  const wanted = new Set(items);
  [...list.children].filter((child) => !wanted.has(child)).forEach((child) => child.remove());
  items.forEach((item, index) => {
    if (list.children[index] !== item) list.insertBefore(item, list.children[index] ?? null);
  });
}
