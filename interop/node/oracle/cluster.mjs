// `conformance cluster` with Node's socket.io and its Redis adapters.
import { createServer } from "node:http";
import { Server } from "socket.io";
import { adapter } from "./adapters.mjs";
import { listen, perform } from "./operations.mjs";

/** The options of the command line, and `client` and `requests-timeout`, which only Node has. */
export async function serve(values) {
  const http = createServer((request, response) => response.writeHead(404).end());
  const transports = values["websocket-only"] ? ["websocket"] : ["polling", "websocket"];
  const io = new Server(http, { serveClient: false, transports });
  if (values.redis !== undefined) io.adapter(await adapter(busOf(values)));
  const name = () => values.name ?? String(http.address().port);
  for (const path of ["/", "/admin"]) {
    const namespace = io.of(path);
    listen(namespace, name);
    namespace.on("connection", (socket) => {
      socket.on("echo", (value, ack) => ack(value));
      socket.on("op", async (...args) => {
        const ack = args.pop();
        ack(await perform(io, socket, ...args));
      });
    });
  }
  process.on("SIGTERM", () => io.close());
  return http;
}

export function busOf(values) {
  const { redis, key, mode, client, parser } = values;
  return {
    redis,
    key,
    mode,
    client,
    parser,
    specificResponse: values["specific-response"],
    requestsTimeout: Number(values["requests-timeout"]),
  };
}
