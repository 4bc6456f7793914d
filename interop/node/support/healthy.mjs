// The healthy clients of a server under load: a crowd that is told something over and over, some
// who ask, and one who looks on.
import { client, connected, mint } from "./client.mjs";
import { Helper } from "./helper.mjs";

/** Connects them on the other processor; what is said is `bytes` long, and due `aSecond` times. */
export async function startHealthy(server, { size, room, aSecond, bytes }) {
  const crowd = new Helper("crowd", { processor: 1 }, server.port, mint(), room, size);
  await crowd.line(60_000);
  const prober = new Helper("prober", { processor: 1 }, server.port, mint());
  await prober.line();
  const watcher = await connected(client(server, { auth: {}, namespace: "/open" }));
  await prober.ask(`say ${room} ${aSecond} ${bytes}`);
  const stop = () => {
    watcher.disconnect();
    prober.child.stdin.end();
    crowd.child.stdin.end();
  };
  return { crowd, prober, watcher, stop };
}
