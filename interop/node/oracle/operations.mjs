// What a client may have its node do: the contract of `conformance cluster`, over Node's socket.io.
//
// Not here: which Redis client and which adapter (cluster.mjs), and anything from npm, so that
// other workspaces can use it.

const list = (value) => (value === undefined || value === null ? [] : [].concat(value));
const byName = (a, b) => (String(a) < String(b) ? -1 : Number(String(a) > String(b)));

function operator(io, socket, { to, except, local, volatile, self }) {
  let chosen = self === false ? socket.broadcast : io.of(socket.nsp.name);
  for (const room of list(to)) chosen = chosen.to(room);
  for (const room of list(except)) chosen = chosen.except(room);
  if (local) chosen = chosen.local;
  if (volatile) chosen = chosen.volatile;
  return chosen;
}

/** The rooms of the cluster; the sharded adapter cannot say, so all sockets are asked there. */
async function allRooms(namespace) {
  if (namespace.adapter.allRooms) return [...(await namespace.adapter.allRooms())];
  const sockets = await namespace.fetchSockets();
  return [...new Set(sockets.flatMap(({ rooms }) => [...rooms]))];
}

function describe({ id, rooms, data, handshake }) {
  return { id, rooms: [...rooms].sort(byName), data, address: handshake.address };
}

const OPERATIONS = {
  join: async (io, socket, { rooms }) => void (await socket.join(list(rooms))),
  leave: async (io, socket, { rooms }) => {
    for (const room of list(rooms)) await socket.leave(room);
  },
  rooms: (io, socket) => [...socket.rooms].sort(byName),
  "set-data": (io, socket, data) => void (socket.data = data),
  emit: (io, socket, argument) => {
    operator(io, socket, argument).emit(argument.event, ...(argument.args ?? []));
  },
  "emit-with-ack": (io, socket, argument) =>
    operator(io, socket, argument)
      .timeout(argument.timeout ?? 5_000)
      .emitWithAck(argument.event, ...(argument.args ?? [])),
  "fetch-sockets": async (io, socket, argument) => {
    const sockets = await operator(io, socket, argument).fetchSockets();
    return sockets.map(describe).sort((a, b) => byName(a.id, b.id));
  },
  "sockets-join": (io, socket, argument) => {
    operator(io, socket, argument).socketsJoin(list(argument.rooms));
  },
  "sockets-leave": (io, socket, argument) => {
    operator(io, socket, argument).socketsLeave(list(argument.rooms));
  },
  "disconnect-sockets": (io, socket, argument) => {
    operator(io, socket, argument).disconnectSockets(argument.close ?? false);
  },
  "all-rooms": async (io, socket) => (await allRooms(socket.nsp)).sort(byName),
  "server-side-emit": (io, socket, { event, args }) => {
    socket.nsp.serverSideEmit(event, ...(args ?? []));
  },
  "server-side-emit-with-ack": (io, socket, { event, args }) =>
    socket.nsp.serverSideEmitWithAck(event, ...(args ?? [])),
  received: (io, socket) => socket.nsp.received,
  "server-count": (io, socket) => socket.nsp.adapter.serverCount(),
};

/** The answer to `op(name, argument)` of a client. */
export async function perform(io, socket, name, argument) {
  const operation = OPERATIONS[name];
  if (operation === undefined) return { error: `no such operation: ${name}` };
  try {
    const ok = await operation(io, socket, argument ?? {});
    return { ok: ok === undefined ? null : ok };
  } catch ({ message, responses }) {
    return { error: message, responses };
  }
}

/** Keeps every server-side event of the namespace, and answers each with the name of the node. */
export function listen(namespace, name) {
  namespace.received = [];
  namespace._onServerSideEmit = (args) => {
    const asked = typeof args.at(-1) === "function";
    namespace.received.push(asked ? args.slice(0, -1) : args);
    if (asked) args.at(-1)(name());
  };
}
