"""Token Status Lists (draft-ietf-oauth-status-list-21): what has become of the issued tokens.

A token's `status` claim names a list and a place in it. A list is a signed JWT that anybody may
fetch and cache for `ttl` seconds, with two bits for each of 65,536 tokens: 0 the token stands,
1 it is revoked, 3 what it says is no longer so (the value that the draft leaves to applications).

*What it gives away.* Tokens are numbered in the order of their issue, which would tell every
holder of two tokens how many were issued in between, and a list's length how many there are. So
a list is called by its number encrypted (one block of AES-128), has all its places from the
start, and gives them out in an order that a keyed permutation decides. A list still shows how
many of its tokens are revoked or changed, which is what it is for.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from relata.store import Store
from relata.tokens import base64url
from relata.tokens.signing import SigningKeys
from relata.tokens.stored_secrets import stored_secret

STATUS_PATH = "/oauth/status"
MEDIA_TYPE = "application/statuslist+jwt"
LIST_TYPE = "statuslist+jwt"
BITS = 2
"""How many bits a token has in a list."""
LIST_SIZE = 1 << 16
"""How many tokens a list is about."""
TTL_SECONDS = 2
"""For how long a list may be cached."""
LIFETIME_SECONDS = 60
"""When a list expires: how long one may do without a newer, where none can be had."""

_PER_BYTE = 8 // BITS
_ROUNDS = 4
_KEPT = 256
"""How many lists are kept in memory."""
_BLOCK_BYTES = 16
_MARKED = re.compile(rb"[^\0]")
_SECRET = "status_lists"  # noqa: S105 - what the secret is for


class _Made(msgspec.Struct, frozen=True):
    """A signed list, the last event that it knows of, and when it was signed."""

    token: str
    version: int
    made_at: int


class StatusLists:
    """The status lists of a store's tokens. Safe to share between threads.

    `issuer_url` is where the lists are reached, `ttl` for how many seconds they may be cached,
    `lifetime` after how many they expire.
    """

    def __init__(
        self,
        store: Store,
        keys: SigningKeys,
        *,
        issuer_url: str,
        ttl: int = TTL_SECONDS,
        lifetime: int = LIFETIME_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.ttl = ttl
        self._issued = store.issued
        self._keys = keys
        self._issuer_url = issuer_url
        self._lifetime = lifetime
        self._clock = clock
        self._names = _Names(stored_secret(store, _SECRET))
        self._making = threading.Lock()
        self._made: dict[int, _Made] = {}

    def status_claim(self, token_id: int) -> dict[str, object]:
        """Return the `status` claim of an issued token, by its number in the store."""
        number, place = divmod(token_id, LIST_SIZE)
        index = self._names.index(number, place)
        return {"status_list": {"idx": index, "uri": self._address(self._names.name(number))}}

    def token(self, name: str) -> str | None:
        """Return the status list of a name, signed; None where no list has it."""
        number = self._names.number(name)
        if number is None:
            return None
        now = int(self._clock())
        version = self._issued.last_event()
        made = self._made.get(number)
        if made is None or made.version != version or now - made.made_at >= self.ttl:
            made = self._renewed(number, name, version, now)
        return made.token

    def _renewed(self, number: int, name: str, version: int, now: int) -> _Made:
        with self._making:
            made = self._made.get(number)
            if made is None or made.version < version or now - made.made_at >= self.ttl:
                # INVARIANT: the states are read after the version was, so they are as new or newer.
                made = _Made(self._signed(number, name, now), version, now)
                self._made.pop(number, None)
                self._made[number] = made
                if len(self._made) > _KEPT:
                    del self._made[next(iter(self._made))]  # the one that was made first
            return made

    def _signed(self, number: int, name: str, now: int) -> str:
        claims = {
            "iss": self._issuer_url,
            "sub": self._address(name),
            "iat": now,
            "exp": now + self._lifetime,
            "ttl": self.ttl,
            "status_list": {"bits": BITS, "lst": packed(self._marks(number), LIST_SIZE)},
        }
        return self._keys.sign(claims, typ=LIST_TYPE)

    def _marks(self, number: int) -> Iterator[tuple[int, int]]:
        """The places in a list whose tokens are no longer valid, each with the state."""
        states = self._issued.states(number * LIST_SIZE, LIST_SIZE)
        for found in _MARKED.finditer(states):
            yield self._names.index(number, found.start()), states[found.start()]

    def _address(self, name: str) -> str:
        return f"{self._issuer_url}{STATUS_PATH}/{name}"


class _Names:
    """What lists are called, and the order of the tokens in each, by a secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        key = hashlib.blake2b(b"name", key=secret, digest_size=_BLOCK_BYTES).digest()
        # A single block is a permutation of numbers; no message is encrypted here.
        self._cipher = Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305
        self._tables: dict[int, list[bytes]] = {}

    def name(self, number: int) -> str:
        encryptor = self._cipher.encryptor()
        return base64url.encode(encryptor.update(number.to_bytes(_BLOCK_BYTES)))

    def number(self, name: str) -> int | None:
        """The number of a list; None for what is the name of none."""
        try:
            block = base64url.decode(name)
        except ValueError:
            return None
        if len(block) != _BLOCK_BYTES:
            return None
        number = int.from_bytes(self._cipher.decryptor().update(block))
        return number if number < 1 << 48 else None  # a made-up name is a number beyond all lists

    def index(self, number: int, place: int) -> int:
        """Permute the places of a list: a Feistel network over two halves of eight bits."""
        left, right = divmod(place, 256)
        for table in self._rounds(number):
            left, right = right, left ^ table[right]
        return left * 256 + right

    def _rounds(self, number: int) -> list[bytes]:
        tables = self._tables.get(number)
        if tables is None:
            seed = hashlib.blake2b(number.to_bytes(8), key=self._secret).digest()
            stream = hashlib.shake_256(seed).digest(256 * _ROUNDS)
            tables = [stream[start : start + 256] for start in range(0, len(stream), 256)]
            if len(self._tables) >= _KEPT:
                self._tables.clear()
            self._tables[number] = tables
        return tables


def packed(marks: Iterable[tuple[int, int]], size: int) -> str:
    """Return the `lst` of a list of `size` tokens, all valid but for `marks`, by their places.

    Two bits each, the first token's lowest; compressed with zlib, in base64url (sections 4.1 and
    4.2). `size` is a multiple of four.
    """
    octets = bytearray(size // _PER_BYTE)
    for place, state in marks:
        octets[place // _PER_BYTE] |= state << (place % _PER_BYTE * BITS)
    return base64url.encode(zlib.compress(octets, level=9))
