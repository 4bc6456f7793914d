// What clients do: the scripts that are played against both servers.
//
// A script is one connection that joins a namespace and takes steps there:
//   send event  without an ack        join namespace   another one, on the same connection
//   ask event   with an ack           leave            the namespace, by a packet
//   hear part        of a line         drop             the connection, without a word
//   pause ms
//   frames …           as they are; such a script is for the raw WebSocket only
// `auth` is its CONNECT payload; with a `label` in it, the record ends with what the server's
// disconnect hook heard.

/** An event twice: with an ack wanted, and without. */
const twice = (namespace, ...event) => [
  { name: `${title(namespace, event)}, ack`, namespace, steps: [["ask", ...event]] },
  { name: `${title(namespace, event)}, no ack`, namespace, steps: [["send", ...event]] },
];

const title = (namespace, event) => {
  const args = event.slice(1).map((arg) => JSON.stringify(arg) ?? "undefined");
  return `${namespace} ${event[0]}(${args.join(", ").slice(0, 60)})`;
};

const all = (namespace, events) => events.flatMap((event) => twice(namespace, ...[event].flat()));

const returns = all("/returns", [
  "object",
  "array",
  "string",
  "number",
  "zero",
  "empty-string",
  "false",
  "null",
  "undefined",
  "event-and-data",
  "event-without-data",
  "event-is-empty",
  "promise",
  "promise-of-null",
  "promise-of-event",
  "stream",
  "stream-of-events",
  "stream-of-nothing",
  "stream-that-fails",
  "manual-success",
  "manual-error",
  "manual-silence",
  "manual-event",
  "manual-twice",
  "manual-failure",
  "throws",
  "rejects",
  "denied",
  "no-such-event",
]);

const SECRET = { password: "hunter2", list: [1, null, "ü"] };

const errors = [
  "text",
  "object",
  "error",
  "error-later",
  "error-in-a-stream",
  "http",
  "thrown-text",
  "denied",
  "guard-throws",
  "without-cause",
  "unknown-without-cause",
  "own-cause",
  "special",
].flatMap((event) => twice("/errors", event, SECRET));

/** The payload that a failure sends back, for each number of arguments. */
const causes = all("/errors", [
  ["text"],
  ["text", null],
  ["text", 0],
  ["text", [1, 2]],
  ["text", 1, "two"],
]);

const BYTES = Buffer.from([0, 1, 254, 255]);

const payloads = [
  ...["body", "undecorated", "body-as-event"].flatMap((event) =>
    all("/payloads", [
      [event],
      [event, 1],
      [event, null],
      [event, 0],
      [event, ""],
      [event, false],
      [event, "text"],
      [event, { a: { b: [] } }],
      [event, []],
      [event, [1]],
      [event, [1, 2]],
      [event, 1, 2],
      [event, 1, null, "three"],
      [event, [1], [2]],
    ]),
  ),
  ...all("/payloads", [
    ["field", { name: "alice", age: 7 }],
    ["field", { age: 7 }],
    ["field", "text"],
    ["field"],
    ["echo", 1.5],
    ["echo", 1e21],
    ["echo", -0],
    ["echo", 12345678901234567890n.toString()],
    ["echo", 9007199254740993],
    ["echo", "ü \u2028 \u{1f600} \\ \" \n \u0000"],
    ["echo", { z: 1, a: 2, 10: 3, 9: 4 }],
    ["echo", { event: "echoed", data: [1] }],
    ["echo", { event: "echoed", other: 1 }],
    ["echo", { event: "" }],
    ["echo", { event: null, data: 1 }],
    ["echo", { event: false, data: 1 }],
    ["echo", { event: 0, data: 1 }],
    ["echo", { event: 7, data: 1 }],
    ["echo", { event: -1.5, data: [1] }],
    ["echo", { event: 2 ** 53 }],
    ["echo", { event: "7", data: 1 }],
    ["echo", { event: "twice", data: BYTES }],
    ["echo", { event: 8, data: BYTES }],
    ["echo", { event: true, data: 1 }],
    ["echo", { event: { name: "news" }, data: 1 }],
    ["echo", { event: ["news"], data: 1 }],
    ["echo", { event: "connect", data: 1 }],
    ["bytes-in", BYTES],
    ["bytes-in", Buffer.alloc(0)],
    ["bytes-out"],
    ["bytes-in-an-object", { name: "two", parts: [BYTES, Buffer.from("ab")] }],
    ["bytes-as-event", BYTES],
    ["echo", BYTES],
    ["echo", { a: BYTES }, BYTES],
    ["emit-by-hand"],
  ]),
  // A failure that had bytes as its payload tells of them, in bytes.
  ...twice("/errors", "text", BYTES),
  ...twice("/errors", "text", { file: BYTES }),
];

const enhanced = all("/enhanced", [
  ["order", { log: [] }],
  ["denied-globally", { a: 1 }],
  ["denied-by-the-class", { a: 1 }],
  ["denied-by-the-method", { a: 1 }],
  ["wrapped"],
  ["getClient", { test: "test" }],
  ["short-cut"],
  ["fails-inside", 1],
]);

const filters = all("/filters", [
  ["both", 1],
  ["only-the-class", 1],
  ["of-the-class", 1],
  ["neither", 1],
  ["getClientWithError", { test: "test" }],
]);

const validation = ["with-factory", "without-factory"].flatMap((event) =>
  all("/validation", [
    [event, { text: "ab", times: 2 }],
    [event, { text: "ab", times: 2, more: true }],
    [event, { text: "too long", times: 2 }],
    [event, { text: "ab", times: 0 }],
    [event, { text: 1, times: "2" }],
    [event, {}],
  ]),
);

const complaints = all("/validation", [
  ["complaints", { text: "ab", times: 2 }],
  ["complaints", { text: "too long", times: 2 }],
  ["complaints", { text: "too long", times: 0 }],
  ["complaints", { text: 1, times: "2" }],
]);

const typed = all("/typed", [
  ["one", 1],
  ["one", [1, 2]],
  ["one", 1, 2],
  ["maybe", 1],
  ["maybe", null],
  ["maybe"],
]);

const guarded = [
  ["the right token", { token: "right" }],
  ["a wrong token", { token: "wrong" }],
  ["no token", {}],
].map(([name, auth]) => ({ name: `/guarded: ${name}`, namespace: "/guarded", steps: [], auth }));

// NestJS's own end-to-end tests, without those that have another place here.
const plain = [
  ...all("/", [
    ["push", { test: "test" }],
    ["ping-pong", { test: "test" }],
    ["ping-pong"],
    ["manual", { shouldSucceed: true }],
    ["manual", { shouldSucceed: false }],
    ["fail", { test: "test" }],
  ]),
  ...twice("/test", "push", { test: "test" }),
];

const shared = [
  ...all("/shared", ["first", "second", "both"]),
  ...twice("/room-7", "where"),
  { name: "a namespace that no gateway has", namespace: "/nowhere", steps: [] },
  { name: "a namespace that the pattern does not fit", namespace: "/room-", steps: [] },
  {
    name: "one connection in two namespaces",
    namespace: "/test",
    steps: [
      ["join", "/"],
      ["ask", "push", { test: "test" }],
    ],
  },
];

const rooms = [
  {
    name: "/rooms: only others hear what a client says to its room",
    namespace: "/rooms",
    steps: [["ask", "join", "only-me"], ["hear", '[["only-me"]]'], ["ask", "to-others", "only-me"]],
  },
  {
    name: "/rooms: the server reaches all in a room",
    namespace: "/rooms",
    steps: [["ask", "join", "me-too"], ["hear", '[["me-too"]]'], ["ask", "to-all", "me-too"]],
  },
];

const labelled = (name, namespace, steps, more = {}) => ({
  name: `${namespace}: ${name}`,
  namespace,
  steps,
  auth: { label: name, ...more },
});

const lifecycle = [
  labelled("the client leaves", "/lifecycle", [["hear", "welcome"], ["leave"]]),
  labelled("the client's connection is gone", "/lifecycle", [["hear", "welcome"], ["drop"]]),
  labelled("the client leaves one of two", "/lifecycle", [["join", "/test"], ["leave"]]),
  labelled("a handler disconnects the namespace", "/lifecycle", [["send", "kick", false]]),
  labelled("a handler closes the connection", "/lifecycle", [["send", "kick", true]]),
  labelled("a handler disconnects one of two", "/lifecycle", [
    ["join", "/test"],
    ["send", "kick", false],
  ]),
  labelled("a handler closes the connection of two", "/lifecycle", [
    ["join", "/test"],
    ["send", "kick", true],
  ]),
  labelled("a handler disconnects and then answers", "/lifecycle", [
    ["ask", "kick-and-answer", false],
  ]),
  labelled("a handler closes and then answers", "/lifecycle", [["ask", "kick-and-answer", true]]),
];

const endings = [
  ["fails", "kick-and-fail"],
  ["emits before it", "emit-and-kick"],
].flatMap(([what, event]) => [
  labelled(`a handler that disconnects ${what}`, "/lifecycle", [["ask", event, false]]),
  labelled(`a handler that closes ${what}`, "/lifecycle", [["ask", event, true]]),
]);

const LEVELS = 20_000;

const malformed = [
  {
    name: "/payloads: a payload too deep to be answered, and one behind it",
    namespace: "/payloads",
    isRaw: true,
    steps: [
      ["frames", `42/payloads,7["echo",${"[".repeat(LEVELS)}${"]".repeat(LEVELS)}]`],
      ["pause", 50],
      ["ask", "echo", 1],
    ],
  },
];

// Two of the hooks take 200 ms.
const hooks = ["passes", "throws", "rejects", "kicks", "kicks later", "waits"].map((hook) => ({
  ...labelled(`the connection hook ${hook}`, "/hook", [["ask", "is-ready"]], { hook }),
  quiet: 350,
}));

const order = [
  {
    name: "/order: a quick handler behind a slow one",
    namespace: "/order",
    steps: [["send", "after", 150], ["send", "after", 5], ["hear", "150"], ["hear", ",5]"]],
  },
  {
    name: "/order: three handlers, each quicker than the one before",
    namespace: "/order",
    steps: [
      ["send", "after", 300],
      ["send", "after", 150],
      ["send", "after", 5],
      ["hear", "300"],
      ["hear", ",5]"],
    ],
  },
];

const streams = [
  {
    name: "/order: an event behind a stream that takes its time",
    namespace: "/order",
    steps: [["ask", "ticks", 150], ["ask", "at-once"], ["hear", '["tick",2]']],
  },
  {
    name: "/order: a client that leaves in the middle of a stream",
    namespace: "/order",
    steps: [["send", "ticks", 150], ["hear", '["tick",0]'], ["leave"]],
    quiet: 250,
  },
];

const state = [
  {
    name: "/state: what a connection has counted is its own",
    namespace: "/state",
    steps: [["ask", "count"], ["ask", "count"], ["ask", "count"]],
  },
  {
    name: "/state: another connection starts anew",
    namespace: "/state",
    steps: [["ask", "count"]],
  },
];

export const SCRIPTS = [
  ...returns,
  ...errors,
  ...causes,
  ...payloads,
  ...enhanced,
  ...filters,
  ...validation,
  ...complaints,
  ...typed,
  ...guarded,
  ...plain,
  ...shared,
  ...rooms,
  ...endings,
  ...malformed,
  ...lifecycle,
  ...hooks,
  ...order,
  ...streams,
  ...state,
];
