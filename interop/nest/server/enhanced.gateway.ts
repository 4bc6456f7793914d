// Guards, interceptors and pipes, of the application, a class and a method.
import { UseGuards, UseInterceptors } from "@nestjs/common";
import { MessageBody, SubscribeMessage, WebSocketGateway, WsException } from "@nestjs/websockets";
import {
  ClassGuard,
  ClassInterceptor,
  LoggingPipe,
  MethodGuard,
  MethodInterceptor,
  PatternShowing,
  ShortCut,
  Wrapping,
  type Logged,
} from "./enhancers.js";

@UseGuards(ClassGuard)
@UseInterceptors(ClassInterceptor)
@WebSocketGateway({ namespace: "/enhanced" })
export class EnhancedGateway {
  @UseGuards(MethodGuard)
  @UseInterceptors(MethodInterceptor)
  @SubscribeMessage("order")
  order(@MessageBody(LoggingPipe) data: Logged) {
    data.log.push("handler");
    return data.log;
  }

  @SubscribeMessage("denied-globally")
  deniedGlobally() {
    return "never";
  }

  @SubscribeMessage("denied-by-the-class")
  deniedByTheClass() {
    return "never";
  }

  @UseGuards(MethodGuard)
  @SubscribeMessage("denied-by-the-method")
  deniedByTheMethod() {
    return "never";
  }

  @UseInterceptors(Wrapping)
  @SubscribeMessage("wrapped")
  wrapped() {
    return "answer";
  }

  @UseInterceptors(PatternShowing)
  @SubscribeMessage("getClient")
  getClient(@MessageBody() data: unknown) {
    return { event: "popClient", data };
  }

  @UseInterceptors(ShortCut)
  @SubscribeMessage("short-cut")
  shortCut() {
    return "never";
  }

  @UseInterceptors(Wrapping)
  @SubscribeMessage("fails-inside")
  failsInside() {
    throw new WsException("inside");
  }
}
