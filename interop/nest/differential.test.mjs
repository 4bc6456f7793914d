// The same scripts against NestJS and against ours with `nest_compat`: the same frames come back,
// except where `differences.mjs` says otherwise.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { DIFFERENCES } from "./differences.mjs";
import { SCRIPTS } from "./scripts.mjs";
import { playRaw, playStock, record } from "./support/recorder.mjs";
import { startNest, startOurs } from "./support/servers.mjs";

const PLAYS = [
  { kind: "stock", what: "the stock client hears", play: playStock },
  { kind: "raw", what: "on the wire is", play: playRaw },
];
const LISTED = new Map(DIFFERENCES.map((difference) => [difference.script, difference]));

let nest;
let ours;
before(async () => {
  [nest, ours] = await Promise.all([startNest(), startOurs()]);
});
after(() => Promise.all([nest?.stop(), ours?.stop()]));

for (const { kind, what, play } of PLAYS) {
  describe(`${what} the same:`, () => {
    const scripts = SCRIPTS.filter((script) => kind === "raw" || !script.isRaw);
    let theirs;
    let own;
    before(async () => {
      [theirs, own] = await Promise.all([
        record(nest, scripts, play),
        record(ours, scripts, play),
      ]);
    });
    for (const { name } of scripts) {
      const difference = LISTED.get(name);
      if (difference === undefined) {
        test(name, () => assert.deepEqual(own.get(name), theirs.get(name)));
        continue;
      }
      test(`${name} (not the same, on purpose: ${difference.reason})`, () => {
        assert.deepEqual(theirs.get(name).heard, difference.nest[kind]);
        assert.deepEqual(own.get(name).heard, difference.ours[kind]);
        assert.deepEqual(own.get(name).sent, theirs.get(name).sent);
        assert.notDeepEqual(difference.ours[kind], difference.nest[kind]);
      });
    }
  });
}

test("every difference is one of a script, and no script has two names", () => {
  const names = new Set(SCRIPTS.map(({ name }) => name));
  assert.equal(names.size, SCRIPTS.length);
  assert.equal(LISTED.size, DIFFERENCES.length);
  assert.deepEqual([...LISTED.keys()].filter((name) => !names.has(name)), []);
});
