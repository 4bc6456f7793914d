// `portcullis dev` on two nodes: people see each other, and each other's node, in real browsers.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { eventually, next } from "../support/bounded.mjs";
import { openBrowser } from "../support/browser.mjs";
import { mint } from "../support/client.mjs";
import { freePorts } from "../support/ports.mjs";
import { http } from "../support/raw.mjs";
import { isOracle, SECRET, startDev } from "../support/server.mjs";
import { clientOf, join } from "./support/nodes.mjs";
import { startRedis } from "./support/redis.mjs";

// Node has no such program.
if (!isOracle) {
  let browser;
  let redis;
  before(async () => {
    process.env.PORTCULLIS_JWT_SECRET = SECRET;
    [browser, redis] = await Promise.all([openBrowser(), startRedis()]);
  });
  after(async () => {
    await browser?.close();
    await redis?.stop();
  });

  const node = async (t, ...options) => {
    const server = await startDev("--redis", redis.url, ...options);
    t.after(() => server.stop());
    return server;
  };

  /** A socket of somebody, and the last list of each room that it has heard. */
  async function person(t, server, name) {
    const socket = clientOf(server, { auth: { token: mint({ sub: name, name }) } });
    t.after(() => socket.disconnect());
    const lists = {};
    const versions = {};
    const hear = ({ members, room, version }) => {
      if (version <= (versions[room] ?? 0)) return;
      versions[room] = version;
      lists[room] = members.map(({ name, node }) => `${name}@${node}`);
    };
    socket.on("presence", hear);
    socket.on("welcome", hear);
    await join(socket);
    const enter = async (room) => hear(await socket.emitWithAck("join", { room }));
    return { enter, lists, socket };
  }

  const sees = ({ lists }, room, members) =>
    eventually(
      () => lists[room],
      (list) => list?.join() === members.join(),
      `${room} has ${members}`,
      9_000,
    );

  test("who is where is the same on every node, whatever comes and goes", async (t) => {
    const [a, b] = await Promise.all([node(t), node(t)]);
    const alice = await person(t, a, "alice");
    const bob = await person(t, b, "bob");
    const both = [`alice@${a.port}`, `bob@${b.port}`];
    for (const one of [alice, bob]) await sees(one, "lobby", both);

    await Promise.all([alice.enter("den"), bob.enter("den")]);
    for (const one of [alice, bob]) await sees(one, "den", both);
    const heard = next(alice.socket, "message");
    const { id } = await bob.socket.emitWithAck("say", { room: "den", text: "hello" });
    const [message] = await heard;
    assert.deepEqual([message.id, message.from, message.text], [id, "bob", "hello"]);

    await bob.socket.emitWithAck("leave", { room: "den" });
    await sees(alice, "den", both.slice(0, 1));
    const again = await person(t, a, "bob");
    await sees(alice, "lobby", [...both.slice(0, 1), `bob@${a.port}`, both[1]].sort());
    again.socket.disconnect();
    await sees(alice, "lobby", both);

    b.signal("SIGKILL");
    await sees(alice, "lobby", both.slice(0, 1));
  });

  test("without Redis a node serves its own, says so to probes, and joins in later", async (t) => {
    const [probe, port] = await freePorts(2);
    const absent = `redis://127.0.0.1:${port}`;
    const lonely = await startDev("--redis", absent, "--management-port", String(probe));
    t.after(() => lonely.stop());
    const alice = await person(t, lonely, "alice");
    await sees(alice, "lobby", [`alice@${lonely.port}`]);
    const { body, status } = await http({ port: probe }, "/readyz");
    assert.deepEqual([status, JSON.parse(body).because], [503, ["redis"]]);
    assert.equal((await http({ port: probe }, "/livez")).status, 200);
  });

  test("the page shows its node, and everybody's", async (t) => {
    const [a, b] = await Promise.all([node(t), node(t)]);
    const says = (page, id, text) =>
      page.waitForFunction(
        ([id, text]) => document.querySelector(id).textContent.includes(text),
        [id, text],
      );
    const visit = async (server, name) => {
      const page = await browser.newPage();
      await page.goto(server.url);
      await page.fill("#name", name);
      await page.click("#get-token");
      await page.waitForFunction(
        () => document.querySelector("#token").value.split(".").length === 3,
      );
      await page.click("#connect");
      await says(page, "#node", String(server.port));
      return page;
    };
    const [alice, bob] = [await visit(a, "Alice"), await visit(b, "Bob")];
    for (const page of [alice, bob]) {
      await says(page, "#members", `Alice${a.port}`);
      await says(page, "#members", `Bob${b.port}`);
    }
    await alice.fill("#text", "from one node to another");
    await alice.click("#send");
    for (const page of [alice, bob]) await says(page, "#messages", "from one node to another");
    await bob.click("#kick");
    await bob.waitForFunction(() => document.querySelector("#node").textContent === "none");
    await alice.waitForFunction(
      () => !document.querySelector("#members").textContent.includes("Bob"),
    );
  });
}
