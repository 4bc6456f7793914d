// A row of each table, a test: NestJS, ours with `nest_compat`, and ours as it is by default.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { playStock, record } from "./support/recorder.mjs";
import { startNest, startOurs } from "./support/servers.mjs";
import { AROUND, ERRORS, PAYLOADS, RETURNS, SECRET } from "./tables.mjs";

const MODES = [
  { mode: "NestJS", start: startNest, column: ({ nest }) => nest },
  { mode: "nest_compat", start: startOurs, column: ({ nest }) => nest },
  {
    mode: "the default",
    start: () => startOurs("--default-mode"),
    column: ({ nest, ours }) => ours ?? nest,
  },
];

const WANTED = [
  { verb: "ask", when: "with an ack" },
  { verb: "send", when: "without one" },
];

const TABLE = [
  ...RETURNS.map((row) => ({ namespace: "/returns", args: [], ...row })),
  ...ERRORS.map((row) => ({ namespace: "/errors", args: [SECRET], ...row })),
  ...AROUND,
];

/** All cells of the table in one mode: what is emitted, and what is heard. */
const cells = (column) =>
  TABLE.flatMap((row) =>
    WANTED.map(({ verb, when }, index) => ({
      name: `${row.namespace} ${row.event}(${JSON.stringify(row.args).slice(1, -1)}), ${when}`,
      namespace: row.namespace,
      steps: [[verb, row.event, ...row.args]],
      heard: column(row)[index],
    })),
  );

/** The payload of a handler, as its ack or as an event shows it. */
const payloads = PAYLOADS.flatMap(({ args, seen }) => [
  {
    name: `/payloads ${JSON.stringify(args)}, with an ack`,
    namespace: "/payloads",
    steps: [["ask", "body", ...args]],
    heard: [`ack 0 ${JSON.stringify([seen])}`],
  },
  {
    name: `/payloads ${JSON.stringify(args)}, without one`,
    namespace: "/payloads",
    steps: [["send", "body-as-event", ...args]],
    heard: [`event ${JSON.stringify(["seen", seen])}`],
  },
]);

for (const { mode, start, column } of MODES) {
  describe(`with ${mode} a client hears`, () => {
    const rows = [...cells(column), ...payloads];
    let records;
    let server;
    before(async () => {
      server = await start();
      records = await record(server, rows, playStock);
    });
    after(() => server?.stop());
    for (const row of rows) {
      test(row.name, () => {
        assert.deepEqual(records.get(row.name).heard, ["connected", ...row.heard]);
      });
    }
  });
}
