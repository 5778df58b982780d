"""One connection to a server on this machine that asks one question after the other."""

from __future__ import annotations

from http.client import HTTPConnection
from typing import Any

import msgspec

from benchmarks import HOST


class HttpAsker:
    """A connection that is kept. Any status but 200 is an error."""

    def __init__(self, port: int, key: str) -> None:
        self._connection = HTTPConnection(HOST, port, timeout=120)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def ask(self, path: str, question: object) -> dict[str, Any]:
        """Ask, and return the answer. Raises ConnectionError where it is none."""
        self._connection.request("POST", path, msgspec.json.encode(question), self._headers)
        response = self._connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise ConnectionError(f"{path} was answered by {response.status}: {body[:200]!r}")
        answer: dict[str, Any] = msgspec.json.decode(body)
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
