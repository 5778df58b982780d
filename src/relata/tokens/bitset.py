"""Permissions as bits over a published list: the compact form of an audience's tokens.

The list of an audience grows at its end and nowhere else, and a name never moves or goes. Version
`v` is its first so many names, so the bits of an old token mean for ever what they meant. A list is
not deleted with its audience either.

In a token, `{"v": 3, "b": "BQ"}` says: of the names of version 3, those whose bit is 1. Bit `i` is
the bit of value `2 ** (i % 8)` of byte `i // 8`, as in a Token Status List; bytes of zeros at the
end are left out, and the rest is base64url without padding (RFC 4648, section 5).

The lists are public: who must not know that a permission exists must not be able to read its name
there, so an audience whose permissions have telling names keeps the plain form.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from relata.errors import InvalidArgumentError, LimitExceededError
from relata.store import Records
from relata.tokens import base64url

KIND = "permission_list"
MAX_NAMES = 16_384
"""How many names a list may have; all bits of them are 2 KB."""

PERMISSIONS_BITS = "permissions_bits"
PRODUCTS_BITS = "products_bits"


class PermissionList(msgspec.Struct, frozen=True):
    """A version of an audience's list."""

    version: int
    """1 and up; 0 is the version without names, before any was published."""
    names: tuple[str, ...]


class _Published(msgspec.Struct, frozen=True):
    """What is stored: every name, and for each version how many of them it has."""

    names: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()

    def at(self, version: int) -> PermissionList | None:
        if version == 0:
            return PermissionList(0, ())
        if not 0 < version <= len(self.counts):
            return None
        return PermissionList(version, self.names[: self.counts[version - 1]])

    def with_(self, names: Iterable[str]) -> _Published:
        longer = (*self.names, *names)
        return _Published(longer, (*self.counts, len(longer)))


class PermissionLists:
    """The published lists of a store. Threads and processes may share it."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def get(self, audience: str, version: int) -> PermissionList | None:
        """Return a version of an audience's list; None where it has not been published."""
        return self._read(audience)[1].at(version)

    def covering(self, audience: str, permissions: Iterable[str]) -> PermissionList:
        """Return the newest version, after publishing those of the permissions it lacks.

        Raises LimitExceededError where the list would have more than MAX_NAMES names.
        """
        wanted = sorted(set(permissions))
        while True:
            stored, published = self._read(audience)
            known = frozenset(published.names)
            missing = [name for name in wanted if name not in known]
            if not missing:
                return PermissionList(len(published.counts), published.names)
            longer = published.with_(missing)
            _refuse_too_long(audience, longer)
            value = msgspec.json.encode(longer)
            if self._records.put(KIND, audience, value, expected=stored):
                return PermissionList(len(longer.counts), longer.names)

    def _read(self, audience: str) -> tuple[bytes | None, _Published]:
        stored = self._records.get(KIND, audience)
        if stored is None:
            return None, _Published()
        return stored, msgspec.json.decode(stored, type=_Published)


def encode_permissions(permissions: Iterable[str], published: PermissionList) -> dict[str, object]:
    """Return the claim that says these permissions, each of which the list has."""
    return {"v": published.version, "b": _encode(permissions, _positions(published.names))}


def decode_permissions(claim: object, names: Sequence[str]) -> tuple[str, ...]:
    """Return what a claim `{"v": 3, "b": "BQ"}` says, sorted; `names` are those of its version.

    Raises InvalidArgumentError where the claim is malformed or has a bit that no name has: the
    names are then those of another version, and guessing would grant something else.
    """
    bits = claim.get("b") if isinstance(claim, Mapping) else None
    if not isinstance(bits, str):
        raise _malformed("it has no `b`")
    try:
        data = base64url.decode(bits)
    except ValueError:
        raise _malformed("its `b` is not base64url without padding") from None
    held = [
        position for position in range(8 * len(data)) if data[position // 8] >> (position % 8) & 1
    ]
    if held and held[-1] >= len(names):
        raise _malformed("it has a bit that is none of the names'; fetch the list of its version")
    return tuple(sorted(names[position] for position in held))


def compacted(
    claims: Mapping[str, object], lists: PermissionLists, audience: str
) -> dict[str, object]:
    """Return claims with bits in place of `permissions`, `products` and `scope`.

    `audience` is the id of the registered audience, for a template the template, whose list the
    organizations share. Publishes what the list lacks.
    """
    permissions = _texts(claims.get("permissions"))
    products = claims.get("products")
    by_product = products if isinstance(products, Mapping) else {}
    every = {*permissions, *(name for held in by_product.values() for name in _texts(held))}
    published = lists.covering(audience, every)
    positions = _positions(published.names)
    plain = ("permissions", "products", "scope")
    kept = {name: value for name, value in claims.items() if name not in plain}
    kept[PERMISSIONS_BITS] = {"v": published.version, "b": _encode(permissions, positions)}
    if isinstance(products, Mapping):
        bits = {product: _encode(_texts(held), positions) for product, held in by_product.items()}
        kept[PRODUCTS_BITS] = {"v": published.version, "b": bits}
    return kept


def _texts(value: object) -> tuple[str, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else ()


def _positions(names: Sequence[str]) -> dict[str, int]:
    return {name: position for position, name in enumerate(names)}


def _encode(permissions: Iterable[str], positions: Mapping[str, int]) -> str:
    held = [positions[name] for name in permissions]
    data = bytearray(max(held, default=-1) // 8 + 1)
    for position in held:
        data[position // 8] |= 1 << (position % 8)
    return base64url.encode(bytes(data))


def _refuse_too_long(audience: str, published: _Published) -> None:
    if len(published.names) > MAX_NAMES:
        raise LimitExceededError(
            f"the permission list of `{audience}` would have more than {MAX_NAMES} names; "
            "use the encoding `names`"
        )


def _malformed(why: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"the permission bits are malformed: {why}", field=PERMISSIONS_BITS)
