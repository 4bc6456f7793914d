// Tokens as `jsonwebtoken` makes them, and as nobody should: which of them open the gate.
import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync } from "node:crypto";
import { after, before, test } from "node:test";
import jsonwebtoken from "jsonwebtoken";
import { ask, connected, mint, refused, scope } from "./support/client.mjs";
import { isOracle, SECRET, startAuth } from "./support/server.mjs";

const AUDIENCE = "chat";
const now = () => Math.floor(Date.now() / 1000);
const encode = (text) => Buffer.from(text).toString("base64url");

/** A token whose header and claims are given as text, signed with the server's secret. */
function forge(header, claims, secret = SECRET) {
  const signed = `${encode(header)}.${encode(claims)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

const HEADER = '{"alg":"HS256","typ":"JWT"}';
const claims = (more = {}) =>
  JSON.stringify({ sub: "42", username: "alice", aud: AUDIENCE, exp: now() + 600, ...more });
const forUs = (extra, options) => mint({ aud: AUDIENCE, ...extra }, options);
const rsa = () => generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;

const GOOD = {
  "a plain token": () => forUs(),
  "an audience that is one of several": () => forUs({ aud: ["mail", AUDIENCE] }),
  "an expiry within the leeway": () => forUs({ exp: now() - 2 }),
  "a start within the leeway": () => forUs({ nbf: now() + 2 }),
  "claims nobody asked for": () => forUs({ roles: ["admin"], nested: { a: [1, null] } }),
  "a key id that we do not use": () => forUs({}, { keyid: "2026-01" }),
  "a header without a type": () => forge('{"alg":"HS256"}', claims()),
  "letters beyond ASCII": () => forUs({ username: "Анна 🦀" }),
};

const BAD = {
  "another secret": [() => mint({ aud: AUDIENCE }, {}, `${SECRET}!`), "TOKEN_INVALID"],
  "HS384": [() => forUs({}, { algorithm: "HS384" }), "TOKEN_INVALID"],
  "HS512": [() => forUs({}, { algorithm: "HS512" }), "TOKEN_INVALID"],
  "RS256": [
    () => jsonwebtoken.sign(JSON.parse(claims()), rsa(), { algorithm: "RS256" }),
    "TOKEN_INVALID",
  ],
  "alg none": [
    () => jsonwebtoken.sign(JSON.parse(claims()), "", { algorithm: "none" }),
    "TOKEN_INVALID",
  ],
  "alg none with a signature": [() => forge('{"alg":"none"}', claims()), "TOKEN_INVALID"],
  "alg None": [() => forge('{"alg":"None"}', claims()), "TOKEN_INVALID"],
  "no alg": [() => forge('{"typ":"JWT"}', claims()), "TOKEN_INVALID"],
  "no signature": [() => forUs().replace(/[^.]*$/, ""), "TOKEN_INVALID"],
  "two parts": [() => forUs().replace(/\.[^.]*$/, ""), "TOKEN_INVALID"],
  "four parts": [() => `${forUs()}.x`, "TOKEN_INVALID"],
  "claims of another token": [
    () => {
      const [header, , signature] = forUs().split(".");
      return `${header}.${encode(claims({ username: "root" }))}.${signature}`;
    },
    "TOKEN_INVALID",
  ],
  "expired": [() => forUs({ exp: now() - 30 }), "TOKEN_EXPIRED"],
  "expired long ago": [() => forUs({ exp: 1 }), "TOKEN_EXPIRED"],
  "not yet valid": [() => forUs({ nbf: now() + 60 }), "TOKEN_CLAIMS"],
  "no expiry": [() => forge(HEADER, claims({ exp: undefined })), "TOKEN_CLAIMS"],
  "no audience": [() => forUs({ aud: undefined }), "TOKEN_CLAIMS"],
  "another audience": [() => forUs({ aud: "mail" }), "TOKEN_CLAIMS"],
  "an audience that only begins alike": [() => forUs({ aud: "chatter" }), "TOKEN_CLAIMS"],
  "no user name": [() => forUs({ username: undefined }), "TOKEN_CLAIMS"],
  "a user name that is null": [() => forge(HEADER, claims({ username: null })), "TOKEN_CLAIMS"],
  "no subject": [() => forUs({ sub: undefined }), "TOKEN_CLAIMS"],
};

// What the strict reader refuses and `jsonwebtoken` lets pass.
const STRICT = {
  "an expiry that is text": () => forge(HEADER, claims({ exp: String(now() + 600) })),
  "an expiry that is null": () => forge(HEADER, claims({ exp: null })),
  "an expiry beyond all numbers": () => forge(HEADER, claims().replace(/"exp":\d+/, '"exp":1e999')),
  "an expiry below zero": () => forge(HEADER, claims({ exp: -1 })),
  "a start that is text": () => forge(HEADER, claims({ nbf: "0" })),
  "issued in the future": () => forge(HEADER, claims({ iat: now() + 600 })),
  "an empty subject": () => forge(HEADER, claims({ sub: "" })),
  "a subject that is a number": () => forge(HEADER, claims({ sub: 42 })),
  "the same claim twice": () => forge(HEADER, claims().replace("{", '{"sub":"1",')),
  "the same header twice": () => forge('{"alg":"none","alg":"HS256"}', claims()),
  "a critical header": () => forge('{"alg":"HS256","crit":["exp"],"exp":1}', claims()),
  "an unencoded payload": () => forge('{"alg":"HS256","b64":true}', claims()),
  "a compressed payload": () => forge('{"alg":"HS256","zip":"DEF"}', claims()),
  "claims that are a list": () => forge(HEADER, `[${claims()}]`),
  "claims that are no JSON": () => forge(HEADER, claims().slice(0, -1)),
  "claims nested deeper than 16": () =>
    forge(HEADER, claims().replace("{", `{"deep":${"[".repeat(17)}${"]".repeat(17)},`)),
  "padding": () => forUs().replace(/\./g, "=."),
  "a blank at the end": () => `${forUs()} `,
  "a line break at the end": () => `${forUs()}\n`,
  "a signature in the other alphabet": () => {
    for (let i = 0; ; i += 1) {
      const token = forUs({ i });
      if (/[-_][^.]*$/.test(token)) return token.replaceAll("-", "+").replaceAll("_", "/");
    }
  },
};

let server;
before(async () => (server = await startAuth("--audience", AUDIENCE)));
after(() => server?.stop());

for (const [name, token] of Object.entries(GOOD)) {
  test(`a token is good with ${name}`, async (t) => {
    const socket = await connected(scope(t).client(server, { auth: { token: token() } }));
    const { sub, username } = await ask(socket, "whoami");
    assert.deepEqual([sub, typeof username], ["42", "string"]);
  });
}

for (const [name, [token, code]] of Object.entries(BAD)) {
  test(`a token is refused with ${name}`, async (t) => {
    const outcome = await refused(scope(t).client(server, { auth: { token: token() } }));
    assert.deepEqual(outcome, { message: "Unauthorized", code, active: false, seen: [] });
  });
}

for (const [name, token] of Object.entries(isOracle ? {} : STRICT)) {
  test(`a strict reader refuses ${name}`, async (t) => {
    const outcome = await refused(scope(t).client(server, { auth: { token: token() } }));
    assert.equal(outcome.message, "Unauthorized");
    assert.match(outcome.code, /^TOKEN_(INVALID|CLAIMS)$/);
  });
}
