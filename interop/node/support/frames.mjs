// Requests and WebSocket frames as bytes, for peers that must cost next to nothing themselves.
const PATH = "/socket.io/?EIO=4";
const KEY = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
const UPGRADE = `Connection: Upgrade\r\nUpgrade: websocket\r\n${KEY}\r\n`;

/** The request for a new session over `transport`. */
export function handshake(transport) {
  const headers = transport === "websocket" ? UPGRADE : "";
  return `GET ${PATH}&transport=${transport} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`;
}

/** A frame masked with zeros. */
export function frame(first, text = "") {
  const payload = Buffer.from(text);
  const length =
    payload.length < 126 ? [0x80 | payload.length] : [0xfe, payload.length >> 8, payload.length];
  return Buffer.concat([Buffer.from([first, ...length, 0, 0, 0, 0]), payload]);
}

/** The frame that joins `/`. */
export const joining = (token) => frame(0x81, `40${JSON.stringify({ token })}`);

/** Takes the whole text frames of a server off `bytes`; what is left is returned with them. */
export function takeTexts(bytes) {
  const texts = [];
  let rest = bytes;
  while (rest.length >= 2) {
    const short = rest[1];
    if (short === 126 && rest.length < 4) break;
    const [start, length] = short === 126 ? [4, rest.readUInt16BE(2)] : [2, short];
    if (rest.length < start + length) break;
    if (rest[0] === 0x81) texts.push(rest.toString("utf8", start, start + length));
    rest = rest.subarray(start + length);
  }
  return { rest, texts };
}
