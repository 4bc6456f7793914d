// What holds for all scripts when ours answers in its own way: nothing is silent, and nothing that
// a client sent in confidence comes back.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { SCRIPTS } from "./scripts.mjs";
import { playStock, record } from "./support/recorder.mjs";
import { startOurs } from "./support/servers.mjs";

/** Handlers that answer by hand and do not, and sockets that are gone before the answer. */
const UNANSWERED = [
  /^\/returns manual-(silence|event)/,
  /^\/lifecycle: a handler (disconnects|closes) and then answers/,
  /^\/lifecycle: a handler that (disconnects|closes)/,
  /^\/hook: the connection hook (throws|rejects|kicks)/,
];

describe("by default", () => {
  const scripts = SCRIPTS.filter(({ isRaw }) => !isRaw);
  const asking = scripts.filter(({ steps }) => steps.some(([step]) => step === "ask"));
  let server;
  let records;
  before(async () => {
    server = await startOurs("--default-mode");
    records = await record(server, scripts, playStock);
  });
  after(() => server?.stop());

  for (const { name, steps } of asking) {
    const isLeftOut = UNANSWERED.some((pattern) => pattern.test(name));
    test(`${name}: ${isLeftOut ? "no ack" : "one ack for each that is wanted"}`, () => {
      const wanted = isLeftOut ? 0 : steps.filter(([step]) => step === "ask").length;
      const acks = records.get(name).heard.filter((line) => line.startsWith("ack "));
      assert.equal(acks.length, wanted, acks.join("\n"));
      assert.equal(new Set(acks.map((ack) => ack.split(" ")[1])).size, wanted);
    });
  }

  test("no error tells what the client sent, or what the server knows", () => {
    const told = [...records].flatMap(([name, { heard }]) =>
      heard.filter((line) => line.includes("hunter2")).map((line) => `${name}: ${line}`),
    );
    assert.deepEqual(told, []);
  });
});
