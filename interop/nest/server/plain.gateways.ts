// The gateways of NestJS's own end-to-end tests: two on one server, one on a port of its own.
import {
  Ack,
  MessageBody,
  SubscribeMessage,
  WebSocketGateway,
  WsException,
} from "@nestjs/websockets";

const SECOND_PORT = Number(process.env.SECOND_PORT);

type Answer = (value: unknown) => void;

@WebSocketGateway()
export class RootGateway {
  @SubscribeMessage("push")
  push(@MessageBody() data: unknown) {
    return { event: "pop", data };
  }

  @SubscribeMessage("ping-pong")
  pingPong() {
    return "pong";
  }

  @SubscribeMessage("manual")
  manual(@MessageBody() data: { shouldSucceed?: boolean } | undefined, @Ack() ack: Answer) {
    if (data?.shouldSucceed) ack({ status: "success", data });
    else ack({ status: "error", message: "Operation failed" });
    return "ignored";
  }

  @SubscribeMessage("fail")
  fail() {
    throw new WsException("test");
  }
}

@WebSocketGateway({ namespace: "test" })
export class TestGateway {
  @SubscribeMessage("push")
  push(@MessageBody() data: object) {
    return { event: "pop", data: { ...data, namespace: "/test" } };
  }
}

@WebSocketGateway(SECOND_PORT)
export class OwnPortGateway {
  @SubscribeMessage("push")
  push(@MessageBody() data: unknown) {
    return { event: "pop", data };
  }
}

/** Nothing happens here: to be let in proves that everything before has been handled. */
@WebSocketGateway({ namespace: "/fence" })
export class FenceGateway {}
