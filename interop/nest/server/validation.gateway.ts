// ValidationPipe, with and without a factory that makes its errors a WsException.
import { UsePipes, ValidationPipe } from "@nestjs/common";
import { MessageBody, SubscribeMessage, WebSocketGateway, WsException } from "@nestjs/websockets";
import { IsInt, IsString, MaxLength, Min } from "class-validator";

class Say {
  @IsString()
  @MaxLength(5)
  text!: string;

  @IsInt()
  @Min(1)
  times!: number;
}

const intoWsException = new ValidationPipe({
  exceptionFactory: () => new WsException("Validation failed"),
});

/** Tells the client everything that is wrong. */
const intoComplaints = new ValidationPipe({
  exceptionFactory: (errors) =>
    new WsException({
      errors: errors.flatMap(({ property, constraints }) =>
        Object.values(constraints ?? {}).map((message) => ({ path: property, message })),
      ),
    }),
});

@WebSocketGateway({ namespace: "/validation" })
export class ValidationGateway {
  @UsePipes(intoWsException)
  @SubscribeMessage("with-factory")
  withFactory(@MessageBody() say: Say) {
    return say.text.repeat(say.times);
  }

  @UsePipes(new ValidationPipe())
  @SubscribeMessage("without-factory")
  withoutFactory(@MessageBody() say: Say) {
    return say.text.repeat(say.times);
  }

  @UsePipes(intoComplaints)
  @SubscribeMessage("complaints")
  complaints(@MessageBody() say: Say) {
    return say.text.repeat(say.times);
  }
}
