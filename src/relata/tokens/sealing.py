"""Private keys at rest: encrypted under a secret that is configured and not in the database.

A sealed key is AES-256-GCM under a key that scrypt derives from the secret (RFC 7914) with a salt
of its own, bound to the name it is stored under, so one cannot be put in another's place unseen.
scrypt makes each guess at the secret cost a tenth of a second and 32 MB, for secrets are sometimes
words; opening is as slow, so who opens keeps what was opened.

The text reads `scrypt-a256gcm.<log2 of scrypt's N>.<salt>.<nonce>.<ciphertext>`, the last three in
base64url. What is stored without a secret is the PEM itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from relata.errors import InvalidArgumentError, StoreError
from relata.tokens import base64url

MIN_SECRET_CHARACTERS = 32

_SCHEME = "scrypt-a256gcm"
_LOG_N = 15
_MAX_LOG_N = 20
"""What a stored text may ask for: a gigabyte of memory."""
_BLOCK_SIZE = 8
_SALT_BYTES = 16
_NONCE_BYTES = 12
_KEY_BYTES = 32


class Sealer:
    """Seals and opens texts. Without a secret it stores them as they are.

    `former_secrets` open, and never seal: they are there while a secret is being replaced. Raises
    InvalidArgumentError for a secret shorter than MIN_SECRET_CHARACTERS.
    """

    def __init__(self, secret: str | None, former_secrets: Sequence[str] = ()) -> None:
        self._secret = secret
        self._openers = [*([secret] if secret is not None else []), *former_secrets]
        if any(len(one) < MIN_SECRET_CHARACTERS for one in self._openers):
            raise InvalidArgumentError(
                f"the secret for signing keys has fewer than {MIN_SECRET_CHARACTERS} characters; "
                "take a random one",
                field="key_secret",
            )

    @property
    def seals(self) -> bool:
        """Whether there is a secret to seal with."""
        return self._secret is not None

    def seal(self, text: str, name: str) -> str:
        """Return what to store for a text."""
        if self._secret is None:
            return text
        salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
        cipher = AESGCM(_derived(self._secret, salt, _LOG_N))
        sealed = cipher.encrypt(nonce, text.encode(), name.encode())
        return ".".join((_SCHEME, str(_LOG_N), *map(base64url.encode, (salt, nonce, sealed))))

    def open(self, stored: str, name: str) -> str:
        """Return the text that was stored.

        Raises InvalidArgumentError where it was sealed with another secret, StoreError where it
        is no sealed text at all.
        """
        if not is_sealed(stored):
            return stored
        log_n, salt, nonce, sealed = _parts(stored, name)
        for secret in self._openers:
            try:
                cipher = AESGCM(_derived(secret, salt, log_n))
                return cipher.decrypt(nonce, sealed, name.encode()).decode()
            except InvalidTag:
                continue
        raise InvalidArgumentError(
            "the signing keys in the database are encrypted, and not with this secret; "
            "set `RELATA_KEY_SECRET` to the one that they were stored with"
            if self._openers
            else "the signing keys in the database are encrypted; "
            "set `RELATA_KEY_SECRET` to the secret that they were stored with",
            field="key_secret",
        )

    def is_current(self, stored: str, name: str) -> bool:
        """Whether a text is stored as `seal` would store it now."""
        if not self.seals or not is_sealed(stored):
            return self.seals == is_sealed(stored)
        try:
            Sealer(self._secret).open(stored, name)
        except InvalidArgumentError:
            return False
        return True


def is_sealed(stored: str) -> bool:
    """Whether a stored text is encrypted."""
    return stored.startswith(f"{_SCHEME}.")


def _derived(secret: str, salt: bytes, log_n: int) -> bytes:
    kdf = Scrypt(salt=salt, length=_KEY_BYTES, n=1 << log_n, r=_BLOCK_SIZE, p=1)
    return kdf.derive(secret.encode())


def _parts(stored: str, name: str) -> tuple[int, bytes, bytes, bytes]:
    try:
        _, log_n, *encoded = stored.split(".")
        salt, nonce, sealed = map(base64url.decode, encoded)
        if not 1 <= int(log_n) <= _MAX_LOG_N:
            raise ValueError(log_n)
    except ValueError as error:
        raise StoreError(f"the signing key `{name}` is damaged in the database") from error
    return int(log_n), salt, nonce, sealed
