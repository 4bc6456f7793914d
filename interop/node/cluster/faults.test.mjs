// Nodes that die or hang while others ask them something: partial answers, in time, and nobody
// else notices. What Redis itself can do to a cluster is tested with the adapter.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { eventually, quiet } from "../support/bounded.mjs";
import { isOracle } from "../support/server.mjs";
import { Cluster, done, MODES, op } from "./support/nodes.mjs";
import { startRedis } from "./support/redis.mjs";

const TIMEOUT_MS = 600;

/** How much longer than its timeout a question may take, on a busy machine. */
const SLACK_MS = 900;

// Who asks is the first, who fails is the last.
const CLUSTERS = [
  ["rust", "rust", "rust"],
  ["rust", "rust", "node"],
  ["rust", "node", "nest"],
];
// Node asks: one of ours that hangs is to cost it what one of its own does.
const ASKED_BY_NODE = [
  ["node", "rust", "rust"],
  ["node", "rust", "node"],
];
const runs = (clusters) =>
  ["classic", "sharded dynamic"]
    .filter((mode) => mode in MODES)
    .flatMap((mode) => clusters.map((kinds) => [mode, kinds]));

/** How long Node waits for answers to what has no timeout of its own. */
const NODES_TIMEOUT_MS = 5_000;

const QUESTIONS = {
  "fetch-sockets": { timeout: TIMEOUT_MS },
  "emit-with-ack": { args: [], event: "who", timeout: TIMEOUT_MS },
  "server-side-emit-with-ack": { event: "who", timeout: TIMEOUT_MS },
};

if (!isOracle) {
  for (const [mode, kinds] of runs(CLUSTERS)) {
    describe(`${kinds} over ${mode}`, () => faults(kinds, mode));
  }
  for (const [mode, kinds] of runs(ASKED_BY_NODE)) {
    describe(`${kinds} over ${mode}`, () => askedByNode(kinds, mode));
  }
}

function askedByNode(kinds, mode) {
  test("a node that hangs costs Node the timeout, and what it would with its own", async (t) => {
    const stage = await staged(t, kinds, mode);
    const { asker, hung, others } = stage;
    await hung.freeze();
    t.after(() => hung.signal("SIGCONT"));
    for (const [name, question] of Object.entries(QUESTIONS)) {
      const timeout = name === "emit-with-ack" ? TIMEOUT_MS : NODES_TIMEOUT_MS;
      const began = Date.now();
      const [answer, delays] = await Promise.all([op(asker, name, question), echoes(others)]);
      const took = Date.now() - began;
      assert.ok(took >= timeout - 20, `${name} did not wait: ${took} ms`);
      assert.ok(took < timeout + SLACK_MS, `${name} took ${took} ms`);
      assert.equal(typeof answer.error, "string", JSON.stringify(answer));
      // Node gives up with nothing when it asks for sockets.
      if (name === "fetch-sockets") assert.equal(answer.responses, undefined);
      else assert.deepEqual(stage.known(name, answer.responses), stage.survivors(name), name);
      assert.ok(Math.max(...delays) < TIMEOUT_MS / 2, `others waited: ${delays}`);
    }
    hung.signal("SIGCONT");
    await completeAgain(stage, 15_000);
    stage.assertUndisturbed();
  });
}

/** Waits until every question has its whole answer, for so long each. */
async function completeAgain({ asker, everyone }, ms) {
  for (const [name, question] of Object.entries(QUESTIONS)) {
    const isWhole = ({ ok }) => ok?.length === everyone(name);
    await eventually(() => op(asker, name, question), isWhole, `${name} is complete again`, ms);
  }
}

function faults(kinds, mode) {
  test("a node that hangs costs its own answers and the timeout, no more", async (t) => {
    const stage = await staged(t, kinds, mode);
    const { asker, hung, others } = stage;
    await hung.freeze();
    t.after(() => hung.signal("SIGCONT"));
    for (const [name, question] of Object.entries(QUESTIONS)) {
      const began = Date.now();
      const [answer, delays] = await Promise.all([op(asker, name, question), echoes(others)]);
      const took = Date.now() - began;
      assert.ok(took >= TIMEOUT_MS - 20, `${name} did not wait: ${took} ms`);
      assert.ok(took < TIMEOUT_MS + SLACK_MS, `${name} took ${took} ms`);
      assert.equal(typeof answer.error, "string", JSON.stringify(answer));
      if (name !== "emit-with-ack") assert.equal(answer.missing, 1, name);
      assert.deepEqual(stage.known(name, answer.responses), stage.survivors(name), name);
      assert.ok(Math.max(...delays) < TIMEOUT_MS / 2, `others waited: ${delays}`);
    }
    hung.signal("SIGCONT");
    await completeAgain(stage, 10_000);
    stage.assertUndisturbed();
  });

  test("a node that is killed is gone from the next answer", async (t) => {
    const stage = await staged(t, kinds, mode);
    stage.kill();
    await stage.hung.closed;
    for (const [name, question] of Object.entries(QUESTIONS)) {
      const began = Date.now();
      const answer = await eventually(
        () => op(stage.asker, name, question),
        ({ ok }) => ok !== undefined,
        `${name} is complete`,
      );
      assert.ok(Date.now() - began < TIMEOUT_MS + SLACK_MS, `${name} took too long`);
      assert.deepEqual(stage.known(name, answer.ok), stage.survivors(name), name);
    }
    assert.equal(await done(stage.asker, "server-count"), kinds.length - 1);
    stage.assertUndisturbed();
  });

  test("a node that is killed while it is asked leaves the others' answers", async (t) => {
    const stage = await staged(t, kinds, mode);
    await stage.hung.freeze();
    for (const [name, question] of Object.entries(QUESTIONS)) {
      // The first kill ends it; what is asked after that finds it gone.
      const answer = op(stage.asker, name, question);
      await quiet(TIMEOUT_MS / 4);
      stage.kill();
      const { ok, responses } = await answer;
      assert.deepEqual(stage.known(name, ok ?? responses), stage.survivors(name), name);
    }
    stage.assertUndisturbed();
  });

  test("broadcasts reach the others while a node hangs", async (t) => {
    const stage = await staged(t, kinds, mode);
    const { asker, hung, others } = stage;
    const heard = new Map(others.map((socket) => [socket, []]));
    for (const socket of others) socket.on("tick", (n) => heard.get(socket).push(n));
    await hung.freeze();
    t.after(() => hung.signal("SIGCONT"));
    const count = 200;
    for (let n = 0; n < count; n += 1) await done(asker, "emit", { event: "tick", args: [n] });
    const all = Array.from({ length: count }, (_, n) => n);
    await eventually(
      () => others.map((socket) => heard.get(socket).length),
      (lengths) => lengths.every((length) => length === count),
      "every tick is heard",
    );
    for (const socket of others) assert.deepEqual(heard.get(socket), all);
    hung.signal("SIGCONT");
    stage.assertUndisturbed();
  });
}

/** How long each of a few echoes of others took meanwhile, in milliseconds. */
async function echoes(sockets) {
  const delays = [];
  for (let round = 0; round < 5; round += 1) {
    const began = Date.now();
    await Promise.all(sockets.map((socket) => socket.timeout(5_000).emitWithAck("echo", round)));
    delays.push(Date.now() - began);
    await quiet(TIMEOUT_MS / 10);
  }
  return delays;
}

/** A cluster, a client on each node, and who is to fail: the last. */
async function staged(t, kinds, mode) {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const cluster = await Cluster.start(kinds, { clientsEach: 1, key: "faults", mode, redis });
  t.after(() => cluster.stop());
  const sockets = cluster.clients.map(({ socket }) => socket);
  const others = sockets.slice(0, -1);
  const ids = others.map(({ id }) => id).sort();
  const ended = [];
  sockets.forEach((socket, index) => {
    const { id } = socket;
    socket.on("who", (ack) => ack(id));
    socket.on("disconnect", (reason) => ended.push(`n${index}: ${reason}`));
  });
  const hung = cluster.nodes.at(-1);
  return {
    asker: sockets[0],
    hung,
    others,
    kill() {
      hung.signal("SIGKILL");
    },
    /** What an answer names, in order: ids of sockets, or names of nodes. */
    known: (name, answer) =>
      answer.map((one) => (name === "fetch-sockets" ? one.id : one)).sort(),
    survivors: (name) =>
      name === "server-side-emit-with-ack" ? nodeNames(kinds).slice(1, -1) : ids,
    everyone: (name) => (name === "server-side-emit-with-ack" ? kinds.length - 1 : kinds.length),
    assertUndisturbed() {
      const last = `n${kinds.length - 1}: `;
      assert.deepEqual(
        ended.filter((end) => !end.startsWith(last)),
        [],
      );
    },
  };
}

const nodeNames = (kinds) => kinds.map((_, index) => `n${index}`);
