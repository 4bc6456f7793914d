"""python-socketio's asyncio client against our server, over polling and over WebSocket."""

import asyncio
import time
import unittest

import socketio

from server import Server, mint

TRANSPORTS = (["polling"], ["websocket"], ["polling", "websocket"])
GUARDED = ("/", "/admin", "/tenant-42")
BYTES = bytes([0, 1, 2, 127, 128, 254, 255])
WAIT = 5


async def close(client):
    """Disconnects, and closes the HTTP session that a refused client leaves open."""
    await client.disconnect()
    if client.eio.http is not None:
        await client.eio.http.close()


class ClientTest(unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    async def connected(self, transports, namespaces=("/",), token=None):
        client = socketio.AsyncClient(reconnection=False)
        self.addAsyncCleanup(close, client)
        await client.connect(
            self.server.url,
            auth={"token": token or mint()},
            namespaces=list(namespaces),
            transports=transports,
            wait_timeout=WAIT,
        )
        return client

    async def each(self, body):
        for transports in TRANSPORTS:
            with self.subTest("+".join(transports)):
                await asyncio.wait_for(body(transports), 4 * WAIT)

    async def test_a_client_with_a_token_is_connected_to_every_namespace(self):
        async def body(transports):
            client = await self.connected(transports, GUARDED)
            for namespace in GUARDED:
                who = await client.call("whoami", namespace=namespace, timeout=WAIT)
                expected = {"namespace": namespace, "sub": "42", "username": "alice"}
                self.assertEqual(who, expected)
            self.assertEqual(client.transport(), transports[-1])

        await self.each(body)

    async def test_a_client_without_a_good_token_is_refused_in_every_namespace(self):
        tokens = {
            "TOKEN_INVALID": "let me in",
            "TOKEN_EXPIRED": mint(exp=int(time.time()) - 60),
            "TOKEN_CLAIMS": mint(username=None),
        }

        async def body(transports):
            for namespace in GUARDED:
                for code, token in tokens.items():
                    await self.assert_refused(transports, namespace, {"token": token}, code)
                await self.assert_refused(transports, namespace, {}, "TOKEN_MISSING")

        await self.each(body)

    async def assert_refused(self, transports, namespace, auth, code):
        client = socketio.AsyncClient(reconnection=False)
        seen = []

        async def on_error(data):
            seen.append(data)

        async def on_other(*_):
            seen.append("connected")

        client.on("connect_error", on_error, namespace=namespace)
        client.on("connect", on_other, namespace=namespace)
        client.on("*", on_other, namespace=namespace)
        with self.assertRaises(socketio.exceptions.ConnectionError):
            await client.connect(
                self.server.url,
                auth=auth,
                namespaces=[namespace],
                transports=transports,
                wait_timeout=WAIT,
            )
        await close(client)
        self.assertEqual(seen, [{"message": "Unauthorized", "data": {"code": code}}])

    async def test_events_and_acks_carry_values_and_bytes_both_ways(self):
        async def body(transports):
            client = await self.connected(transports)
            echoes = asyncio.Queue()
            client.on("echo", lambda *args: echoes.put_nowait(list(args)))
            values = [1, "é🦀", None, {"nested": [BYTES, {"b": BYTES}]}, BYTES]
            await client.emit("echo", tuple(values))
            self.assertEqual(await asyncio.wait_for(echoes.get(), WAIT), values)
            answer = await client.call("echo", tuple(values), timeout=WAIT)
            self.assertEqual(list(answer), values)

            async def question(text):
                return {"heard": text, "bytes": BYTES}

            client.on("question", question)
            answer = await client.call("ask", "question", timeout=WAIT)
            self.assertEqual(answer, {"ok": {"heard": "ping", "bytes": BYTES}})

        await self.each(body)

    async def test_a_large_text_goes_there_and_back(self):
        async def body(transports):
            client = await self.connected(transports)
            text = "x" * 900_000
            self.assertEqual(await client.call("echo", text, timeout=WAIT), text)

        await self.each(body)

    async def test_a_room_hears_what_is_said_in_it(self):
        async def body(transports):
            alice, bob, carol = [await self.connected(transports) for _ in range(3)]
            said = asyncio.Queue()
            for client in (alice, bob, carol):
                client.on("said", lambda data, client=client: said.put_nowait((client, data)))
            for client in (alice, bob):
                rooms = await client.call("join", "python", timeout=WAIT)
                self.assertEqual(rooms, ["python"])
            self.assertEqual(await alice.call("say", ("python", "hello"), timeout=WAIT), "ok")
            message = await asyncio.wait_for(said.get(), WAIT)
            self.assertEqual(message, (bob, {"from": alice.get_sid(), "text": "hello"}))
            for client in (alice, carol):
                await client.call("echo", "fence", timeout=WAIT)
            self.assertTrue(said.empty())

        await self.each(body)

    async def test_a_client_that_is_thrown_out_knows_it(self):
        async def body(transports):
            client = await self.connected(transports)
            gone = asyncio.get_running_loop().create_future()
            client.on("disconnect", lambda reason=None: gone.set_result(reason))
            await client.emit("kick", True)
            reason = await asyncio.wait_for(gone, WAIT)
            self.assertIn(reason, (None, client.reason.SERVER_DISCONNECT))

        await self.each(body)

    async def test_a_public_namespace_asks_for_no_token(self):
        async def body(transports):
            client = await self.connected(transports, ["/open"], token="bad")
            who = await client.call("whoami", namespace="/open", timeout=WAIT)
            self.assertEqual(who, {"namespace": "/open", "sub": None, "username": None})

        await self.each(body)


if __name__ == "__main__":
    unittest.main()
