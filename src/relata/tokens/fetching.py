"""Fetches small JSON documents from addresses that somebody registered.

An answer counts only with status 200, within a size and a time, and from the address itself:
redirects are not followed. Nothing is kept here.
"""

from __future__ import annotations

import time

import httpx
import msgspec

MAX_DOCUMENT_BYTES = 256 * 1024
_TIMEOUT = httpx.Timeout(5.0)
_FETCH_SECONDS = 10.0


class FetchError(Exception):
    """The address did not answer as it should; the message says how, for a log."""


def fetch_object(address: str, *, accept: str) -> dict[str, object]:
    """Return the JSON object that an address answers with.

    `accept` says which media types are asked for. Raises FetchError.
    """
    try:
        document = _fetch(address, accept)
    except httpx.HTTPError as error:
        raise FetchError(repr(error)) from error
    try:
        return msgspec.json.decode(document, type=dict[str, object])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise FetchError("the answer is not a JSON object") from error


def _fetch(address: str, accept: str) -> bytes:
    deadline = time.monotonic() + _FETCH_SECONDS
    document = bytearray()
    # The bytes are counted as they arrive, so they must not arrive compressed.
    headers = {"Accept": accept, "Accept-Encoding": "identity"}
    with (
        httpx.Client(timeout=_TIMEOUT, follow_redirects=False, headers=headers) as client,
        client.stream("GET", address) as response,
    ):
        if response.status_code != httpx.codes.OK:
            raise FetchError(f"the answer has the status {response.status_code}")
        for chunk in response.iter_raw():
            document += chunk
            if len(document) > MAX_DOCUMENT_BYTES:
                raise FetchError(f"the answer is longer than {MAX_DOCUMENT_BYTES} bytes")
            if time.monotonic() > deadline:
                raise FetchError(f"the answer takes longer than {_FETCH_SECONDS:g} seconds")
    return bytes(document)
