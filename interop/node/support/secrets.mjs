// What must not stand in a server's output: tokens, session ids, and what was said.
import assert from "node:assert/strict";

const MIN_LENGTH = 12;
const MAX_COUNT = 2_000;
const secrets = new Set();

/** Remembers a secret; what is short may stand somewhere by chance. */
export function learn(secret) {
  const isTelling = typeof secret === "string" && secret.length >= MIN_LENGTH;
  if (isTelling && secrets.size < MAX_COUNT) secrets.add(secret);
  return secret;
}

/** Remembers what a stock client learns and says: its session's id, and its text packets. */
export function overhear(socket) {
  const listen = () => {
    const { engine } = socket.io;
    learn(engine.id);
    engine.on("handshake", ({ sid }) => learn(sid));
    engine.on("packetCreate", ({ data }) => {
      const payload = typeof data === "string" ? data.slice(data.search(/[[{]/)) : undefined;
      if (payload?.length < 4096) learn(payload);
    });
  };
  // An engine is made for each connection; the manager says when, a moment too late for the first.
  socket.io.on("open", listen);
  return socket;
}

/** Fails if a secret stands in `output`. */
export function assertUnsaid(output, where = "the server's output") {
  const said = [...secrets].filter((secret) => output.includes(secret));
  assert.deepEqual(said, [], `a secret stands in ${where}`);
}
