// What reaches a handler of what was emitted.
import {
  ConnectedSocket,
  MessageBody,
  SubscribeMessage,
  WebSocketGateway,
} from "@nestjs/websockets";
import type { Socket } from "socket.io";

/** Absent and null look alike in JSON; here they do not. */
const shown = (data: unknown) => (data === undefined ? { absent: true } : { data });

const sum = (bytes: Uint8Array) => bytes.reduce((total, byte) => total + byte, 0);

@WebSocketGateway({ namespace: "/payloads" })
export class PayloadsGateway {
  @SubscribeMessage("body")
  body(@MessageBody() data: unknown) {
    return shown(data);
  }

  @SubscribeMessage("body-as-event")
  bodyAsEvent(@MessageBody() data: unknown) {
    return { event: "seen", data: shown(data) };
  }

  @SubscribeMessage("field")
  field(@MessageBody("name") name: unknown) {
    return shown(name);
  }

  @SubscribeMessage("undecorated")
  undecorated(client: Socket, data: unknown) {
    return { namespace: client.nsp.name, ...shown(data) };
  }

  @SubscribeMessage("echo")
  echo(@MessageBody() data: unknown) {
    return data;
  }

  @SubscribeMessage("bytes-in")
  bytesIn(@MessageBody() data: Buffer) {
    return { length: data.length, sum: sum(data) };
  }

  @SubscribeMessage("bytes-out")
  bytesOut() {
    return Buffer.from([1, 2, 3]);
  }

  @SubscribeMessage("bytes-in-an-object")
  bytesInAnObject(@MessageBody() data: { name: string; parts: Buffer[] }) {
    return { name: data.name, parts: data.parts.map((part) => Buffer.from(part).reverse()) };
  }

  @SubscribeMessage("bytes-as-event")
  bytesAsEvent(@MessageBody() data: Buffer) {
    return { event: "bytes", data };
  }

  @SubscribeMessage("emit-by-hand")
  emitByHand(@ConnectedSocket() client: Socket) {
    client.emit("one", 1);
    client.emit("two", 1, Buffer.from([2]));
    return "three";
  }
}
