// A balancer of TCP: newcomers go to the nodes that are ready, in turn.
import { once } from "node:events";
import { connect, createServer } from "node:net";

const PROBE_EVERY_MS = 100;

/** Nodes have a `port` and a `management` port; what is not ready gets nobody new. */
export async function startBalancer(nodes) {
  let turn = 0;
  const open = new Set();
  const balancer = {
    /** When each session was asked for, by node. */
    handshakes: new Map(nodes.map((node) => [node, []])),
    ready: new Set(nodes),
    nodes,
  };
  /** Who has a session comes back to its node. */
  const homes = new Map();
  const newcomer = () => {
    const ready = nodes.filter((node) => balancer.ready.has(node));
    const node = ready[turn++ % ready.length];
    balancer.handshakes.get(node)?.push(Date.now());
    return node;
  };
  const server = createServer((near) => {
    near.on("error", () => {});
    near.once("data", (head) => {
      const sid = /[?&]sid=([\w-]+)/.exec(head)?.[1];
      const node = sid === undefined ? newcomer() : homes.get(sid);
      if (node === undefined) return void near.destroy();
      const far = connect(node.port, "127.0.0.1");
      far.once("data", (answer) => {
        const opened = /"sid":"([\w-]+)"/.exec(answer)?.[1];
        if (opened !== undefined) homes.set(opened, node);
      });
      for (const [from, to] of [
        [near, far],
        [far, near],
      ]) {
        open.add(from);
        from.on("error", () => to.destroy());
        from.on("close", () => {
          open.delete(from);
          to.destroy();
        });
      }
      far.write(head);
      near.pipe(far);
      far.pipe(near);
    });
  });
  server.listen(0, "127.0.0.1", 4096);
  await once(server, "listening");

  const probe = async (node) => {
    try {
      const { status } = await fetch(`http://127.0.0.1:${node.management}/readyz`);
      if (status === 200) balancer.ready.add(node);
      else balancer.ready.delete(node);
    } catch {
      balancer.ready.delete(node);
    }
  };
  const probing = setInterval(() => nodes.map(probe), PROBE_EVERY_MS);

  balancer.url = `http://127.0.0.1:${server.address().port}`;
  balancer.stop = () => {
    clearInterval(probing);
    for (const socket of open) socket.destroy();
    server.close();
  };
  return balancer;
}

/** The most of `times` within any second. */
export function peak(times) {
  const sorted = [...times].sort((a, b) => a - b);
  let most = 0;
  let first = 0;
  for (const [index, time] of sorted.entries()) {
    while (time - sorted[first] > 1_000) first += 1;
    most = Math.max(most, index - first + 1);
  }
  return most;
}
