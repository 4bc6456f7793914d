// Real proxies with the recipes of docs/deploy: the files as they are, other ports aside.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually, within } from "../../support/bounded.mjs";
import { freePort } from "../../support/ports.mjs";
import { ROOT } from "../../support/server.mjs";

const PROGRAMS = {
  nginx: (file, folder) => [
    "nginx",
    ["-p", folder, "-c", file, "-g", `daemon off; pid ${join(folder, "nginx.pid")};`],
  ],
  haproxy: (file) => ["haproxy", ["-db", "-f", file]],
};

const accepts = (port) =>
  new Promise((done) => {
    const socket = connect(port, "127.0.0.1", () => done(true));
    socket.on("error", () => done(false));
    socket.on("connect", () => socket.destroy());
  });

/** Starts the proxy of a recipe; `ports` says which port stands for which of the recipe's. */
export async function startProxy(recipe, ports) {
  const [program] = recipe.split("-");
  const port = await freePort();
  const replaced = { 8080: port, ...ports };
  const text = await readFile(join(ROOT, "docs/deploy", recipe), "utf8");
  const folder = await mkdtemp(join(tmpdir(), "portcullis-proxy-"));
  const file = join(folder, recipe);
  // A port is a number of four digits behind a colon or a space.
  const own = text.replace(/(?<=[: ])\d{4}\b/g, (number) => replaced[number] ?? number);
  await writeFile(file, own);
  const [binary, args] = PROGRAMS[program](file, folder);
  // A file, because the recipes open /dev/stdout, which cannot be done to a pipe of Node's.
  const log = await open(join(folder, "log"), "a");
  // Where distributions put them is not on everybody's search path.
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` };
  const child = spawn(binary, args, { env, stdio: ["ignore", log.fd, log.fd] });
  const proxy = { log: () => readFile(join(folder, "log"), "utf8"), port };
  proxy.url = `http://127.0.0.1:${port}`;
  const closed = once(child, "close");
  proxy.stop = async () => {
    child.kill("SIGTERM");
    await within(closed, 5_000, `${program} to stop`, () => child.kill("SIGKILL"));
    await log.close();
    await rm(folder, { recursive: true });
  };
  try {
    await eventually(() => accepts(port), Boolean, `${program} accepts`);
  } catch (error) {
    const said = await proxy.log();
    await proxy.stop();
    throw new Error(`${error.message}: ${said}`);
  }
  return proxy;
}
