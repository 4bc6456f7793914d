// How a socket comes and goes, and what is kept of it meanwhile.
import { setTimeout as wait } from "node:timers/promises";
import { Injectable, Scope } from "@nestjs/common";
import {
  ConnectedSocket,
  MessageBody,
  SubscribeMessage,
  WebSocketGateway,
  WsException,
  type OnGatewayConnection,
  type OnGatewayDisconnect,
  type OnGatewayInit,
} from "@nestjs/websockets";
import { interval, map, take } from "rxjs";
import type { Socket } from "socket.io";

/** Why the sockets of this process left, by the label in their `auth`. */
@Injectable()
export class Departures {
  readonly reasons = new Map<string, string[]>();

  note(client: Socket, reason: string) {
    const label = client.handshake.auth.label;
    if (typeof label !== "string") return;
    this.reasons.set(label, [...(this.reasons.get(label) ?? []), reason]);
  }
}

@WebSocketGateway({ namespace: "/lifecycle" })
export class LifecycleGateway
  implements OnGatewayInit, OnGatewayConnection, OnGatewayDisconnect
{
  private inits = 0;

  constructor(private readonly departures: Departures) {}

  afterInit() {
    this.inits += 1;
  }

  handleConnection(client: Socket) {
    client.emit("welcome", this.inits);
  }

  handleDisconnect(client: Socket, reason: string) {
    this.departures.note(client, reason);
  }

  @SubscribeMessage("kick")
  kick(@ConnectedSocket() client: Socket, @MessageBody() close: boolean) {
    client.disconnect(close);
  }

  @SubscribeMessage("kick-and-answer")
  kickAndAnswer(@ConnectedSocket() client: Socket, @MessageBody() close: boolean) {
    client.disconnect(close);
    return "too late";
  }

  @SubscribeMessage("kick-and-fail")
  kickAndFail(@ConnectedSocket() client: Socket, @MessageBody() close: boolean) {
    client.disconnect(close);
    throw new WsException("too late");
  }

  @SubscribeMessage("emit-and-kick")
  emitAndKick(@ConnectedSocket() client: Socket, @MessageBody() close: boolean) {
    client.emit("farewell", "in time");
    client.disconnect(close);
  }

  @SubscribeMessage("echo")
  echo(@MessageBody() data: unknown) {
    return data;
  }

  @SubscribeMessage("reasons")
  reasons(@MessageBody() label: string) {
    return this.departures.reasons.get(label) ?? [];
  }
}

/** A gateway whose connection hook does what `auth.hook` says. */
@WebSocketGateway({ namespace: "/hook" })
export class HookGateway implements OnGatewayConnection, OnGatewayDisconnect {
  private readonly ready = new WeakSet<Socket>();

  constructor(private readonly departures: Departures) {}

  handleConnection(client: Socket): void | Promise<void> {
    switch (client.handshake.auth.hook) {
      case "throws":
        throw new WsException("Unauthorized");
      case "rejects":
        return Promise.reject(new WsException("Unauthorized"));
      case "kicks":
        client.disconnect(true);
        return undefined;
      case "kicks later":
        return wait(200).then(() => void client.disconnect(true));
      case "waits":
        return wait(200).then(() => void this.ready.add(client));
      default:
        this.ready.add(client);
        return undefined;
    }
  }

  handleDisconnect(client: Socket, reason: string) {
    this.departures.note(client, reason);
  }

  @SubscribeMessage("is-ready")
  isReady(@ConnectedSocket() client: Socket) {
    return this.ready.has(client);
  }
}

/** Handlers that take their time. */
@WebSocketGateway({ namespace: "/order" })
export class OrderGateway {
  @SubscribeMessage("after")
  async after(@MessageBody() milliseconds: number) {
    await wait(milliseconds);
    return { event: "done", data: milliseconds };
  }

  @SubscribeMessage("ticks")
  ticks(@MessageBody() milliseconds: number) {
    return interval(milliseconds).pipe(
      take(3),
      map((data) => ({ event: "tick", data })),
    );
  }

  @SubscribeMessage("at-once")
  atOnce() {
    return "now";
  }
}

/** One instance for each connection. */
@WebSocketGateway({ namespace: "/state" })
@Injectable({ scope: Scope.REQUEST })
export class StateGateway {
  private count = 0;

  @SubscribeMessage("count")
  counted() {
    this.count += 1;
    return this.count;
  }
}

/** A disconnect hook that is not done at once. */
@WebSocketGateway({ namespace: "/farewell" })
export class FarewellGateway implements OnGatewayDisconnect {
  async handleDisconnect(_: Socket, reason: string) {
    process.stdout.write(`farewell begins: ${reason}\n`);
    await wait(300);
    process.stdout.write(`farewell is done: ${reason}\n`);
  }
}
