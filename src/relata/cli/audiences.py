"""Audiences: register, list, show, change, remove."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table

from relata.cli.options import DATABASE_URL, Database, Json, open_database
from relata.cli.output import console, json_line, line
from relata.errors import InvalidArgumentError
from relata.tokens.audiences import Audience, Audiences, not_registered, read_audience
from relata.tokens.claim_mappings import check_lookups

_UNSETTABLE = ("lifetime", "signing_algorithm", "enrichment", "claims")

AudienceId = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="What `aud` says, or a template such as https://{organization}.api.example.com.",
    ),
]
Products = Annotated[
    list[str] | None,
    typer.Option(
        "--product",
        metavar="ID",
        help="A product that its tokens are for; give it again for more.",
        show_default=False,
    ),
]
Lifetime = Annotated[
    int | None,
    typer.Option("--lifetime", metavar="SECONDS", help="How long its tokens live at most."),
]
MaxBytes = Annotated[
    int | None, typer.Option("--max-bytes", metavar="BYTES", help="How long its tokens may be.")
]
Encoding = Annotated[
    str | None,
    typer.Option("--encoding", metavar="HOW", help="How they say permissions: names or bitset."),
]
SigningAlgorithm = Annotated[
    str | None,
    typer.Option("--signing-algorithm", metavar="ALG", help="ES256, RS256 or EdDSA."),
]
EnrichmentText = Annotated[
    str | None,
    typer.Option(
        "--enrichment",
        metavar="JSON",
        help='A service that is asked for a claim: {"url": "https://…", "claim": "ext"}.',
    ),
]
ClaimTexts = Annotated[
    list[str] | None,
    typer.Option(
        "--claim",
        metavar="JSON",
        help='A claim of its own: {"claim": "plan", "attribute": "plan"}; give it again for more.',
        show_default=False,
    ),
]


def create(
    audience_id: AudienceId,
    product: Products = None,
    lifetime: Lifetime = None,
    max_bytes: MaxBytes = None,
    encoding: Encoding = None,
    signing_algorithm: SigningAlgorithm = None,
    enrichment: EnrichmentText = None,
    claim: ClaimTexts = None,
    database: Database = DATABASE_URL,
    json: Json = False,
) -> None:
    """Register an audience and print it.

    Example: `relata audiences create 'https://{organization}.api.example.com' --product reports`
    """
    given = _given(product, lifetime, max_bytes, encoding, signing_algorithm, enrichment, claim)
    audience = read_audience({"products": (), **given, "id": audience_id})
    with open_database(database) as relata:
        check_lookups(audience.claims, lambda: relata.schema)
        Audiences(relata.store).create(audience)
    _print(audience, json)


def list_(database: Database = DATABASE_URL, json: Json = False) -> None:
    """List the registered audiences.

    Example: `relata audiences list`
    """
    with open_database(database) as relata:
        audiences = Audiences(relata.store).list()
    if json:
        json_line({"audiences": audiences})
    else:
        console().print(_table(audiences))


def show(audience_id: AudienceId, database: Database = DATABASE_URL, json: Json = False) -> None:
    """Show an audience.

    Example: `relata audiences show reports`
    """
    with open_database(database) as relata:
        audience = _registered(Audiences(relata.store), audience_id)
    _print(audience, json)


def update(
    audience_id: AudienceId,
    product: Products = None,
    lifetime: Lifetime = None,
    max_bytes: MaxBytes = None,
    encoding: Encoding = None,
    signing_algorithm: SigningAlgorithm = None,
    enrichment: EnrichmentText = None,
    claim: ClaimTexts = None,
    unset: Annotated[
        list[str] | None,
        typer.Option(
            "--unset",
            metavar="NAME",
            help=f"What goes back to its default: {', '.join(_UNSETTABLE)}. "
            "Give it again for more.",
            show_default=False,
        ),
    ] = None,
    database: Database = DATABASE_URL,
    json: Json = False,
) -> None:
    """Change what is given about an audience; the rest stays.

    `--product` and `--claim` replace all of theirs. Tokens that were issued stay as they are.

    Example: `relata audiences update reports --lifetime 120 --unset enrichment`
    """
    given = _given(product, lifetime, max_bytes, encoding, signing_algorithm, enrichment, claim)
    dropped = _dropped(unset)
    with open_database(database) as relata:
        audiences = Audiences(relata.store)
        present = msgspec.to_builtins(_registered(audiences, audience_id))
        kept = {name: value for name, value in present.items() if name not in dropped}
        audience = read_audience({**kept, **given})
        check_lookups(audience.claims, lambda: relata.schema)
        audiences.replace(audience)
    _print(audience, json)


def delete(audience_id: AudienceId, database: Database = DATABASE_URL) -> None:
    """Remove an audience. Its permission lists stay, for the tokens that were issued.

    Example: `relata audiences delete reports`
    """
    with open_database(database) as relata:
        if not Audiences(relata.store).delete(audience_id):
            raise not_registered(audience_id)
    line(f"deleted {audience_id}")


def _given(
    product: list[str] | None,
    lifetime: int | None,
    max_bytes: int | None,
    encoding: str | None,
    signing_algorithm: str | None,
    enrichment: str | None,
    claim: list[str] | None,
) -> dict[str, Any]:
    """The fields that options were given for."""
    fields = {
        "products": product,
        "lifetime": lifetime,
        "max_bytes": max_bytes,
        "encoding": encoding,
        "signing_algorithm": signing_algorithm,
        "enrichment": _read_json(enrichment, "--enrichment") if enrichment else None,
        "claims": [_read_json(text, "--claim") for text in claim] if claim else None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _dropped(unset: list[str] | None) -> frozenset[str]:
    names = frozenset(name.replace("-", "_") for name in unset or ())
    for name in sorted(names.difference(_UNSETTABLE)):
        raise InvalidArgumentError(
            f"`{name}` cannot be unset; what can is {', '.join(_UNSETTABLE)}", field="--unset"
        )
    return names


def _read_json(text: str, option: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        raise InvalidArgumentError(f"`{text}` is not a JSON object", field=option) from None


def _registered(audiences: Audiences, audience_id: str) -> Audience:
    audience = audiences.get(audience_id)
    if audience is None:
        raise not_registered(audience_id)
    return audience


def _print(audience: Audience, json: bool) -> None:
    if json:
        json_line(audience)
        return
    for name, value in msgspec.to_builtins(audience).items():
        if value is not None and value != ():
            line(f"{name}: {_shown(value)}")


def _shown(value: object) -> str:
    match value:
        case str() | int():
            return str(value)
        case [*names] if all(isinstance(name, str) for name in names):
            return " ".join(str(name) for name in names)
    return msgspec.json.encode(value).decode()


def _table(audiences: tuple[Audience, ...]) -> Table:
    table = Table("id", "products", "max bytes", "encoding", box=None, pad_edge=False)
    for audience in audiences:
        table.add_row(
            audience.id,
            " ".join(audience.products),
            str(audience.max_bytes),
            audience.encoding,
        )
    return table
