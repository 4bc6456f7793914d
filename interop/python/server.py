"""Starts the server under test, `conformance auth`, and mints tokens for it."""

import os
import pathlib
import re
import subprocess
import time

import jwt

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("CONFORMANCE_BIN", str(ROOT / "target/debug/conformance"))
SECRET = "a secret of more than thirty-two bytes"


class Server:
    """One server process; `stop()` ends it."""

    def __init__(self, *options):
        command = [os.path.abspath(BINARY), "auth", "--port", "0", "--jwt-secret", SECRET, *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{self._port()}"

    def _port(self):
        for line in self.process.stdout:
            found = re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)\n", line)
            if found:
                return found[1]
        raise RuntimeError(f"{BINARY} ended with {self.process.wait()}")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def mint(secret=SECRET, **claims):
    """A token as PyJWT makes it; a claim that is None is left out."""
    everything = {"sub": "42", "username": "alice", "exp": int(time.time()) + 600, **claims}
    present = {name: value for name, value in everything.items() if value is not None}
    return jwt.encode(present, secret, algorithm="HS256")
