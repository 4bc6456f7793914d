// What a handler may throw, and what the client hears of it.
import { NotFoundException, UseFilters, UseGuards } from "@nestjs/common";
import { SubscribeMessage, WebSocketGateway, WsException } from "@nestjs/websockets";
import { Observable, throwError } from "rxjs";
import { Denying, Special, Throwing, withOwnCause, withoutCause } from "./enhancers.js";

@WebSocketGateway({ namespace: "/errors" })
export class ErrorsGateway {
  @SubscribeMessage("text")
  text() {
    throw new WsException("bad");
  }

  @SubscribeMessage("object")
  object() {
    throw new WsException({ reason: "quota", left: 0, nested: { a: [1] } });
  }

  @SubscribeMessage("error")
  error() {
    throw new Error("password=hunter2");
  }

  @SubscribeMessage("error-later")
  async errorLater() {
    throw new Error("password=hunter2");
  }

  @SubscribeMessage("error-in-a-stream")
  errorInAStream(): Observable<never> {
    return throwError(() => new Error("password=hunter2"));
  }

  @SubscribeMessage("http")
  http() {
    throw new NotFoundException("no such room");
  }

  @SubscribeMessage("thrown-text")
  thrownText() {
    throw "just a text";
  }

  @UseGuards(Denying)
  @SubscribeMessage("denied")
  denied() {}

  @UseGuards(Throwing)
  @SubscribeMessage("guard-throws")
  guardThrows() {}

  @UseFilters(withoutCause)
  @SubscribeMessage("without-cause")
  withoutCause() {
    throw new WsException("bad");
  }

  @UseFilters(withoutCause)
  @SubscribeMessage("unknown-without-cause")
  unknownWithoutCause() {
    throw new Error("password=hunter2");
  }

  @UseFilters(withOwnCause)
  @SubscribeMessage("own-cause")
  ownCause() {
    throw new WsException("bad");
  }

  @SubscribeMessage("special")
  special() {
    throw new Special("for the global filter");
  }
}
