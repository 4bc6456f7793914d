// Guards, interceptors, a pipe and filters, for the gateways that show where they run.
import {
  ArgumentsHost,
  CallHandler,
  CanActivate,
  Catch,
  ExceptionFilter,
  ExecutionContext,
  Injectable,
  NestInterceptor,
  PipeTransform,
} from "@nestjs/common";
import { BaseWsExceptionFilter, WsException } from "@nestjs/websockets";
import { Observable, map } from "rxjs";

/** A payload in which each step leaves its name. */
export interface Logged {
  log: string[];
}

function leave(context: ExecutionContext, name: string) {
  const data: Partial<Logged> | undefined = context.switchToWs().getData();
  data?.log?.push(name);
}

@Injectable()
export class Denying implements CanActivate {
  canActivate() {
    return false;
  }
}

@Injectable()
export class Throwing implements CanActivate {
  canActivate(): boolean {
    throw new WsException("no entry");
  }
}

function logging(name: string, forbidden: string) {
  @Injectable()
  class Guard implements CanActivate {
    canActivate(context: ExecutionContext) {
      leave(context, name);
      return context.switchToWs().getPattern() !== forbidden;
    }
  }
  return Guard;
}

export const GlobalGuard = logging("global guard", "denied-globally");
export const ClassGuard = logging("class guard", "denied-by-the-class");
export const MethodGuard = logging("method guard", "denied-by-the-method");

function around(name: string) {
  @Injectable()
  class Interceptor implements NestInterceptor {
    intercept(context: ExecutionContext, next: CallHandler) {
      leave(context, `${name} before`);
      return next.handle().pipe(
        map((value) => {
          leave(context, `${name} after`);
          return value;
        }),
      );
    }
  }
  return Interceptor;
}

export const GlobalInterceptor = around("global interceptor");
export const ClassInterceptor = around("class interceptor");
export const MethodInterceptor = around("method interceptor");

@Injectable()
export class LoggingPipe implements PipeTransform {
  transform(value: Logged | undefined) {
    value?.log?.push("pipe");
    return value;
  }
}

/** Puts an answer into a frame of its own. */
@Injectable()
export class Wrapping implements NestInterceptor {
  intercept(_: ExecutionContext, next: CallHandler) {
    return next.handle().pipe(map((answer) => ({ wrapped: answer })));
  }
}

/** Adds the pattern to the data of an answer that is an event. */
@Injectable()
export class PatternShowing implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler) {
    const path = context.switchToWs().getPattern();
    return next.handle().pipe(map(({ event, data }) => ({ event, data: { ...data, path } })));
  }
}

/** Answers in the handler's place. */
@Injectable()
export class ShortCut implements NestInterceptor {
  intercept(): Observable<string> {
    return new Observable((answer) => {
      answer.next("from the interceptor");
      answer.complete();
    });
  }
}

export class Special extends Error {}

/** Tells the client which filter caught what, with an event of its own. */
function telling(name: string) {
  return (error: unknown, host: ArgumentsHost) => {
    const ws = host.switchToWs();
    const message = error instanceof Error ? error.message : String(error);
    ws.getClient().emit("caught", { by: name, message, pattern: ws.getPattern() });
  };
}

@Catch(Special)
export class MethodFilter implements ExceptionFilter {
  catch = telling("method filter");
}

@Catch(WsException, Special)
export class ClassFilter implements ExceptionFilter {
  catch = telling("class filter");
}

@Catch(Special)
export class GlobalFilter implements ExceptionFilter {
  catch = telling("global filter");
}

export const withoutCause = new BaseWsExceptionFilter({ includeCause: false });
export const withOwnCause = new BaseWsExceptionFilter({
  causeFactory: (pattern) => ({ event: pattern }),
});

/** The payload of the event `exception`, with the pattern beside the message. */
@Catch(WsException)
export class PatternFilter extends BaseWsExceptionFilter {
  catch(error: WsException, host: ArgumentsHost) {
    const ws = host.switchToWs();
    ws.getClient().emit("exception", {
      status: "error",
      message: error.message,
      pattern: ws.getPattern(),
    });
  }
}
