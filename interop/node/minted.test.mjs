// Ten thousand tokens of three other libraries: PyJWT, jose and jsonwebtoken. We and jose judge
// each, and must agree with each other and with what was meant.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createSecretKey, generateKeyPairSync, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before } from "node:test";
import { fileURLToPath } from "node:url";
import * as jose from "jose";
import jsonwebtoken from "jsonwebtoken";
import { conformance, ours } from "./support/server.mjs";

const COUNT = 10_000;
const PYTHON = fileURLToPath(new URL("../python/.venv/bin/python", import.meta.url));
const MINT = fileURLToPath(new URL("../python/mint.py", import.meta.url));
const AUDIENCE = "chat";
const ISSUER = "https://login.example.com";

const pair = (type, options) => generateKeyPairSync(type, options).privateKey;
const rsa = () => pair("rsa", { modulusLength: 2048 });
// Text, because PyJWT takes a secret from JSON.
const secret = (bytes) => createSecretKey(Buffer.from(randomBytes(bytes).toString("hex")));

/** A key for each algorithm; its name is its algorithm's. */
function newKeys() {
  const shared = rsa();
  return {
    HS256: secret(32),
    HS384: secret(48),
    HS512: secret(64),
    RS256: shared,
    RS384: shared,
    RS512: shared,
    PS256: shared,
    PS384: shared,
    PS512: shared,
    ES256: pair("ec", { namedCurve: "P-256" }),
    ES384: pair("ec", { namedCurve: "P-384" }),
    EdDSA: pair("ed25519"),
  };
}

const keys = newKeys();
const strangers = newKeys();
const ALGORITHMS = Object.keys(keys);
const now = Math.floor(Date.now() / 1000);

/** What is wrong with every tenth token, in turn. */
const WRONGS = [
  ["expired", (claims) => ({ ...claims, exp: now - 3600 })],
  ["not_yet_valid", (claims) => ({ ...claims, nbf: now + 3600 })],
  ["audience_mismatch", (claims) => ({ ...claims, aud: "mail" })],
  ["issuer_mismatch", (claims) => ({ ...claims, iss: "https://evil.example.com" })],
  ["signature_invalid", (claims) => claims],
];

function plan() {
  return Array.from({ length: COUNT }, (_, number) => {
    const algorithm = ALGORITHMS[number % ALGORITHMS.length];
    const audience = number % 3 === 0 ? [AUDIENCE, "mail"] : AUDIENCE;
    const claims = {
      sub: `user-${number}`,
      aud: audience,
      iss: ISSUER,
      iat: now,
      exp: now + 3600,
      jti: String(number),
      name: ["Анна", "🦀", 'quote "', "\\"][number % 4],
    };
    if (number % 10 !== 9) return { algorithm, claims, wrong: undefined };
    const [wrong, change] = WRONGS[Math.floor(number / 10) % WRONGS.length];
    return { algorithm, claims: change(claims), wrong };
  });
}

const keyOf = ({ algorithm, wrong }) =>
  (wrong === "signature_invalid" ? strangers : keys)[algorithm];

function byJose({ algorithm, claims, wrong }) {
  const token = new jose.SignJWT(claims).setProtectedHeader({ alg: algorithm, kid: algorithm });
  return token.sign(keyOf({ algorithm, wrong }));
}

function byJsonwebtoken({ algorithm, claims, wrong }) {
  const key = keyOf({ algorithm, wrong });
  return jsonwebtoken.sign(claims, key, { algorithm, keyid: algorithm });
}

async function lines(program, args, input) {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
  let out = "";
  child.stdout.on("data", (data) => (out += data));
  child.stdin.end(input);
  const [code] = await once(child, "close");
  assert.equal(code, 0, program);
  return out.split("\n").slice(0, -1);
}

let folder;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "portcullis-minted-"));
});
after(() => rm(folder, { recursive: true }));

/** PyJWT names the key in the header itself, so strangers are minted in a second run. */
async function mintWithPython(wanted) {
  const minted = [];
  for (const [ring, chosen] of [
    [keys, wanted.filter(({ wrong }) => wrong !== "signature_invalid")],
    [strangers, wanted.filter(({ wrong }) => wrong === "signature_invalid")],
  ]) {
    const exported = Object.entries(ring).map(([alg, key]) => ({
      kid: alg,
      alg,
      key: key.type === "secret" ? key.export().toString("latin1") : pem(key),
    }));
    const tokens = chosen.map(({ algorithm, claims }) => ({ kid: algorithm, claims }));
    const work = JSON.stringify({ keys: exported, tokens });
    const made = await lines(PYTHON, [MINT], work);
    made.forEach((token, index) => minted.push({ ...chosen[index], token }));
  }
  return minted;
}

const pem = (key) => key.export({ type: "pkcs8", format: "pem" });

ours(`${COUNT} tokens of three libraries are judged as jose judges them`, async (t) => {
  const wanted = plan();
  const shares = [wanted.slice(0, 4000), wanted.slice(4000, 7000), wanted.slice(7000)];
  const minted = [];
  for (const each of shares[0]) minted.push({ ...each, token: await byJose(each) });
  for (const each of shares[1]) {
    // It knows no EdDSA.
    const token = each.algorithm === "EdDSA" ? await byJose(each) : byJsonwebtoken(each);
    minted.push({ ...each, token });
  }
  minted.push(...(await mintWithPython(shares[2])));
  assert.equal(minted.length, COUNT);

  const set = { keys: [] };
  for (const [alg, key] of Object.entries(keys)) {
    const jwk = await jose.exportJWK(key);
    for (const secret of ["d", "p", "q", "dp", "dq", "qi"]) delete jwk[secret];
    set.keys.push({ ...jwk, kid: alg, alg, use: "sig" });
  }
  const file = join(folder, "keys.json");
  await writeFile(file, JSON.stringify(set));
  const args = ["tokens", "--keys", file, "--audience", AUDIENCE, "--issuer", ISSUER];
  const verdicts = await lines(conformance, args, minted.map(({ token }) => token).join("\n"));
  assert.equal(verdicts.length, COUNT);

  const known = jose.createLocalJWKSet(set);
  const verifier = async ({ alg, kid }) => (alg.startsWith("HS") ? keys[kid] : known({ alg, kid }));
  let good = 0;
  for (const [index, { claims, token, wrong }] of minted.entries()) {
    const options = { audience: AUDIENCE, issuer: ISSUER };
    const theirs = await jose.jwtVerify(token, verifier, options).then(
      ({ payload }) => payload.sub,
      () => undefined,
    );
    const expected = wrong ?? `ok ${claims.sub}`;
    assert.equal(verdicts[index], expected, token);
    assert.equal(theirs, wrong === undefined ? claims.sub : undefined, token);
    good += wrong === undefined ? 1 : 0;
  }
  t.diagnostic(`${good} good, ${COUNT - good} bad`);
  assert.equal(good, COUNT * 0.9);
});
