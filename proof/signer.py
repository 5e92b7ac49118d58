"""Random requests that botocore signs, and such with one thing changed: ``python -m proof.signer [REQUESTS [SEED]]``.

What botocore signed must be right for its secret and for no other; what was changed must be right for none.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter

from tests.signers import CHANGES, METHODS, SIGNERS, changed, sign
from tests.unit.signing import ACCESS_KEY, NOW, SECRET
from zs3.auth.sigv4 import Wire, decode_claim
from zs3.errors import S3Error

#: What keys and values are made of: much that is escaped, doubled or reserved somewhere.
PIECES = (
    *("", ".", "..", "a b", "a+b", "(~)", "100%", "%2F", "%252F", "\u00e9", "e\u0301", "\U0001f600"),
    *("\x7f", "*'!", "&=;#?", '"<\\>'),
)
PARAMETERS = ("prefix", "a", "a-b", "a.b", "A", "uploadId", "partNumber", "versionId", "uploads", "x-id", "~", "\u00e9")
HEADERS = ("x-amz-meta-a", "X-Amz-Meta-B", "Content-Type", "x-amz-acl", "Range", "content-md5", "If-Match")


def _text(chance: random.Random) -> str:
    if chance.random() < 0.5:
        return chance.choice(PIECES)
    ends = chance.choice([0x7F, 0x7F, 0x24F, 0xD7FF])
    return "".join(chr(chance.randint(1, ends)) for _ in range(chance.randrange(12)))


def _value(chance: random.Random) -> str:
    return "".join(chr(chance.randint(0x20, 0x7E)) for _ in range(chance.randrange(20)))


def request(chance: random.Random) -> tuple[str, Wire]:
    """A random request, signed; and how."""
    kind = chance.choice(sorted(SIGNERS))
    return kind, sign(
        kind,
        chance.choice(METHODS),
        [_text(chance) for _ in range(chance.randint(1, 4))],
        [(chance.choice(PARAMETERS), _text(chance)) for _ in range(chance.randrange(4))],
        {chance.choice(HEADERS): _value(chance) for _ in range(chance.randrange(4))},
        chance.randbytes(chance.randrange(64)),
    )


def passes(asked: Wire, secret: str = SECRET) -> bool:
    """Whether a request is let in."""
    try:
        claim = decode_claim(asked, now=NOW + 1)
    except S3Error:
        return False
    return claim is not None and claim.access_key == ACCESS_KEY and claim.check(secret) is not None


def run(requests: int, seed: int) -> Counter[str]:
    """How often what was done, and how often it went wrong (``violations``)."""
    chance = random.Random(seed)
    done: Counter[str] = Counter(violations=0)
    for number in range(requests):
        kind, asked = request(chance)
        done[kind] += 1
        wrong = [] if passes(asked) else ["refused"]
        if passes(asked, SECRET + "x"):
            wrong.append("another secret")
        what = chance.choice(CHANGES)
        other = changed(kind, asked, what, chance)
        if other is not None:
            done[f"changed {what}"] += 1
            if passes(other):
                wrong.append(f"changed {what}")
        if wrong:
            done["violations"] += 1
            print(f"request {number} of seed {seed}: {', '.join(wrong)}: {asked} {other}", flush=True)
    return done


def main() -> int:
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    start = time.process_time()
    done = run(requests, seed)
    for what, count in sorted(done.items()):
        print(f"{what:24} {count:8}")
    print(f"{requests} requests of seed {seed}, {time.process_time() - start:.0f} s of CPU time")
    return 1 if done["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
