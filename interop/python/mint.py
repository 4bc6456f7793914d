"""Mints tokens with PyJWT.

Reads `{"keys": [{"kid", "alg", "key"}], "tokens": [{"kid", "claims"}]}` from stdin, where a key is
PEM or, for HMAC, text. Prints a token a line.
"""

import json
import sys

import jwt


def main() -> None:
    work = json.load(sys.stdin)
    # Read once: a key from PEM is checked, which takes longer than to sign with it.
    keys = {
        key["kid"]: (key["alg"], jwt.get_algorithm_by_name(key["alg"]).prepare_key(key["key"]))
        for key in work["keys"]
    }
    for token in work["tokens"]:
        algorithm, key = keys[token["kid"]]
        headers = {"kid": token["kid"]}
        print(jwt.encode(token["claims"], key, algorithm=algorithm, headers=headers))


if __name__ == "__main__":
    main()
