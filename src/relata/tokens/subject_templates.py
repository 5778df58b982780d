"""How the claims of a token become an object of the schema: `user:{sub}`.

A template is a definition's name, a colon, and an id in which `{claim}` stands for the text of
that claim. The definition is written out, so nothing that an issuer says can choose it, and a
colon in a claim is a character of the id like any other.

Two tokens whose claims differ never make the same object: between two claims there is text, and
the value of the first must not contain the character with which that text begins. So `{org}/{sub}`
refuses an `org` of `a/b`, which with `c` would be the same as `a` with `b/c`.

`email` and `phone_number` count only with the claim that they are verified (OpenID Connect Core
1.0, section 5.1): else whoever may choose an address at an issuer could be anybody. Even then they
can change and be given to somebody else, which `sub` cannot (section 5.7).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from relata.errors import InvalidArgumentError
from relata.relationships import ObjectRef, SubjectRef, parse_object

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_VERIFIED_BY = MappingProxyType(
    {"email": "email_verified", "phone_number": "phone_number_verified"}
)


class SubjectError(Exception):
    """The claims of a token make no subject; the message says of which claim, and why."""


class _Part(msgspec.Struct, frozen=True):
    """A claim of a template, and the text between it and the next one or the end."""

    claim: str
    text: str
    ends_at: str
    """The character at which the claim's value would end too early; empty for the last claim."""


class SubjectTemplate:
    """A template, ready for use.

    Raises InvalidArgumentError, naming `field`, where it could make no object, or the same object
    of different claims.
    """

    def __init__(self, template: str, *, field: str) -> None:
        self.type, _, object_id = template.partition(":")
        self._prefix, *rest = _PLACEHOLDER.split(object_id)
        claims, texts = rest[0::2], rest[1::2]
        _check(template, self.type, self._prefix, texts, field)
        self._parts = tuple(
            _Part(claim, text, text[:1] if number < len(claims) else "")
            for number, (claim, text) in enumerate(zip(claims, texts, strict=True), start=1)
        )

    def subject_of(self, claims: Mapping[str, Any]) -> SubjectRef:
        """Return the object that a token's claims make. Raises SubjectError."""
        object_id = self._prefix + "".join(
            _text_of(claims, part) + part.text for part in self._parts
        )
        try:
            parsed = parse_object(ObjectRef(self.type, object_id))
        except InvalidArgumentError:
            names = " and ".join(f"`{part.claim}`" for part in self._parts)
            raise SubjectError(f"its {names} cannot be the id of an object") from None
        return SubjectRef(parsed.type, parsed.id)


def _check(template: str, object_type: str, prefix: str, texts: Sequence[str], field: str) -> None:
    if not texts:
        raise InvalidArgumentError(
            f"`{template}` has no claim in braces after a colon, as in `user:{{sub}}`", field=field
        )
    if not all(texts[:-1]):
        raise InvalidArgumentError(
            f"`{template}` has two claims without a text between them", field=field
        )
    parse_object(ObjectRef(object_type, prefix + "x".join(["", *texts])), field=field)
    if not set("{}").isdisjoint("".join([prefix, *texts])):
        raise InvalidArgumentError(f"`{template}` has a brace that is not closed", field=field)


def _text_of(claims: Mapping[str, Any], part: _Part) -> str:
    value = claims.get(part.claim)
    if value is None:
        raise SubjectError(f"it has no `{part.claim}`")
    if not isinstance(value, str):
        raise SubjectError(f"its `{part.claim}` is not a string")
    verified_by = _VERIFIED_BY.get(part.claim)
    if verified_by is not None and claims.get(verified_by) is not True:
        raise SubjectError(f"its `{part.claim}` is not verified")
    if not value or (part.ends_at and part.ends_at in value):
        raise SubjectError(f"its `{part.claim}` cannot be part of the id of an object")
    return value
