// A server that reads and forgets, in a process of its own: `discard.mjs <bytes>`.
//
// It closes each connection after so many bytes, as the server did that it stands in for. What a
// machine does under an attack beside this is what the machine does, and not the server.
import { createServer } from "node:net";

const bytes = Number(process.argv[2]);

const server = createServer((socket) => {
  let count = 0;
  socket.on("error", () => {});
  socket.on("data", (data) => {
    count += data.length;
    if (count >= bytes) socket.destroy();
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
