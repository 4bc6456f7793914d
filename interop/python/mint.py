"""Mints tokens with PyJWT.

Reads `{"keys": [{"kid", "alg", "key"}], "tokens": [{"kid", "claims"}]}` from stdin, where a key is
PEM or, for HMAC, text. Prints a token a line.
"""

import json
import sys

import jwt


def main() -> None:
    work = json.load(sys.stdin)
    keys = {key["kid"]: key for key in work["keys"]}
    for token in work["tokens"]:
        key = keys[token["kid"]]
        headers = {"kid": token["kid"]}
        print(jwt.encode(token["claims"], key["key"], algorithm=key["alg"], headers=headers))


if __name__ == "__main__":
    main()
