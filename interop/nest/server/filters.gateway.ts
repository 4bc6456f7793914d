// Exception filters of a class and of a method.
import { UseFilters } from "@nestjs/common";
import { SubscribeMessage, WebSocketGateway, WsException } from "@nestjs/websockets";
import { ClassFilter, MethodFilter, PatternFilter, Special } from "./enhancers.js";

@UseFilters(ClassFilter)
@WebSocketGateway({ namespace: "/filters" })
export class FiltersGateway {
  @UseFilters(MethodFilter)
  @SubscribeMessage("both")
  both() {
    throw new Special("special");
  }

  @UseFilters(MethodFilter)
  @SubscribeMessage("only-the-class")
  onlyTheClass() {
    throw new WsException("plain");
  }

  @SubscribeMessage("of-the-class")
  ofTheClass() {
    throw new Special("special");
  }

  @SubscribeMessage("neither")
  neither() {
    throw new Error("password=hunter2");
  }

  @UseFilters(PatternFilter)
  @SubscribeMessage("getClientWithError")
  getClientWithError() {
    throw new WsException("This is an error");
  }
}
