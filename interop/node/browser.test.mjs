// Headless Chromium: the stock browser bundle against our server, and a person at the demo page.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";
import { within } from "./support/bounded.mjs";
import { openBrowser } from "./support/browser.mjs";
import { ask, client, connected, GUARDED, mint, TRANSPORTS } from "./support/client.mjs";
import { isOracle, ours, startAuth, startDev } from "./support/server.mjs";

const BUNDLE = createRequire(import.meta.url).resolve("socket.io-client/dist/socket.io.js");
const WAIT = 10_000;

let browser;
before(async () => (browser = await openBrowser(WAIT)));
after(() => browser?.close());

/** A tab whose errors fail the test. */
async function tab(t) {
  const page = await browser.newPage();
  const problems = [];
  page.on("pageerror", (error) => problems.push(error.message));
  t.after(() => page.close());
  page.assertNoProblem = () => assert.deepEqual(problems, []);
  return page;
}

/** A site of its own: a page that loads the stock bundle, and nothing else. */
async function servePages() {
  const bundle = await readFile(BUNDLE);
  const html = '<!doctype html><meta charset="utf-8"><script src="/bundle.js"></script>';
  const site = createServer((request, response) => {
    const [type, body] =
      request.url === "/bundle.js" ? ["text/javascript", bundle] : ["text/html", html];
    response.writeHead(200, { "content-type": type }).end(body);
  });
  await new Promise((done) => site.listen(0, "127.0.0.1", done));
  const close = () => {
    site.close();
    site.closeAllConnections();
  };
  return { close, origin: `http://127.0.0.1:${site.address().port}` };
}

describe("the stock bundle in a browser", () => {
  let pages;
  let server;
  before(async () => {
    pages = await servePages();
    server = await startAuth("--origin", pages.origin);
  });
  after(async () => {
    await server?.stop();
    pages?.close();
  });

  /** Runs `body` in a page of another origin that has loaded the bundle. */
  async function inPage(t, body, argument) {
    const page = await tab(t);
    await page.goto(pages.origin);
    const ran = page.evaluate(body, { ...argument, url: server.url });
    const outcome = await within(ran, WAIT, "the script in the page");
    page.assertNoProblem();
    return outcome;
  }

  for (const [transport, options] of Object.entries(TRANSPORTS)) {
    for (const namespace of GUARDED) {
      test(`is refused in ${namespace} over ${transport} without a good token`, async (t) => {
        const bad = { namespace, options, token: "bad" };
        const outcome = await inPage(t, visitRefused, bad);
        assert.deepEqual(outcome, {
          line: "WebSocket connect_error: Unauthorized",
          code: "TOKEN_INVALID",
          active: false,
          seen: [],
        });
      });
    }

    test(`talks, in text and bytes, over ${transport}`, async (t) => {
      const outcome = await inPage(t, visit, { options, token: mint() });
      const expected = transport === "polling" ? "polling" : "websocket";
      assert.deepEqual(outcome, {
        transport: expected,
        who: { namespace: "/admin", sub: "42", username: "alice" },
        echo: [{ text: "é🦀" }, [0, 1, 254, 255]],
        answer: { ok: [3, 2, 1] },
        rooms: ["browser"],
        kicked: "io server disconnect",
      });
    });
  }
});

describe("a page of another site in a browser", () => {
  let pages;
  let others;
  let server;
  before(async () => {
    [pages, others] = [await servePages(), await servePages()];
    server = await startAuth("--origin", pages.origin);
  });
  after(async () => {
    await server?.stop();
    pages?.close();
    others?.close();
  });

  for (const transport of ["polling", "websocket"]) {
    ours(`cannot connect over ${transport}, and a page of ours can`, async (t) => {
      const options = { transports: [transport] };
      const token = mint();
      const from = async (site, body) => {
        const page = await tab(t);
        await page.goto(site.origin);
        const ran = page.evaluate(body, { options, token, url: server.url });
        return within(ran, WAIT, "the script in the page");
      };
      const { transport: used } = await from(pages, visit);
      assert.equal(used, transport);
      const before = await sessionsOf(server);
      const error = transport === "polling" ? "xhr poll error" : "websocket error";
      assert.deepEqual(await from(others, visitInVain), { error, raw: "error" });
      assert.equal(await sessionsOf(server), before, "no socket was made for it");
    });
  }
});

/** How many sockets the server has let in so far, but for the one that asks. */
async function sessionsOf(server) {
  const asking = await connected(client(server));
  const { connected: count } = await ask(asking, "counters");
  asking.disconnect();
  return count - asked++;
}
let asked = 1;

// These run in the page.

/** The stock client is refused, and so is a bare WebSocket. */
async function visitInVain({ options, token, url }) {
  const socket = globalThis.io(url, {
    ...options,
    auth: { token },
    forceNew: true,
    reconnection: false,
  });
  const error = await new Promise((done) => {
    socket.on("connect", () => done("connected"));
    socket.on("connect_error", ({ message }) => done(message));
  });
  const target = `${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`;
  const raw = await new Promise((done) => {
    const bare = new globalThis.WebSocket(target);
    for (const event of ["open", "error"]) bare.addEventListener(event, () => done(event));
  });
  return { error, raw };
}

async function visitRefused({ namespace, options, token, url }) {
  const seen = [];
  const socket = globalThis.io(url + namespace, { ...options, auth: { token }, forceNew: true });
  for (const event of ["connect", "disconnect"]) socket.on(event, () => seen.push(event));
  socket.onAny((event) => seen.push(event));
  const error = await new Promise((done) => socket.on("connect_error", done));
  const outcome = {
    line: `WebSocket connect_error: ${error.message}`,
    code: error.data?.code,
    active: socket.active,
    seen,
  };
  socket.io.engine.close();
  return outcome;
}

async function visit({ options, token, url }) {
  const socket = globalThis.io(`${url}/admin`, { ...options, auth: { token }, forceNew: true });
  socket.on("question", (_, ack) => ack(new Uint8Array([3, 2, 1])));
  await new Promise((done, failed) => {
    socket.on("connect", done);
    socket.on("connect_error", failed);
  });
  const { engine } = socket.io;
  if (options.transports.length > 1 && engine.transport.name === "polling") {
    await new Promise((done) => engine.on("upgrade", done));
  }
  const ask = (...args) => socket.timeout(5_000).emitWithAck(...args);
  const numbers = (buffer) => Array.from(new Uint8Array(buffer));
  const echoed = new Promise((done) => socket.on("echo", (...args) => done(args)));
  socket.emit("echo", { text: "é🦀" }, new Uint8Array([0, 1, 254, 255]));
  const [text, bytes] = await echoed;
  const { ok } = await ask("ask", "question");
  const gone = new Promise((done) => socket.on("disconnect", done));
  const outcome = {
    transport: engine.transport.name,
    who: await ask("whoami"),
    echo: [text, numbers(bytes)],
    answer: { ok: numbers(ok) },
    rooms: await ask("join", "browser"),
  };
  socket.emit("kick", true);
  return { ...outcome, kicked: await gone };
}

describe("the page of `portcullis dev`", () => {
  let server;
  before(async () => {
    if (!isOracle || process.env.PORTCULLIS_BIN) server = await startDev();
  });
  after(() => server?.stop());

  const says = (page, id, text) =>
    page.waitForFunction(
      ([id, text]) => document.querySelector(id).textContent.includes(text),
      [id, text],
    );

  async function visitor(t) {
    const page = await tab(t);
    await page.goto(server.url);
    return page;
  }

  async function enter(page, name, transport) {
    await page.fill("#name", name);
    await page.click("#get-token");
    await page.waitForFunction(
      () => document.querySelector("#token").value.split(".").length === 3,
    );
    await page.selectOption("#transport", transport);
    await page.click("#connect");
    await says(page, "#state", "connected");
  }

  const page = process.env.PORTCULLIS_BIN ? test : ours;

  page("shows how a bad token is refused", async (t) => {
    const alice = await visitor(t);
    await alice.click("#bad-token");
    await says(alice, "#log", "connect_error: Unauthorized");
    assert.notEqual(await alice.textContent("#state"), "connected");
    alice.assertNoProblem();
  });

  page("shows how no token is refused", async (t) => {
    const alice = await visitor(t);
    await alice.click("#connect");
    await says(alice, "#log", "connect_error: Unauthorized");
    assert.notEqual(await alice.textContent("#state"), "connected");
  });

  page("says what was wrong with the name of a room", async (t) => {
    const alice = await visitor(t);
    await enter(alice, "Alice", "websocket");
    await alice.evaluate(() => document.querySelector("#room").removeAttribute("maxlength"));
    await alice.fill("#room", "x".repeat(65));
    await alice.click("#join");
    await says(alice, "#log", "Validation failed, room: ");
    await says(alice, "#log", "(VALIDATION)");
    alice.assertNoProblem();
  });

  for (const [choice, shown] of [
    ["auto", "websocket"],
    ["websocket", "websocket"],
    ["polling", "polling"],
  ]) {
    page(`lets who has a token talk in a room over ${choice}`, async (t) => {
      const [alice, bob] = [await visitor(t), await visitor(t)];
      await enter(alice, "Alice", choice);
      await says(alice, "#transport-name", shown);
      await enter(bob, "Bob", "websocket");
      for (const page of [alice, bob]) {
        await page.fill("#room", "room-42");
        await page.click("#join");
        await says(page, "#rooms", "room-42");
      }
      await says(alice, "#members", "Bob");
      await alice.fill("#text", `hello over ${choice} <b>`);
      await alice.click("#send");
      for (const page of [alice, bob]) await says(page, "#messages", `hello over ${choice} <b>`);
      await alice.click("#leave");
      await alice.waitForFunction(
        () => !document.querySelector("#rooms").textContent.includes("room-42"),
      );
      await alice.click("#kick");
      await says(alice, "#state", "disconnected");
      await says(alice, "#log", "io server disconnect");
      for (const page of [alice, bob]) page.assertNoProblem();
    });
  }
});
