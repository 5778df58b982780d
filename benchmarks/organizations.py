"""How long the lookup behind a token takes for users of few and of many organizations.

On the model of `schema.zed`: every organization subscribes to both products and has, for each, a
role of a reader and one of an editor; each role is an instance of a template, which holds ten
capabilities. A user of N organizations is a member of the first N, reader of both products in all
of them and editor in every other one.

The question is a token's: which capabilities are held, in the first organization and for the
first product, both of which come with the question. Its answer is the same for every user, so a
time that grows with N would be spent on organizations that were not chosen.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.measure import Group, Measurement, measure
from benchmarks.plan import Plan
from relata.authorizer import Relata

SCHEMA = Path(__file__).parent.parent / "schema.zed"
MEMBERSHIPS = (1, 10, 100, 1_000)
TEMPLATES = ("reader", "editor")
PRODUCTS = ("api_1", "api_2")
CAPABILITIES = 10

_CHOSEN, _REQUESTED = "organization:o0", "product:api_1"


def relationships() -> Iterator[str]:
    """The organizations, their roles, and a user for each number of memberships."""
    for product in PRODUCTS:
        for template in TEMPLATES:
            for number in range(CAPABILITIES):
                capability = f"capability:{product}/{template}/{number}"
                yield f"{capability}#granted_to@role_template:{product}/{template}"
    for organization in range(max(MEMBERSHIPS)):
        yield from _of_organization(organization)
    for memberships in MEMBERSHIPS:
        for organization in range(memberships):
            yield from _of_member(f"user:in_{memberships}", organization)


def measure_tokens(relata: Relata, plan: Plan) -> Group:
    """Measure the lookup for every number of memberships, on a database with these relationships.

    Raises ValueError where an answer is not what the roles say.
    """
    measurements = tuple(_lookup(relata, memberships, plan) for memberships in MEMBERSHIPS)
    return Group("A token's permissions, by the organizations of its user", measurements)


def _lookup(relata: Relata, memberships: int, plan: Plan) -> Measurement:
    user = f"user:in_{memberships}"
    contextual = (f"{_CHOSEN}#chosen_by@{user}", f"{_REQUESTED}#requested_by@{user}")
    ask = partial(relata.lookup_resources, "capability", "held", contextual=contextual)
    found = ask(user).resource_ids
    expected = tuple(
        sorted(f"api_1/{template}/{n}" for template in TEMPLATES for n in range(CAPABILITIES))
    )
    if found != expected:
        raise ValueError(f"`{user}` holds {found}, but the roles say {expected}")
    name = f"{memberships:,} organization{'s' if memberships > 1 else ''}"
    note = f"{len(found)} capabilities held"
    return measure(name, ask, [user] * plan.lookups, plan.rounds, note)


def _of_organization(number: int) -> Iterator[str]:
    organization = f"organization:o{number}"
    for product in PRODUCTS:
        yield f"product:{product}#subscriber@{organization}"
        for template in TEMPLATES:
            role = f"role:o{number}/{product}/{template}"
            yield f"{role}#organization@{organization}"
            yield f"{role}#product@product:{product}"
            yield f"role_template:{product}/{template}#instance@{role}"


def _of_member(user: str, number: int) -> Iterator[str]:
    yield f"organization:o{number}#member@{user}"
    for product in PRODUCTS:
        yield f"role:o{number}/{product}/reader#assignee@{user}"
        if number % 2 == 0:
            yield f"role:o{number}/{product}/editor#assignee@{user}"
