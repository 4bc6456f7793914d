// What types and authentication make different: a handler for each row of the manual's table.
import {
  MessageBody,
  SubscribeMessage,
  WebSocketGateway,
  type OnGatewayInit,
} from "@nestjs/websockets";
import type { Namespace } from "socket.io";

@WebSocketGateway({ namespace: "/typed" })
export class TypedGateway {
  @SubscribeMessage("one")
  one(@MessageBody() data: unknown) {
    return data;
  }

  @SubscribeMessage("maybe")
  maybe(@MessageBody() data: unknown) {
    return data === undefined ? "undefined" : JSON.stringify(data);
  }
}

/** Who comes in is said by a middleware, as a NestJS application would have it. */
@WebSocketGateway({ namespace: "/guarded" })
export class GuardedGateway implements OnGatewayInit {
  afterInit(namespace: Namespace) {
    namespace.use((socket, next) => {
      switch (socket.handshake.auth.token) {
        case "right":
          return next();
        case undefined:
          return next(new Error("Unauthorized"));
        default:
          const data = { code: "TOKEN_INVALID" };
          return next(Object.assign(new Error("Unauthorized"), { data }));
      }
    });
  }
}
