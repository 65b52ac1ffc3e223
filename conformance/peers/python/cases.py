"""The cases of ../cases.json, the bytes that they send, and the judgement of what came back."""

import json
import os
import random

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cases.json"), encoding="utf-8") as file:
    DATA = json.load(file)

# Longest message that a peer accepts, in bytes, where it has a limit.
MAX_MESSAGE_SIZE = 16 * 1024 * 1024

# Most seconds for one case. A case takes milliseconds; this is for what hangs.
LIMIT = 20

LETTERS = bytes(b"abcdefgh"[n % 8] for n in range(256))


def payload(kind, size, seed):
    """Pseudo-random data of exactly `size` bytes: text with characters of 1 to 4 bytes, or blocks that come twice."""
    noise = random.Random(seed * 31 + size).randbytes(size)
    if kind == "text":
        text = noise.translate(LETTERS)
        for letters, character in ((b"fghf", "😀"), (b"cde", "€"), (b"ab", "é")):
            text = text.replace(letters, character.encode())
        return text.decode()
    blocks = (noise[n : n + 500] for n in range(0, size, 1000))
    return b"".join(block + block for block in blocks)[:size]


def show(value):
    """A value as one short line."""
    if isinstance(value, (str, bytes)) and len(value) > 200:
        size = len(value.encode() if isinstance(value, str) else value)
        return f"{type(value).__name__} of {size} bytes, {value[:40]!r}…"
    return repr(value)


class Failure(Exception):
    """A case that went wrong."""


class Check:
    """What is expected in one case of one peer: as the case says, but for the deviations that are known."""

    def __init__(self, peer, role, mode, case):
        self.case = case
        self.left_out = None
        self.overrides = {}
        http = DATA["modes"][mode]["http"]
        for deviation in DATA["deviations"]:
            here = (deviation["peer"], deviation["role"], deviation.get("http", http)) == (peer, role, http)
            if here and case["name"] in deviation["cases"]:
                if deviation["expect"] is None:
                    self.left_out = deviation["why"]
                else:
                    self.overrides.update(deviation["expect"])

    def equal(self, what, expected, got):
        if what in self.overrides:
            override = self.overrides[what]
            expected = {**expected, **override} if isinstance(expected, dict) else override
        if type(expected) is not type(got) or expected != got:
            where = ""
            if type(expected) is type(got) and isinstance(got, (str, bytes)):
                differs = (n for n, (a, b) in enumerate(zip(expected, got)) if a != b)
                where = f"; they differ at {next(differs, min(len(expected), len(got)))}"
            raise Failure(f"{what}: expected {show(expected)}, got {show(got)}{where}")
