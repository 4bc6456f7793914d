// What is asked of a cluster, as a table: the same for every cluster, whatever its nodes are.
//
// Clients are named from where the operation is asked for: `here1` asks, `here2` is on its node,
// `next1` and `next2` are on the next node, `last1` and `last2` on the one after that. `@next1`
// stands for the id of that client's socket, and `reach` for who must hear.
const text = (length) => "x".repeat(length);

/** The rooms that each client is in when a step begins. */
export const ROOMS = {
  here1: ["red", "blue"],
  here2: ["red"],
  next1: ["red", "green"],
  next2: ["blue", "7"],
  last1: ["green", 7],
  last2: ["a#b", "glob*", "[r]oom?", "日本"],
};

const EVERYONE = Object.keys(ROOMS);
const but = (...names) => EVERYONE.filter((name) => !names.includes(name));

const TARGETS = [
  ["everyone", {}, EVERYONE],
  ["a room", { to: "red" }, ["here1", "here2", "next1"]],
  ["two rooms, each member once", { to: ["red", "blue"] }, ["here1", "here2", "next1", "next2"]],
  ["everyone but a room", { except: "red" }, ["next2", "last1", "last2"]],
  ["everyone but two rooms", { except: ["red", "green"] }, ["next2", "last2"]],
  ["a room but another", { to: "red", except: "blue" }, ["here2", "next1"]],
  ["everyone but the caller", { self: false }, but("here1")],
  ["a room but the caller", { to: "red", self: false }, ["here2", "next1"]],
  ["this node", { local: true }, ["here1", "here2"]],
  ["a room on this node", { to: "red", local: true }, ["here1", "here2"]],
  ["who can take it at once", { volatile: true }, EVERYONE],
  ["a room, volatile", { to: "green", volatile: true }, ["next1", "last1"]],
  ["a room named by a number", { to: 7 }, ["last1"]],
  ["a room named by the text of a number", { to: "7" }, ["next2"]],
  ["a room with a hash in its name", { to: "a#b" }, ["last2"]],
  ["a room with a glob in its name", { to: "glob*" }, ["last2"]],
  ["a room with brackets in its name", { to: "[r]oom?" }, ["last2"]],
  ["a room in another script", { to: "日本" }, ["last2"]],
  ["what a glob would match", { to: "globe" }, []],
  ["a room that nobody is in", { to: "void" }, []],
  ["a socket on another node", { to: "@next1" }, ["next1"]],
  ["a socket on this node", { to: "@here2" }, ["here2"]],
  ["sockets on two nodes", { to: ["@next1", "@last2"] }, ["next1", "last2"]],
  ["everyone but a socket on another node", { except: "@last2" }, but("last2")],
];

const PAYLOADS = [
  ["nothing", []],
  ["null", [null]],
  ["several values", [1, "two", { three: [4.5, null, true, false] }]],
  ["an empty list and an empty map", [[], {}]],
  ["text beyond ASCII", ["ünï ✓ 😀", { "clé 🔑": "\u2028" }]],
  ["numbers at their bounds", [0, -1, 2 ** 53 - 1, -(2 ** 53), 2 ** 40, 1.5e19, 0.1, -2.5e-7]],
  ["bytes", [Buffer.from([0, 1, 255])]],
  ["bytes in a map", [{ deep: { bytes: Buffer.from("abc"), n: 1 } }, Buffer.alloc(0)]],
  ["a long text", [text(70_000)]],
  ["many bytes", [Buffer.alloc(70_000, 7)]],
  ["keys in an order of their own", [{ z: 1, a: 2, 10: 3, 1: 4 }]],
];

const emit = (title, argument, reach) => ({ title, op: "emit", argument, reach });

const EMITS = TARGETS.map(([title, target, reach]) =>
  emit(`to ${title}`, { ...target, event: "news", args: [title] }, reach),
);
const CONTENTS = PAYLOADS.map(([title, args]) =>
  emit(title, { to: "green", event: "news", args }, ["next1", "last1"]),
);

// `question` is answered by each client with what it was asked and its own name; `silence` is not
// answered by `last1`, and `bytes` is answered with bytes.
const ask = (title, argument, event = "question") => ({
  title,
  op: "emit-with-ack",
  argument: { args: ["?"], event, timeout: 2_000, ...argument },
  unordered: true,
});
const QUESTIONS = [
  ...TARGETS.filter(([, { local, volatile, self }]) => !local && !volatile && self !== false).map(
    ([title, target]) => ask(`to ${title}`, target),
  ),
  ask("answered with bytes", { to: "green" }, "bytes"),
  ask("not answered by one of two", { to: "green", timeout: 300 }, "silence"),
  ask("not answered by one of six", { timeout: 300 }, "silence"),
];

const FETCHES = TARGETS.map(([title, target]) => ({
  title: `sockets: ${title}`,
  op: "fetch-sockets",
  argument: { to: target.to, except: target.except, local: target.local },
}));

// What moves sockets is followed by a look at all rooms, and undone by its opposite.
const move = (title, argument) =>
  ["sockets-join", "sockets-leave"].map((op) => ({
    title: `${op}: ${title}`,
    op,
    argument,
    look: true,
  }));
const MOVES = [
  ...move("everyone", { rooms: ["new"] }),
  ...move("a room, into two", { to: "red", rooms: ["new", "newer"] }),
  ...move("everyone but a room", { except: "red", rooms: "new" }),
  ...move("a room but another", { to: "red", except: "blue", rooms: ["new"] }),
  ...move("a socket on another node", { to: "@last2", rooms: ["new", 12] }),
  ...move("a socket on this node", { to: "@here2", rooms: ["new"] }),
  ...move("nobody", { to: "void", rooms: ["new"] }),
];

const NODES = [
  { title: "all rooms", op: "all-rooms" },
  { title: "how many nodes", op: "server-count" },
  {
    title: "an event to the other nodes",
    op: "server-side-emit",
    argument: { event: "hello", args: ["world", 1, { two: [2] }] },
    heardByNodes: true,
  },
  {
    title: "an event without arguments",
    op: "server-side-emit",
    argument: { event: "bare" },
    heardByNodes: true,
  },
  {
    title: "a question to the other nodes",
    op: "server-side-emit-with-ack",
    argument: { event: "who", args: [1, "2"] },
    unordered: true,
    heardByNodes: true,
  },
];

const end = (title, argument) => ({
  title,
  op: "disconnect-sockets",
  argument,
  ends: true,
});
const ENDS = [
  end("a socket on another node", { to: "@next1", close: false }),
  end("a room, with its connections", { to: "green", close: true }),
  end("everyone but this node's", { except: ["@here1", "@here2"], close: false }),
  end("nobody", { to: "void", close: true }),
];

/** All of it, in the order in which it is run. */
export const SCRIPT = {
  emit: EMITS,
  payloads: CONTENTS,
  "emit-with-ack": QUESTIONS,
  "fetch-sockets": FETCHES,
  "join and leave": MOVES,
  nodes: NODES,
  disconnect: ENDS,
};

/** What an emitter can do: it has no socket, no node, and hears no answers. */
export const EMITTER_SCRIPT = [
  ...EMITS.filter(({ argument: { local, self } }) => !local && self !== false),
  ...CONTENTS,
  ...MOVES,
  ...NODES.filter(({ op }) => op === "server-side-emit"),
  ...ENDS,
];
