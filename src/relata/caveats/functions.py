"""The functions that caveats have beside CEL's own: `in_cidr` and `isSubtreeOf`.

An address travels through CEL as bytes that begin with a mark. JSON has no bytes, so no value of
a context can be taken for an address.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

_MARK = b"ipaddress:"
_LONGEST = 100
_MAPPED = IPv6Network("::ffff:0:0/96")
_NO_SUCH = "`{}` does not exist for such values"


@lru_cache(maxsize=4096)
def _canonical(text: str) -> bytes:
    return _MARK + str(ip_address(text)).encode()


def address_value(text: str) -> bytes:
    """What stands for the address in CEL; equal addresses are equal. Raises ValueError."""
    if len(text) > _LONGEST:
        raise ValueError
    return _canonical(text)


@lru_cache(maxsize=4096)
def _network(text: str) -> IPv4Network | IPv6Network:
    address, _, length = text.partition("/")
    plain = length.isascii() and length.isdigit() and (length == "0" or length[0] != "0")
    try:
        if not plain or "%" in address:
            raise ValueError
        network = ip_network(text, strict=False)
    except ValueError:
        shown = text[:50]
        raise ValueError(f"`{shown}` is not a block of addresses such as `10.0.0.0/8`") from None
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((network.network_address.packed[-4:], network.prefixlen - 96))
    return network


def in_cidr(address: Any, cidr: Any) -> bool:
    """Whether the address is in the block; an IPv4 address mapped into IPv6 is the IPv4 one.

    An address with a zone is in no block. Raises ValueError.
    """
    if not isinstance(address, bytes | bytearray) or not isinstance(cidr, str):
        raise ValueError(_NO_SUCH.format("in_cidr"))
    return _in_cidr(bytes(address), cidr)


@lru_cache(maxsize=4096)
def _in_cidr(address: bytes, cidr: str) -> bool:
    if not address.startswith(_MARK):
        raise ValueError(_NO_SUCH.format("in_cidr"))
    network = _network(cidr)
    found = ip_address(address.removeprefix(_MARK).decode())
    if isinstance(found, IPv6Address):
        if found.scope_id is not None:
            return False
        found = found.ipv4_mapped or found
    return found.version == network.version and found in network


def is_subtree_of(small: Any, large: Any) -> bool:
    """Whether every key of the small map, at every depth, is in the large one with its value.

    Raises ValueError.
    """
    if not isinstance(small, dict) or not isinstance(large, dict):
        raise ValueError(_NO_SUCH.format("isSubtreeOf"))
    for key, value in small.items():
        if key not in large:
            return False
        other = large[key]
        if isinstance(value, dict) and isinstance(other, dict):
            if not is_subtree_of(value, other):
                return False
        elif not _equal(value, other):
            return False
    return True


def _equal(one: Any, other: Any) -> bool:
    """Whether type and value are equal: `true` is not `1`, and `1` is not `1.0`."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    return bool(one == other)


FUNCTIONS: dict[str, Callable[[Any, Any], bool]] = {
    "in_cidr": in_cidr,
    "isSubtreeOf": is_subtree_of,
}
"""By the names that they have in expressions. They raise ValueError where they have no value."""
