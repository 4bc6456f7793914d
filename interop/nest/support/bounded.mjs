// Every wait of these tests has an end.
import { setTimeout as wait } from "node:timers/promises";

/** The promise's value, or an error that names what did not happen in time. */
export async function within(promise, ms, what, cleanUp = () => {}) {
  const stop = new AbortController();
  const late = wait(ms, undefined, { signal: stop.signal }).then(
    () => {
      cleanUp();
      throw new Error(`waited ${ms} ms in vain for ${what}`);
    },
    () => {},
  );
  try {
    return await Promise.race([promise, late]);
  } finally {
    stop.abort();
  }
}

/** The arguments of the next `event`. */
export function next(emitter, event, ms = 5_000) {
  const seen = new Promise((done) => emitter.once(event, (...args) => done(args)));
  return within(seen, ms, `the event ${event}`);
}

/** Asks again until the answer satisfies, for what no event announces. */
export async function eventually(ask, satisfies, what, ms = 5_000) {
  const end = Date.now() + ms;
  for (;;) {
    const answer = await ask();
    if (satisfies(answer)) return answer;
    if (Date.now() > end) throw new Error(`${what}, but: ${JSON.stringify(answer)}`);
    await wait(10);
  }
}

/** Time for something that must not happen. */
export const quiet = (ms) => wait(ms);
