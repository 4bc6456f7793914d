// Where we differ from NestJS on purpose, though `nest_compat` is on: all of it, with the reason.
//
// Each entry is one script, and what is heard of either server in it. The comparison asserts both
// sides: a difference that goes away fails as one that comes up.

const json = JSON.stringify;

// What is heard, by the stock client and on the wire.
const OPEN = json({
  sid: "<id>",
  upgrades: [],
  pingInterval: 25_000,
  pingTimeout: 20_000,
  maxPayload: 1_000_000,
});
const opened = { stock: [], raw: [`< 0${OPEN}`] };
const connected = (namespace) => ({
  stock: ["connected"],
  raw: [`< 40${namespace},{"sid":"<id>"}`],
});
const refused = (namespace, message, data) => ({
  stock: [`refused: ${json(data === undefined ? [message] : [message, data])}`],
  raw: [`< 44${namespace},${json({ message, data })}`],
});
const event = (namespace, ...event) => ({
  stock: [`event ${json(event)}`],
  raw: [`< 42${namespace},${json(event)}`],
});
const ack = (namespace, answer) => ({
  stock: [`ack 0 ${json([answer])}`],
  raw: [`< 43${namespace},0${json([answer])}`],
});
const disconnected = (namespace) => ({
  stock: ["disconnected: io server disconnect"],
  raw: [`< 41${namespace},`, "< closed 1005"],
});
/** An event that is none: the stock client closes the connection over it. */
const nonsense = (namespace, ...event) => ({
  stock: ["disconnected: parse error"],
  raw: [`< 42${namespace},${json(event)}`],
});
const closed = { stock: ["disconnected: transport close"], raw: ["< closed 1005"] };
const hookHeard = (...reasons) => {
  const line = `the hook heard ${json(reasons)}`;
  return { stock: [line], raw: [line] };
};

/** All of it, one after the other. */
const heard = (...parts) => ({
  stock: [opened, ...parts].flatMap(({ stock }) => stock),
  raw: [opened, ...parts].flatMap(({ raw }) => raw),
});

/** The same difference with an ack wanted and without: the error goes to `exception` anyway. */
const messages = (namespace, pattern, data, theirs, ours, reason) => {
  const told = (message) =>
    heard(
      connected(namespace),
      event(namespace, "exception", { status: "error", message, cause: { pattern, data } }),
    );
  return ["ack", "no ack"].map((wanted) => ({
    script: `${namespace} ${pattern}(${json(data)}), ${wanted}`,
    reason,
    nest: told(theirs),
    ours: told(ours),
  }));
};

const HIDDEN = "Internal server error";

const errors = [
  ...messages(
    "/errors",
    "special",
    { password: "hunter2", list: [1, null, "ü"] },
    HIDDEN,
    "caught by map_error",
    "NestJS never asks a global filter about gateways; `map_error` sees every error",
  ),
  ...[
    { text: "too long", times: 2 },
    { text: "ab", times: 0 },
    { text: 1, times: "2" },
    {},
  ].flatMap((data) =>
    messages(
      "/validation",
      "without-factory",
      data,
        HIDDEN,
      "Validation failed",
      "ValidationPipe throws an HttpException unless told otherwise, and a gateway hides it",
    ),
  ),
];

const greeted = [
  connected("/shared"),
  event("/shared", "greeted", "by the first"),
  event("/shared", "greeted", "by the second"),
];
const firstHeard = event("/shared", "heard", "by the first");
const secondHeard = event("/shared", "heard", "by the second");

const twoHandlers = [
  { script: "/shared both(), ack", answer: [ack("/shared", "first")] },
  { script: "/shared both(), no ack", answer: [] },
].map(({ script, answer }) => ({
  script,
  reason: "an event has one handler: two gateways that handle it are an error when building",
  nest: heard(...greeted, firstHeard, secondHeard, ...answer),
  ours: heard(...greeted, firstHeard, ...answer),
}));

const REFUSED = "an error of the connection hook refuses the client before it is connected";

const hooks = [
  ...["throws", "rejects"].map((hook) => ({
    script: `/hook: the connection hook ${hook}`,
    reason: `${REFUSED}; NestJS lets it in, and the error ends the process unless it is caught`,
    nest: heard(connected("/hook"), ack("/hook", false), hookHeard()),
    ours: heard(refused("/hook", "Unauthorized", { code: "UNAUTHORIZED" }), hookHeard()),
  })),
  {
    script: "/hook: the connection hook kicks",
    reason: "a disconnect hook runs for every client whose connection hook did not refuse it",
    nest: heard(connected("/hook"), disconnected("/hook"), hookHeard()),
    ours: heard(
      connected("/hook"),
      disconnected("/hook"),
      hookHeard("server namespace disconnect"),
    ),
  },
  {
    script: "/hook: the connection hook kicks later",
    reason: "no handler runs before the connection hook is done",
    nest: heard(
      connected("/hook"),
      ack("/hook", false),
      disconnected("/hook"),
      hookHeard("server namespace disconnect"),
    ),
    ours: heard(
      connected("/hook"),
      disconnected("/hook"),
      hookHeard("server namespace disconnect"),
    ),
  },
  {
    script: "/hook: the connection hook waits",
    reason: "no handler runs before the connection hook is done",
    nest: heard(connected("/hook"), ack("/hook", false), hookHeard()),
    ours: heard(connected("/hook"), ack("/hook", true), hookHeard()),
  },
];

const done = (milliseconds) => event("/order", "done", milliseconds);

const order = [
  { script: "/order: a quick handler behind a slow one", sent: [150, 5] },
  { script: "/order: three handlers, each quicker than the one before", sent: [300, 150, 5] },
].map(({ script, sent }) => ({
  script,
  reason: "the events of one socket are handled in the order in which they came",
  nest: heard(connected("/order"), ...sent.toReversed().map(done)),
  ours: heard(connected("/order"), ...sent.map(done)),
}));

const malformed = [
  {
    script: "/payloads: a payload too deep to be answered, and one behind it",
    reason: "packets are 64 levels deep at most; in NestJS the answer overflows the stack",
    nest: heard(connected("/payloads"), ack("/payloads", 1)),
    ours: heard(connected("/payloads"), closed),
  },
];

/** The same difference with an ack wanted and without; `answer` is there for the former alone. */
const echoed = (value, theirs, answer, reason) =>
  ["ack", "no ack"].map((wanted) => ({
    script: `/payloads echo(${json(value)}), ${wanted}`,
    reason,
    nest: heard(connected("/payloads"), ...theirs),
    ours: heard(connected("/payloads"), ...answer(wanted)),
  }));

const NO_NAME = "NestJS emits it, and clients end the connection over a name that is no name";

const names = [
  ...[true, { name: "news" }, ["news"]].flatMap((name) => {
    const value = { event: name, data: 1 };
    const answer = (wanted) => (wanted === "ack" ? [ack("/payloads", value)] : []);
    return echoed(value, [nonsense("/payloads", name, 1)], answer, NO_NAME);
  }),
  ...echoed(
    { event: "connect", data: 1 },
    [],
    () => [
      event("/payloads", "exception", {
        status: "error",
        message: HIDDEN,
        cause: { pattern: "echo", data: { event: "connect", data: 1 } },
      }),
    ],
    "emitting a reserved name throws where nobody catches it in NestJS, and ends the process",
  ),
];

const types = [
  {
    script: "/typed one(1, 2), ack",
    reason: "`Data` is the first argument, as its type says, and never the list of all",
    nest: heard(connected("/typed"), ack("/typed", [1, 2])),
    ours: heard(connected("/typed"), ack("/typed", 1)),
  },
  {
    script: "/typed maybe(), ack",
    reason: "an absent value and null are both `None`",
    nest: heard(connected("/typed"), ack("/typed", "undefined")),
    ours: heard(connected("/typed"), ack("/typed", "null")),
  },
  {
    script: "/guarded: no token",
    reason: "a refusal by the authenticator always has a code; a middleware's has what it sets",
    nest: heard(refused("/guarded", "Unauthorized")),
    ours: heard(refused("/guarded", "Unauthorized", { code: "TOKEN_MISSING" })),
  },
];

const complaint = (path, message) => ({ path, message });
const TOO_LONG = complaint("text", "text must be shorter than or equal to 5 characters");
const NO_TEXT = complaint("text", "text must be a string");
const TOO_SMALL = complaint("times", "times must not be less than 1");
const NO_INTEGER = complaint("times", "times must be an integer number");
const [OURS_TOO_LONG, OURS_TOO_SMALL, OURS_NO_TEXT] = [
  complaint("text", "length is greater than 5"),
  complaint("times", "lower than 1"),
  complaint("text", "invalid type: integer, expected a string"),
];

const complaints = [
  [{ text: "too long", times: 2 }, [TOO_LONG], [OURS_TOO_LONG]],
  [{ text: "too long", times: 0 }, [TOO_LONG, TOO_SMALL], [OURS_TOO_LONG, OURS_TOO_SMALL]],
  [{ text: 1, times: "2" }, [TOO_LONG, NO_TEXT, TOO_SMALL, NO_INTEGER], [OURS_NO_TEXT]],
].flatMap(([data, theirs, ours]) => {
  const told = (errors) =>
    heard(connected("/validation"), event("/validation", "exception", { errors }));
  return ["ack", "no ack"].map((wanted) => ({
    script: `/validation complaints(${json(data)}), ${wanted}`,
    reason: "a shape is read before rules are checked, and serde and garde have their own words",
    nest: told(theirs),
    ours: told(ours),
  }));
});

export const DIFFERENCES = [
  ...errors,
  ...names,
  ...twoHandlers,
  ...hooks,
  ...order,
  ...malformed,
  ...types,
  ...complaints,
];
