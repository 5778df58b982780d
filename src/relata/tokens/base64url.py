"""Base64url without padding, as JOSE writes octets (RFC 7515, section 2)."""

from __future__ import annotations

import base64


def encode(data: bytes) -> str:
    """Write octets."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Read octets. Raises ValueError where the text is not in base64url, or padded."""
    data = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    if encode(data) != text:
        raise ValueError("not in base64url")
    return data
