// Two gateways on one namespace, and a namespace that is made on demand.
import {
  ConnectedSocket,
  MessageBody,
  SubscribeMessage,
  WebSocketGateway,
  WebSocketServer,
  type OnGatewayConnection,
} from "@nestjs/websockets";
import type { Namespace, Socket } from "socket.io";

@WebSocketGateway({ namespace: "/shared" })
export class FirstGateway implements OnGatewayConnection {
  handleConnection(client: Socket) {
    client.emit("greeted", "by the first");
  }

  @SubscribeMessage("first")
  first() {
    return "first";
  }

  @SubscribeMessage("both")
  both(@ConnectedSocket() client: Socket) {
    client.emit("heard", "by the first");
    return "first";
  }
}

@WebSocketGateway({ namespace: "/shared" })
export class SecondGateway implements OnGatewayConnection {
  handleConnection(client: Socket) {
    client.emit("greeted", "by the second");
  }

  @SubscribeMessage("second")
  second() {
    return "second";
  }

  @SubscribeMessage("both")
  both(@ConnectedSocket() client: Socket) {
    client.emit("heard", "by the second");
    return "second";
  }
}

@WebSocketGateway({ namespace: /^\/room-\w+$/ })
export class DynamicGateway {
  @SubscribeMessage("where")
  where(@ConnectedSocket() client: Socket) {
    return client.nsp.name;
  }
}

@WebSocketGateway({ namespace: "/rooms" })
export class RoomsGateway {
  @WebSocketServer()
  server!: Namespace;

  @SubscribeMessage("join")
  async join(@ConnectedSocket() client: Socket, @MessageBody() room: string) {
    await client.join(room);
    return [...client.rooms].filter((name) => name !== client.id);
  }

  @SubscribeMessage("to-others")
  toOthers(@ConnectedSocket() client: Socket, @MessageBody() room: string) {
    client.to(room).emit("said", "to others");
    return "ok";
  }

  @SubscribeMessage("to-all")
  toAll(@MessageBody() room: string) {
    this.server.to(room).emit("said", "to all");
    return "ok";
  }
}
