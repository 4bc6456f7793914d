// What a client hears for each thing that a handler may return or throw: data, for both modes.
//
// Each row is one event of the servers, emitted twice: once with an ack wanted, and once without.
// `nest` is what NestJS does, and what we do with `nest_compat`; `ours` is what we do without it.
// Each is a pair: what is heard with an ack wanted, and what is heard without. Where only one is
// given, both modes agree.

const ack = (...answer) => `ack 0 ${JSON.stringify(answer)}`;
const event = (...event) => `event ${JSON.stringify(event)}`;
const both = (...lines) => [lines, lines];
const answered = (...answer) => [[ack(...answer)], []];
const silent = [[], []];

/** The event `exception`, as NestJS's own filter sends it. */
const exception = (message, pattern, data) =>
  event("exception", { status: "error", message, cause: { pattern, data } });

/** An error as ours: in the ack, or as the event `exception` with the pattern. */
const failed = (error, pattern) => {
  const told = { status: "error", ...error };
  return [[ack(told)], [event("exception", { ...told, cause: { pattern } })]];
};

const INTERNAL = {
  code: "INTERNAL",
  message: "Internal server error",
  correlationId: "<id>",
};

/** What a handler returns. */
export const RETURNS = [
  { event: "object", nest: answered({ a: 1, b: [true, null] }) },
  { event: "array", nest: answered([1, "two"]) },
  { event: "string", nest: answered("pong") },
  { event: "number", nest: answered(42) },
  { event: "zero", nest: answered(0) },
  { event: "empty-string", nest: answered("") },
  { event: "false", nest: answered(false) },
  { event: "null", nest: silent, ours: answered(null) },
  { event: "undefined", nest: silent, ours: answered() },
  {
    event: "event-and-data",
    nest: both(event("reply", { a: 1 })),
    ours: [[event("reply", { a: 1 }), ack()], [event("reply", { a: 1 })]],
  },
  {
    event: "event-without-data",
    nest: both(event("reply", null)),
    ours: [[event("reply"), ack()], [event("reply")]],
  },
  { event: "event-is-empty", nest: answered({ event: "", data: 1 }) },
  { event: "promise", nest: answered("later") },
  { event: "promise-of-null", nest: silent, ours: answered(null) },
  {
    event: "promise-of-event",
    nest: both(event("reply", "later")),
    ours: [[event("reply", "later"), ack()], [event("reply", "later")]],
  },
  {
    event: "stream",
    nest: [
      [event("tick", 1), ack("first"), event("tick", 2)],
      [event("tick", 1), event("tick", 2)],
    ],
  },
  {
    event: "stream-of-events",
    nest: both(event("tick", 1), event("tick", 2)),
    ours: [[event("tick", 1), event("tick", 2), ack()], [event("tick", 1), event("tick", 2)]],
  },
  { event: "stream-of-nothing", nest: silent, ours: answered() },
  {
    event: "stream-that-fails",
    nest: both(event("tick", 1), exception("the stream broke", "stream-that-fails")),
    ours: failed({ code: "BROKEN", message: "the stream broke" }, "stream-that-fails").map(
      (lines) => [event("tick", 1), ...lines],
    ),
  },
  { event: "manual-success", nest: answered({ status: "success", data: 7 }) },
  { event: "manual-error", nest: answered({ status: "error", message: "Operation failed" }) },
  { event: "manual-silence", nest: silent },
  { event: "manual-event", nest: both(event("reply", "not ignored")) },
  { event: "manual-twice", nest: answered("first") },
  {
    event: "manual-failure",
    nest: both(exception("before the ack", "manual-failure")),
    ours: failed({ code: "EARLY", message: "before the ack" }, "manual-failure"),
  },
  {
    event: "throws",
    nest: both(exception("thrown", "throws")),
    ours: failed({ code: "THROWN", message: "thrown" }, "throws"),
  },
  {
    event: "rejects",
    nest: both(exception("rejected", "rejects")),
    ours: failed({ code: "REJECTED", message: "rejected" }, "rejects"),
  },
  {
    event: "denied",
    nest: both(exception("Forbidden resource", "denied")),
    ours: failed({ code: "FORBIDDEN", message: "Forbidden resource" }, "denied"),
  },
  {
    event: "no-such-event",
    nest: silent,
    ours: [
      [ack({ status: "error", code: "UNKNOWN_EVENT", message: "Nobody handles this event" })],
      [],
    ],
  },
];

/** What the client sends along: it must not come back, unless NestJS's ways are asked for. */
export const SECRET = { password: "hunter2", list: [1, null, "ü"] };

const OBJECT = { reason: "quota", left: 0, nested: { a: [1] } };

/** What a handler throws. */
export const ERRORS = [
  {
    event: "text",
    nest: both(exception("bad", "text", SECRET)),
    ours: failed({ code: "BAD", message: "bad" }, "text"),
  },
  {
    event: "object",
    nest: both(event("exception", OBJECT)),
    ours: [[ack(OBJECT)], [event("exception", OBJECT)]],
  },
  ...["error", "error-later", "error-in-a-stream", "http", "thrown-text"].map((name) => ({
    event: name,
    nest: both(exception("Internal server error", name, SECRET)),
    ours: failed(INTERNAL, name),
  })),
  {
    event: "denied",
    nest: both(exception("Forbidden resource", "denied", SECRET)),
    ours: failed({ code: "FORBIDDEN", message: "Forbidden resource" }, "denied"),
  },
  {
    event: "guard-throws",
    nest: both(exception("no entry", "guard-throws", SECRET)),
    ours: failed({ code: "NO_ENTRY", message: "no entry" }, "guard-throws"),
  },
];

const invalid = (data, detail) => {
  const told = { code: "VALIDATION", message: "Validation failed", details: [detail] };
  return {
    namespace: "/validation",
    event: "with-factory",
    args: [data],
    nest: both(exception("Validation failed", "with-factory", data)),
    ours: failed(told, "with-factory"),
  };
};

const denied = (name) => ({
  namespace: "/enhanced",
  event: name,
  args: [SECRET],
  nest: both(exception("Forbidden resource", name, SECRET)),
  ours: failed({ code: "FORBIDDEN", message: "Forbidden resource" }, name),
});

const STEPS = [
  ...["global", "class", "method"].map((level) => `${level} guard`),
  ...["global", "class", "method"].map((level) => `${level} interceptor before`),
  "pipe",
  "handler",
  ...["method", "class", "global"].map((level) => `${level} interceptor after`),
];

const popClient = event("popClient", { test: "test", path: "getClient" });

/** What stands around a handler, and values that look like something else. */
export const AROUND = [
  { namespace: "/enhanced", event: "order", args: [{ log: [] }], nest: answered(STEPS) },
  ...["denied-globally", "denied-by-the-class", "denied-by-the-method"].map(denied),
  { namespace: "/enhanced", event: "wrapped", args: [], nest: answered({ wrapped: "answer" }) },
  { namespace: "/enhanced", event: "short-cut", args: [], nest: answered("from the interceptor") },
  {
    namespace: "/enhanced",
    event: "getClient",
    args: [{ test: "test" }],
    nest: both(popClient),
    ours: [[popClient, ack()], [popClient]],
  },
  {
    namespace: "/validation",
    event: "with-factory",
    args: [{ text: "ab", times: 2 }],
    nest: answered("abab"),
  },
  invalid({ text: "too long", times: 2 }, { path: "text", message: "length is greater than 5" }),
  invalid({ text: "ab", times: 0 }, { path: "times", message: "lower than 1" }),
  invalid(
    { text: 1, times: 2 },
    { path: "text", message: "invalid type: integer, expected a string" },
  ),
  invalid({ text: "ab" }, { path: "times", message: "missing field" }),
  {
    namespace: "/payloads",
    event: "echo",
    args: [{ event: "concert", data: 1 }],
    nest: both(event("concert", 1)),
    ours: answered({ event: "concert", data: 1 }),
  },
];

/** What a handler takes as its payload, by the arguments that were emitted. */
export const PAYLOADS = [
  { args: [], seen: { absent: true } },
  { args: [1], seen: { data: 1 } },
  { args: [null], seen: { data: null } },
  { args: [{ a: 1 }], seen: { data: { a: 1 } } },
  { args: [[1]], seen: { data: [1] } },
  { args: [[1, 2]], seen: { data: [1, 2] } },
  { args: [1, 2], seen: { data: [1, 2] } },
  { args: [1, null, "three"], seen: { data: [1, null, "three"] } },
];
