// What a handler may return, and what becomes of it: an event for each row.
import { UseGuards } from "@nestjs/common";
import { Ack, SubscribeMessage, WebSocketGateway, WsException } from "@nestjs/websockets";
import { EMPTY, Observable, concat, of, throwError } from "rxjs";
import { Denying } from "./enhancers.js";

type Answer = ((value: unknown) => void) | undefined;

@WebSocketGateway({ namespace: "/returns" })
export class ReturnsGateway {
  @SubscribeMessage("object")
  object() {
    return { a: 1, b: [true, null] };
  }

  @SubscribeMessage("array")
  array() {
    return [1, "two"];
  }

  @SubscribeMessage("string")
  string() {
    return "pong";
  }

  @SubscribeMessage("number")
  number() {
    return 42;
  }

  @SubscribeMessage("zero")
  zero() {
    return 0;
  }

  @SubscribeMessage("empty-string")
  emptyString() {
    return "";
  }

  @SubscribeMessage("false")
  no() {
    return false;
  }

  @SubscribeMessage("null")
  nothing() {
    return null;
  }

  @SubscribeMessage("undefined")
  notEvenThat() {}

  @SubscribeMessage("event-and-data")
  eventAndData() {
    return { event: "reply", data: { a: 1 } };
  }

  @SubscribeMessage("event-without-data")
  eventWithoutData() {
    return { event: "reply" };
  }

  @SubscribeMessage("event-is-empty")
  eventIsEmpty() {
    return { event: "", data: 1 };
  }

  @SubscribeMessage("promise")
  async promise() {
    return "later";
  }

  @SubscribeMessage("promise-of-null")
  async promiseOfNull() {
    return null;
  }

  @SubscribeMessage("promise-of-event")
  async promiseOfEvent() {
    return { event: "reply", data: "later" };
  }

  @SubscribeMessage("stream")
  stream(): Observable<unknown> {
    return of(
      { event: "tick", data: 1 },
      "first",
      null,
      { event: "tick", data: 2 },
      "second",
    );
  }

  @SubscribeMessage("stream-of-events")
  streamOfEvents() {
    return of({ event: "tick", data: 1 }, { event: "tick", data: 2 });
  }

  @SubscribeMessage("stream-of-nothing")
  streamOfNothing() {
    return EMPTY;
  }

  @SubscribeMessage("stream-that-fails")
  streamThatFails(): Observable<unknown> {
    return concat(
      of({ event: "tick", data: 1 }),
      throwError(() => new WsException("the stream broke")),
    );
  }

  @SubscribeMessage("manual-success")
  manualSuccess(@Ack() ack: Answer) {
    ack?.({ status: "success", data: 7 });
    return "ignored";
  }

  @SubscribeMessage("manual-error")
  manualError(@Ack() ack: Answer) {
    ack?.({ status: "error", message: "Operation failed" });
  }

  @SubscribeMessage("manual-silence")
  manualSilence(@Ack() _: Answer) {
    return "ignored";
  }

  @SubscribeMessage("manual-event")
  manualEvent(@Ack() _: Answer) {
    return { event: "reply", data: "not ignored" };
  }

  @SubscribeMessage("manual-twice")
  manualTwice(@Ack() ack: Answer) {
    ack?.("first");
    ack?.("second");
  }

  @SubscribeMessage("manual-failure")
  manualFailure(@Ack() _: Answer) {
    throw new WsException("before the ack");
  }

  @SubscribeMessage("throws")
  throws() {
    throw new WsException("thrown");
  }

  @SubscribeMessage("rejects")
  async rejects() {
    throw new WsException("rejected");
  }

  @UseGuards(Denying)
  @SubscribeMessage("denied")
  denied() {
    return "never";
  }
}
