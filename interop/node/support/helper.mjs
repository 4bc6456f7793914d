// Helpers in processes of their own, and what a process uses.
import { spawn } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { within } from "./bounded.mjs";
import { onProcessor } from "./server.mjs";

/**
 * A program of this folder: `line()` is the next line that it says, `end()` the last.
 *
 * One that `isIdle` has a processor only while nobody else wants it, as if it had another machine.
 */
export class Helper {
  constructor(name, { isIdle = false, processor }, ...args) {
    const file = fileURLToPath(new URL(`${name}.mjs`, import.meta.url));
    const node = [process.execPath, file, ...args.map(String)];
    const [program, ...rest] = isIdle ? ["chrt", "--idle", "0", ...node] : node;
    const command = onProcessor(processor, program, rest);
    this.child = spawn(...command, { stdio: ["pipe", "pipe", "inherit"] });
    this.child.stdin.on("error", () => {});
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  async line(ms = 30_000) {
    const next = within(this.lines.next(), ms, "a helper's word", () => this.child.kill());
    return (await next).value;
  }

  end() {
    this.child.stdin.end();
    return this.line();
  }

  async ask(text, ms) {
    this.child.stdin.write(`${text}\n`);
    return JSON.parse(await this.line(ms));
  }
}

/** Memory of a process in kB. */
async function memoryOf(pid) {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)[1]);
}

/** Memory in kB and open descriptors of a process. */
export async function usage(pid) {
  const files = (await readdir(`/proc/${pid}/fd`)).length;
  return { files, memory: await memoryOf(pid) };
}

/** Looks at the memory of a process now and then; `stop()` says the most that it saw, in kB. */
export function watchMemory(pid, everyMs = 100) {
  let most = 0;
  const timer = setInterval(async () => {
    most = Math.max(most, await memoryOf(pid));
  }, everyMs);
  return {
    stop() {
      clearInterval(timer);
      return most;
    },
  };
}
