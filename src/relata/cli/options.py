"""What commands share: their common options, and how texts become values."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from relata.authorizer import Relata
from relata.consistency import (
    FULLY_CONSISTENT,
    MINIMIZE_LATENCY,
    Consistency,
    at_exact_snapshot,
    at_least_as_fresh,
)
from relata.errors import InvalidArgumentError, NotFoundError, SchemaMissingError
from relata.relationships import Relationship, RelationshipFilter, parse_relationship
from relata.requests import Limits

DATABASE_URL = "sqlite:///relata.db"
DATABASE_VARIABLE = "RELATA_DATABASE"
STANDARD_INPUT = "-"

_NO_LIMIT = sys.maxsize

Database = Annotated[
    str,
    typer.Option(
        "--database",
        "-d",
        envvar=DATABASE_VARIABLE,
        metavar="URL",
        help="The database, as a URL.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON, on one line.")]
Contextual = Annotated[
    list[str] | None,
    typer.Option(
        "--contextual",
        "-c",
        metavar="RELATIONSHIP",
        help="A relationship that holds for this question only; give it again for more.",
    ),
]
ContextText = Annotated[
    str | None,
    typer.Option(
        "--context",
        metavar="JSON",
        help="Values for the parameters of caveats, as a JSON object.",
    ),
]
ConsistencyText = Annotated[
    str,
    typer.Option(
        "--consistency",
        metavar="HOW",
        help="How fresh the answer must be: minimize_latency, fully_consistent, "
        "at_least_as_fresh=TOKEN or at_exact_snapshot=TOKEN.",
    ),
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", "-n", min=1, show_default="all", help="How many at most."),
]
Cursor = Annotated[
    str | None,
    typer.Option("--cursor", metavar="CURSOR", help="Where the page before ended."),
]

ResourceArgument = Annotated[
    str, typer.Argument(metavar="RESOURCE", help="An object, such as document:readme.")
]
PermissionArgument = Annotated[
    str, typer.Argument(metavar="PERMISSION", help="A permission or a relation.")
]
SubjectArgument = Annotated[
    str, typer.Argument(metavar="SUBJECT", help="Such as user:anne or group:eng#member.")
]

_FILTER = "Filter"
ResourceType = Annotated[str | None, typer.Option(metavar="TYPE", rich_help_panel=_FILTER)]
ResourceId = Annotated[str | None, typer.Option(metavar="ID", rich_help_panel=_FILTER)]
ResourceIdPrefix = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="What the id begins with.", rich_help_panel=_FILTER),
]
RelationName = Annotated[
    str | None, typer.Option("--relation", metavar="RELATION", rich_help_panel=_FILTER)
]
SubjectType = Annotated[str | None, typer.Option(metavar="TYPE", rich_help_panel=_FILTER)]
SubjectId = Annotated[str | None, typer.Option(metavar="ID", rich_help_panel=_FILTER)]
SubjectRelation = Annotated[
    str | None,
    typer.Option(
        metavar="RELATION",
        help="Empty: only subjects without a relation.",
        rich_help_panel=_FILTER,
    ),
]


@contextmanager
def open_database(url: str, *, create: bool = False) -> Iterator[Relata]:
    """Open the database of a command; only with `create` may it be a new one.

    Raises NotFoundError where it is not there.

    The command line is its owner's own tool, so a write may be of any size, where a server would
    set its callers a limit; and it asks once, so there is nothing to follow.
    """
    if not create:
        require_there(url)
    file = _file_of(url)
    limits = Limits(updates=_NO_LIMIT, contextual=_NO_LIMIT)
    with Relata.open(url, limits=limits, follow_seconds=None) as relata:
        try:
            yield relata
        except SchemaMissingError as error:
            name = "the database" if file is None else f"`{file}`"
            raise SchemaMissingError(
                f"{name} has no schema; write one with `relata schema write`"
            ) from error


def require_there(url: str) -> None:
    """Raise NotFoundError unless a database is there.

    A mistyped name must not leave a database behind.
    """
    file = _file_of(url)
    if file is not None and not file.exists():
        raise NotFoundError(
            f"there is no database `{file}`; make it with `relata schema write`, "
            "or name another with `--database`"
        )


def _file_of(url: str) -> Path | None:
    """The file that a URL names; None for a temporary database, or one of another kind."""
    scheme, separator, name = url.partition(":///")
    name = name.partition("?")[0]
    is_file = separator and scheme.startswith("sqlite") and not name.startswith((":", "file:"))
    return Path(name) if is_file and name else None


def consistency_of(text: str) -> Consistency:
    """Read `--consistency`. Raises InvalidArgumentError."""
    name, _, token = text.partition("=")
    match name, token:
        case "minimize_latency", "":
            return MINIMIZE_LATENCY
        case "fully_consistent", "":
            return FULLY_CONSISTENT
        case "at_least_as_fresh", str(token) if token:
            return at_least_as_fresh(token)
        case "at_exact_snapshot", str(token) if token:
            return at_exact_snapshot(token)
    raise InvalidArgumentError(
        f"`{text}` is no consistency; write minimize_latency, fully_consistent, "
        "at_least_as_fresh=TOKEN or at_exact_snapshot=TOKEN",
        field="--consistency",
    )


def contextual_of(texts: list[str] | None) -> list[Relationship]:
    """Read `--contextual`. Raises InvalidArgumentError."""
    return [parse_relationship(text, field="--contextual") for text in texts or ()]


def context_of(text: str | None) -> dict[str, Any]:
    """Read `--context`. Raises InvalidArgumentError."""
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        raise InvalidArgumentError(f"`{text}` is not a JSON object", field="--context") from None


def filter_of(
    resource_type: str | None,
    resource_id: str | None,
    resource_id_prefix: str | None,
    relation: str | None,
    subject_type: str | None,
    subject_id: str | None,
    subject_relation: str | None,
) -> RelationshipFilter | None:
    """Make a filter of its options; None where none is given."""
    made = RelationshipFilter(
        resource_type,
        resource_id,
        resource_id_prefix,
        relation,
        subject_type,
        subject_id,
        subject_relation,
    )
    return None if made == RelationshipFilter() else made


def source_name(path: str) -> str:
    """What errors call a file."""
    return "standard input" if path == STANDARD_INPUT else path


def read_text(path: str) -> str:
    """Read a file, or standard input where the path is `-`, without a byte order mark.

    Raises InvalidArgumentError where it cannot be read or is not UTF-8.
    """
    try:
        content = sys.stdin.buffer.read() if path == STANDARD_INPUT else Path(path).read_bytes()
        return content.decode().removeprefix("\ufeff")  # line ends as they are
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(
            f"{source_name(path)} is not UTF-8 at byte {error.start + 1}; save it as UTF-8"
        ) from error
    except OSError as error:
        raise InvalidArgumentError(f"`{path}` cannot be read: {error.strerror}") from error
