"""The demo's world: two organizations, two products, two people, one machine, and what is true.

`gerardo` belongs to both organizations and may do different things in each: in `org_1` he uses
both products, in `org_2` he administers the one product that it subscribes to. `sam` belongs to
`org_1` and has no role. `importer` is a machine of `org_1` that may write to `api_1`.

The rules are in `schema.zed` and nowhere else; here are only facts, and `ANSWERS`, what the rules
must make of them.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import msgspec

from relata.authorizer import Relata
from relata.errors import InvalidArgumentError
from relata.relationships import delete, touch
from relata.tokens import TokenProfile

GERARDO = "gerardo"
SAM = "sam"
IMPORTER = "importer"

RELATIONSHIPS = (
    # Who belongs where.
    "organization:org_1#member@user:gerardo",
    "organization:org_1#member@user:sam",
    "organization:org_1#member@client:importer",
    "organization:org_2#member@user:gerardo",
    # What is subscribed to.
    "product:api_1#subscriber@organization:org_1",
    "product:api_1#subscriber@organization:org_2",
    "product:api_2#subscriber@organization:org_1",
    # What a role, or every role of a template, grants.
    "capability:api_1/read#granted_to@role_template:user_api_1",
    "capability:api_1/read#granted_to@role_template:admin_api_1",
    "capability:api_1/write#granted_to@role_template:admin_api_1",
    "capability:api_1/write#granted_to@role:org_1/importer_api_1",
    "capability:api_2/read#granted_to@role:org_1/user_api_2",
    # Who has which role.
    "role_template:user_api_1#instance@role:org_1/user_api_1",
    "role:org_1/user_api_1#organization@organization:org_1",
    "role:org_1/user_api_1#product@product:api_1",
    "role:org_1/user_api_1#assignee@user:gerardo",
    "role:org_1/user_api_2#organization@organization:org_1",
    "role:org_1/user_api_2#product@product:api_2",
    "role:org_1/user_api_2#assignee@user:gerardo",
    "role:org_1/importer_api_1#organization@organization:org_1",
    "role:org_1/importer_api_1#product@product:api_1",
    "role:org_1/importer_api_1#assignee@client:importer",
    "role_template:admin_api_1#instance@role:org_2/admin_api_1",
    "role:org_2/admin_api_1#organization@organization:org_2",
    "role:org_2/admin_api_1#product@product:api_1",
    "role:org_2/admin_api_1#assignee@user:gerardo",
    # Data.
    "dataset:ds1#organization@organization:org_1",
    "dataset:ds2#organization@organization:org_2",
)

PROMOTION = "role:org_1/user_api_1#assignee@user:sam"
"""The relationship that the story writes, and takes back."""


class Answer(msgspec.Struct, frozen=True):
    """What a token for a user, an organization and a product holds, or why there is none."""

    permissions: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    error: str = ""


ANSWERS = {
    (GERARDO, "org_1", "api_1"): Answer(("api_1/read",), ("org_1/user_api_1",)),
    (GERARDO, "org_1", "api_2"): Answer(("api_2/read",), ("org_1/user_api_2",)),
    (GERARDO, "org_2", "api_1"): Answer(("api_1/read", "api_1/write"), ("org_2/admin_api_1",)),
    (GERARDO, "org_2", "api_2"): Answer(error="invalid_target"),
    (SAM, "org_1", "api_1"): Answer(),
    (SAM, "org_1", "api_2"): Answer(),
    (SAM, "org_2", "api_1"): Answer(error="invalid_request"),
    (SAM, "org_2", "api_2"): Answer(error="invalid_request"),
}
"""Every choice there is. An organization that may not be chosen is an `invalid_request`, a
product that it does not subscribe to an `invalid_target`."""


def schema_text() -> str:
    """The schema: the copy in an installed package, or the project's own file beside `src`."""
    packaged = files("relata.demo").joinpath("schema.zed")
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (Path(__file__).parents[3] / "schema.zed").read_text(encoding="utf-8")


def open_scenario(url: str) -> Relata:
    """Open a database with the demo's schema and relationships in it.

    Raises InvalidArgumentError where it has others, so that nobody's real one is overwritten.
    """
    relata = Relata.open(url, question_only=TokenProfile().question_only)
    try:
        _require_unused(relata)
        relata.write_schema(schema_text())
        relata.write([*map(touch, RELATIONSHIPS), delete(PROMOTION)])
    except BaseException:
        relata.close()
        raise
    return relata


def _require_unused(relata: Relata) -> None:
    stored = relata.store.schema()
    if stored is None:
        return
    known = {*RELATIONSHIPS, PROMOTION}
    others = [str(item) for item in relata.read().relationships if str(item) not in known]
    if others or stored.text != schema_text():
        raise InvalidArgumentError(
            "the database is in use for something else; give the demo one of its own",
            field="database",
        )
