"""Audiences: what a token can be for, which products that stands for, and how its tokens are made.

A name that is asked for is, in this order, a registered audience; a name that a registered template
stands for; a product by its own id, which needs no registration. What a name may be asked by, the
graph decides afterwards.

A template has one variable, and it is a whole label of the host or a whole segment of the path:
`https://{organization}.api.example.com`, `https://api.example.com/{organization}`. Names are
compared character by character (RFC 3986, section 6.2.1): nothing is decoded, folded or normalised,
so what the token says in `aud` is what the API expects, and of all the ways to write an address
exactly one is the audience. The variable stands for:

- in the host, a label as DNS has it, in lower case: a-z, 0-9 and `-`, not at an end, 1 to 63
  (RFC 1123, section 2.1). No label with `--` as third and fourth character, which is how letters
  that are not ASCII are written there (RFC 5890, section 2.3.1): it would be shown as a name that
  is not the organization's id. An organization whose id is no such label has no such audience.
- in the path, unreserved characters (RFC 3986, section 2.3), not beginning with a dot.

What matches is the organization's id, as it is, and still a wish: the graph is asked.

Two registered names that one name could match are refused when the second is registered, whichever
processes register them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, TypeVar

import msgspec

from relata.errors import (
    AudienceConflictError,
    InvalidArgumentError,
    NotFoundError,
    OAuthError,
    StoreError,
    WriteConflictError,
)
from relata.relationships import MAX_ID_BYTES, ObjectRef, parse_object
from relata.store import Store
from relata.tokens.claim_mappings import ClaimMapping
from relata.tokens.enrichment import Enrichment
from relata.tokens.size import DEFAULT_BYTES, MAX_BYTES, MIN_BYTES

KIND = "audience"
VARIABLE = "{organization}"
MAX_PRODUCTS = 100
MAX_LIFETIME_SECONDS = 24 * 3600

_Part = TypeVar("_Part")

_MAX_PARTS = 16
_PRODUCT = "product"
_TEMPLATE = re.compile(r"([a-z][a-z0-9+.-]*)://([^/:]+)(:[1-9][0-9]{0,4})?((?:/[^/]*)*)")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PLAIN_LABEL = re.compile(rf"(?!..--){_LABEL.pattern}")
_SEGMENT = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,254}")


class Audience(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A registered audience.

    Raises InvalidArgumentError where a setting is malformed or out of bounds.
    """

    id: str
    """What `aud` says, or a template of it."""
    products: tuple[str, ...]
    """The products that its tokens are for, by id. With several, permissions carry theirs."""
    lifetime: int | None = None
    """How many seconds its tokens live at most; the service's own time if None."""
    max_bytes: int = DEFAULT_BYTES
    """How long its tokens may be, in the compact form."""
    encoding: Literal["names", "bitset"] = "names"
    """How its tokens say the permissions."""
    signing_algorithm: Literal["ES256", "RS256", "EdDSA"] | None = None
    """How its tokens are signed; as the service's others if None."""
    enrichment: Enrichment | None = None
    claims: tuple[ClaimMapping, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what could not be used."""
        _check_id(self.id)
        _check_products(self.products)
        if self.lifetime is not None:
            _check_range("lifetime", self.lifetime, 1, MAX_LIFETIME_SECONDS)
        _check_range("max_bytes", self.max_bytes, MIN_BYTES, MAX_BYTES)
        _check_claims(self)

    @property
    def is_template(self) -> bool:
        """Whether it stands for the audience of each organization."""
        return VARIABLE in self.id

    @property
    def claims_that_may_leave(self) -> tuple[str, ...]:
        """The mapped claims that may leave a token that would be too large."""
        return tuple(mapping.claim for mapping in self.claims if mapping.may_leave)


class Target(msgspec.Struct, frozen=True):
    """What a token is asked for."""

    audience: str
    """What the token's `aud` will say."""
    settings: Audience
    organization: str | None = None
    """The organization that the audience is of, None where it is of none in particular."""

    @property
    def products(self) -> tuple[str, ...]:
        """The products that the token is for."""
        return self.settings.products


class _Name(NamedTuple):
    """An address in the parts that a variable can stand for."""

    scheme: str
    port: str
    labels: tuple[str, ...]
    segments: tuple[str, ...]

    def text(self) -> str:
        path = "".join(f"/{segment}" for segment in self.segments)
        return f"{self.scheme}://{'.'.join(self.labels)}{self.port}{path}"

    def parts(self) -> Iterator[tuple[re.Pattern[str], str]]:
        """Each label and segment with what a variable there stands for."""
        yield from ((_PLAIN_LABEL, label) for label in self.labels)
        yield from ((_SEGMENT, segment) for segment in self.segments)

    def templates(self) -> Iterator[tuple[str, str]]:
        """The id of each template that would match, with the organization that it would yield."""
        for position, (pattern, part) in enumerate(self.parts()):
            if pattern.fullmatch(part):
                yield self._with_variable(position).text(), part

    def _with_variable(self, position: int) -> _Name:
        parts = [part for _, part in self.parts()]
        parts[position] = VARIABLE
        end = len(self.labels)
        return self._replace(labels=tuple(parts[:end]), segments=tuple(parts[end:]))


class Audiences:
    """The registered audiences of a store. Threads and processes may share it.

    Every question reads what is stored now, by primary key: a change counts at once everywhere.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._records = store.records

    def resolve(self, name: str) -> Target:
        """Say what a name stands for that is asked for as `audience` or `resource`.

        Raises OAuthError `invalid_target` where it can stand for nothing.
        """
        settings = self.get(name)
        if settings is not None and not settings.is_template:
            return Target(name, settings)
        return self._of_template(name) or _of_product(name)

    def create(self, audience: Audience) -> None:
        """Register an audience.

        Raises AudienceConflictError where its id is registered, or shares a name with one.
        """
        with self._store.engine.begin() as connection:
            # INVARIANT: the write comes first and takes the store's write lock, so what is read
            # then is all that there is until this transaction ends.
            value = msgspec.json.encode(audience)
            if not self._records.put(
                KIND, audience.id, value, expected=None, connection=connection
            ):
                raise AudienceConflictError(
                    f"the audience `{audience.id}` exists; replace or delete it", field="id"
                )
            self._refuse_ambiguous(audience)

    def replace(self, audience: Audience) -> None:
        """Change what is registered under an id.

        Raises NotFoundError where nothing is, WriteConflictError where it changes meanwhile.
        """
        present = self._records.get(KIND, audience.id)
        if present is None:
            raise not_registered(audience.id)
        value = msgspec.json.encode(audience)
        if not self._records.put(KIND, audience.id, value, expected=present):
            raise WriteConflictError(
                f"the audience `{audience.id}` was changed by somebody else; try again"
            )

    def get(self, audience_id: str) -> Audience | None:
        """Return the audience that is registered under an id, for a template the template."""
        if not _is_storable(audience_id):
            return None
        stored = self._records.get(KIND, audience_id)
        return None if stored is None else _read(audience_id, stored)

    def list(self) -> tuple[Audience, ...]:
        """Return all of them, by id."""
        return tuple(self._all())

    def delete(self, audience_id: str) -> bool:
        """Remove a registration; return whether there was one. Its permission lists stay."""
        return _is_storable(audience_id) and self._records.delete(KIND, audience_id)

    def _of_template(self, name: str) -> Target | None:
        address = _split(name)
        if address is None or VARIABLE in name:
            return None
        for template, organization in address.templates():
            settings = self.get(template)
            if settings is not None:
                return Target(name, settings, organization)
        return None

    def _all(self) -> Iterator[Audience]:
        after = ""
        while page := self._records.list(KIND, after=after):
            yield from (_read(audience_id, stored) for audience_id, stored in page)
            after = page[-1][0]

    def _refuse_ambiguous(self, audience: Audience) -> None:
        for other in self._all():
            if other.id != audience.id and could_match_both(audience.id, other.id):
                raise AudienceConflictError(
                    f"a name could be both of `{audience.id}` and of the registered `{other.id}`; "
                    "choose another id",
                    field="id",
                )


def read_audience(document: Mapping[str, object]) -> Audience:
    """Make an audience of JSON values.

    Raises InvalidArgumentError, naming the field by its path, where it is malformed.
    """
    parts = dict(document)
    if parts.get("enrichment") is not None:
        parts["enrichment"] = _read_part(parts["enrichment"], Enrichment, "enrichment")
    claims = parts.get("claims")
    if isinstance(claims, (list, tuple)):
        parts["claims"] = tuple(
            _read_part(claim, ClaimMapping, f"claims[{position}]")
            for position, claim in enumerate(claims)
        )
    return _read_part(parts, Audience, "")


def could_match_both(one: str, other: str) -> bool:
    """Whether there is a name that both ids stand for, each of them plain or a template."""
    if VARIABLE not in one and VARIABLE not in other:
        return one == other
    first, second = _split(one), _split(other)
    if first is None or second is None or _shape(first) != _shape(second):
        return False
    parts = zip(first.parts(), second.parts(), strict=True)
    return all(_overlap(pattern, part, twin) for (pattern, part), (_, twin) in parts)


def not_registered(audience_id: str) -> NotFoundError:
    """Say that there is no such audience."""
    return NotFoundError(f"there is no audience `{audience_id[:80]}`", field="id")


def _read_part(value: object, kind: type[_Part], field: str) -> _Part:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$")
        path = f"{field}{place.rstrip('`')}".removeprefix(".")
        raise InvalidArgumentError(f"{message[:1].lower()}{message[1:]}", field=path) from None
    except InvalidArgumentError as error:
        raise (error.within(field) if field else error) from None


def _read(audience_id: str, stored: bytes) -> Audience:
    try:
        return msgspec.json.decode(stored, type=Audience)
    except (msgspec.MsgspecError, InvalidArgumentError) as error:
        raise StoreError(
            f"the stored audience `{audience_id}` is malformed; delete it and create it again"
        ) from error


def _of_product(name: str) -> Target:
    if VARIABLE in name:
        raise _not_available(name)
    try:
        return Target(name, Audience(id=name, products=(name,)))
    except InvalidArgumentError:
        raise _not_available(name) from None


def _not_available(name: str) -> OAuthError:
    """Refuse a name as one is refused whose product the organization does not have."""
    return OAuthError(
        "invalid_target",
        f"`{name[:80]}` is not a product that is available in the organization",
        field="audience",
    )


def _split(name: str) -> _Name | None:
    """Take an address apart; None where no template could match it."""
    found = _TEMPLATE.fullmatch(name) if _is_storable(name) else None
    if found is None:
        return None
    scheme, host, port, path = found.groups(default="")
    labels = tuple(host.split("."))
    segments = tuple(path.split("/")[1:])
    if len(labels) + len(segments) > _MAX_PARTS:
        return None
    return _Name(scheme, port, labels, segments)


def _shape(name: _Name) -> tuple[object, ...]:
    return name.scheme, name.port, len(name.labels), len(name.segments)


def _overlap(pattern: re.Pattern[str], part: str, twin: str) -> bool:
    if VARIABLE in (part, twin):
        literals = (text for text in (part, twin) if text != VARIABLE)
        return all(pattern.fullmatch(text) for text in literals)
    return part == twin


def _check_id(audience_id: str) -> None:
    parse_object(ObjectRef(_PRODUCT, audience_id), field="id")
    if "{" in audience_id or "}" in audience_id:
        _check_template(audience_id)


def _check_template(template: str) -> None:
    name = _split(template.removesuffix("/"))
    if name is None:
        raise _bad_template(template, "is not like `https://{organization}.api.example.com`")
    if [part for _, part in name.parts()].count(VARIABLE) != 1:
        raise _bad_template(
            template, f"needs `{VARIABLE}` once, as a whole label or a whole segment"
        )
    _check_literals(template, name.labels, _LABEL)
    _check_literals(template, name.segments, _SEGMENT)
    if name.labels == (VARIABLE,):
        raise _bad_template(template, "would stand for every host; name a domain")


def _check_literals(template: str, parts: tuple[str, ...], pattern: re.Pattern[str]) -> None:
    for part in parts:
        if part != VARIABLE and not pattern.fullmatch(part):
            raise _bad_template(
                template,
                f"has the part `{part}`; write labels in lower case and segments without escapes",
            )


def _bad_template(template: str, why: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"the template `{template}` {why}", field="id")


def _check_products(products: tuple[str, ...]) -> None:
    if not 1 <= len(products) <= MAX_PRODUCTS:
        raise InvalidArgumentError(
            f"an audience has 1 to {MAX_PRODUCTS} products", field="products"
        )
    for position, product in enumerate(products):
        parse_object(ObjectRef(_PRODUCT, product), field=f"products[{position}]")
        if product in products[:position]:
            raise InvalidArgumentError(
                f"the product `{product}` is named twice", field=f"products[{position}]"
            )


def _check_claims(audience: Audience) -> None:
    seen = set() if audience.enrichment is None else {audience.enrichment.claim}
    for position, mapping in enumerate(audience.claims):
        if mapping.claim in seen:
            raise InvalidArgumentError(
                f"the claim `{mapping.claim}` has two sources", field=f"claims[{position}].claim"
            )
        seen.add(mapping.claim)


def _check_range(field: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InvalidArgumentError(f"`{field}` is {least} to {most}", field=field)


def _is_storable(text: str) -> bool:
    return 1 <= len(text) <= MAX_ID_BYTES and text.isprintable()
