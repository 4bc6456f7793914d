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

/** Where the payload of the server's frame at `start` lies; nothing unless all of it is there. */
export function frameAt(bytes, start) {
  if (bytes.length < start + 2) return undefined;
  const short = bytes[start + 1];
  if (short === 126 && bytes.length < start + 4) return undefined;
  const [head, length] = short === 126 ? [4, bytes.readUInt16BE(start + 2)] : [2, short];
  const end = start + head + length;
  return end > bytes.length ? undefined : { end, start: start + head };
}

/** Takes the whole text frames of a server off `bytes`; what is left is returned with them. */
export function takeTexts(bytes) {
  const texts = [];
  let start = 0;
  for (let next; (next = frameAt(bytes, start)) !== undefined; start = next.end) {
    if (bytes[start] === 0x81) texts.push(bytes.toString("utf8", next.start, next.end));
  }
  return { rest: bytes.subarray(start), texts };
}
