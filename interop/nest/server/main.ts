// NestJS behind the command line of `conformance nest`: listens, says where, ends on SIGTERM.
import "reflect-metadata";
import type { AddressInfo } from "node:net";
import { parseArgs } from "node:util";
import { Module } from "@nestjs/common";
import { APP_FILTER, APP_GUARD, APP_INTERCEPTOR, NestFactory } from "@nestjs/core";
import { GlobalFilter, GlobalGuard, GlobalInterceptor } from "./enhancers.js";
import { EnhancedGateway } from "./enhanced.gateway.js";
import { ErrorsGateway } from "./errors.gateway.js";
import { FiltersGateway } from "./filters.gateway.js";
import {
  Departures,
  FarewellGateway,
  HookGateway,
  LifecycleGateway,
  OrderGateway,
  StateGateway,
} from "./lifecycle.gateways.js";
import { PayloadsGateway } from "./payloads.gateway.js";
import { FenceGateway, OwnPortGateway, RootGateway, TestGateway } from "./plain.gateways.js";
import { ReturnsGateway } from "./returns.gateway.js";
import { GuardedGateway, TypedGateway } from "./rows.gateways.js";
import { DynamicGateway, FirstGateway, RoomsGateway, SecondGateway } from "./shared.gateways.js";
import { ValidationGateway } from "./validation.gateway.js";

@Module({
  providers: [
    { provide: APP_GUARD, useClass: GlobalGuard },
    { provide: APP_INTERCEPTOR, useClass: GlobalInterceptor },
    { provide: APP_FILTER, useClass: GlobalFilter },
    Departures,
    RootGateway,
    TestGateway,
    OwnPortGateway,
    FenceGateway,
    ReturnsGateway,
    ErrorsGateway,
    PayloadsGateway,
    EnhancedGateway,
    FiltersGateway,
    ValidationGateway,
    FirstGateway,
    SecondGateway,
    DynamicGateway,
    RoomsGateway,
    LifecycleGateway,
    HookGateway,
    OrderGateway,
    StateGateway,
    FarewellGateway,
    TypedGateway,
    GuardedGateway,
  ],
})
class AppModule {}

// A rejected connection hook ends a Node process; this one is to be watched further.
process.on("unhandledRejection", (error) => {
  process.stdout.write(`unhandled rejection: ${error}\n`);
});
process.on("uncaughtException", (error) => {
  process.stdout.write(`uncaught exception: ${error}\n`);
});

const { values } = parseArgs({ options: { port: { type: "string", default: "0" } } });
const app = await NestFactory.create(AppModule, { logger: ["error", "warn"] });
app.enableShutdownHooks();
const server = await app.listen(Number(values.port), "127.0.0.1");
const { port } = server.address() as AddressInfo;
process.stdout.write(`listening on 127.0.0.1:${port}\n`);
