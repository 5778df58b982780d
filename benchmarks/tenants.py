"""A company with 1,000 customers of 100 users each, and ten products, on the model of `schema.zed`.

Every organization subscribes to every product and has, for each, a role of a reader and one of an
editor, instances of templates that hold ten capabilities each. The users are in ten teams, the
teams in a group of all, whose members are readers; one team are editors. Every tenth user is a
member, and nothing else, of the next organization too.

What is asked is what an API asks: with the organization that was chosen and the product that was
requested, as contextual relationships; and for comparison a check without them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks import token_issue
from benchmarks.contest import Entrant, compete, first_pass
from benchmarks.in_process import WrongAnswerError
from benchmarks.loaded import open_loaded
from benchmarks.measure import Group, Measurement, measured
from benchmarks.plan import Plan
from relata.authorizer import Relata
from relata.tokens import TokenProfile, TokenRequest, TokenService

ORGANIZATIONS = 1_000
TEAMS = 10
USERS_IN_A_TEAM = 10
PRODUCTS = 10
CAPABILITIES = 10
TEMPLATES = ("reader", "editor")
DATASETS = 5

_SCHEMA = Path(__file__).parent.parent / "schema.zed"
_DRAWN = 2_000


class Wish(NamedTuple):
    """A question of an API, for a user who has chosen an organization."""

    resource: str
    permission: str
    user: str
    organization: str
    product: str

    @property
    def contextual(self) -> tuple[str, ...]:
        """The choice, as it comes with the question."""
        chosen = f"organization:{self.organization}#chosen_by@{self.user}"
        if not self.product:
            return (chosen,)
        return (chosen, f"product:{self.product}#requested_by@{self.user}")


def world(organizations: int) -> Iterator[str]:
    """Every relationship."""
    for product in range(PRODUCTS):
        for template in TEMPLATES:
            for number in range(CAPABILITIES):
                held = f"role_template:p{product}/{template}"
                yield f"capability:p{product}/{template}/{number}#granted_to@{held}"
    for organization in range(organizations):
        yield from _of_organization(f"o{organization}")
        for user in range(0, TEAMS * USERS_IN_A_TEAM, 10):
            another = (organization + 1) % organizations
            yield f"organization:o{another}#member@user:o{organization}/u{user}"


def _of_organization(name: str) -> Iterator[str]:
    for dataset in range(DATASETS):
        yield f"dataset:{name}/{dataset}#organization@organization:{name}"
    for team in range(TEAMS):
        yield f"group:{name}/all#member@group:{name}/team{team}#member"
        for number in range(USERS_IN_A_TEAM):
            yield f"group:{name}/team{team}#member@user:{name}/u{team * USERS_IN_A_TEAM + number}"
    yield f"organization:{name}#member@group:{name}/all#member"
    for product in range(PRODUCTS):
        yield f"product:p{product}#subscriber@organization:{name}"
        for template, whose in zip(TEMPLATES, ("all", "team0"), strict=True):
            role = f"role:{name}/p{product}/{template}"
            yield f"{role}#organization@organization:{name}"
            yield f"{role}#product@product:p{product}"
            yield f"{role}#assignee@group:{name}/{whose}#member"
            yield f"role_template:p{product}/{template}#instance@{role}"


def measure_tenants(plan: Plan, directory: Path) -> list[Group]:
    """Measure checks, lookups and tokens, with a database in a directory.

    Raises WrongAnswerError where an answer is not what the roles say.
    """
    only = TokenProfile().question_only
    made = world(plan.organizations)
    path = directory / "tenants.db"
    with closing(open_loaded(path, _SCHEMA.read_text(), made, question_only=only)) as relata:
        title = f"{plan.organizations:,} organizations"
        return [
            Group(
                f"{title}: checks (ratio: to the one without a choice)",
                tuple(_checks(relata, plan)),
            ),
            Group(f"{title}: what a token is made of", tuple(_tokens(relata, plan))),
        ]


class _Drawing:
    """Random users and what they ask."""

    def __init__(self, plan: Plan) -> None:
        self._random = Random(plan.seed)
        self._organizations = plan.organizations

    def allowed(self) -> Wish:
        """A reader's capability, in their own organization."""
        return self._wish("reader", self._random.randrange(TEAMS * USERS_IN_A_TEAM))

    def without_role(self) -> Wish:
        """An editor's capability, for who is not in the team of editors."""
        return self._wish(
            "editor", self._random.randrange(USERS_IN_A_TEAM, TEAMS * USERS_IN_A_TEAM)
        )

    def elsewhere(self) -> Wish:
        """A reader's capability, with another organization chosen, of which they are a member."""
        wish = self._wish("reader", self._random.randrange(0, TEAMS * USERS_IN_A_TEAM, 10))
        number = int(wish.organization.removeprefix("o"))
        return wish._replace(organization=f"o{(number + 1) % self._organizations}")

    def dataset(self, *, own: bool) -> Wish:
        """A dataset of the user's organization, or of one of which they are no member."""
        wish = self.allowed()
        number = int(wish.organization.removeprefix("o"))
        whose = number if own else (number + 2) % self._organizations
        resource = f"dataset:o{whose}/{self._random.randrange(DATASETS)}"
        return wish._replace(resource=resource, permission="visible", product="")

    def access(self, *, own: bool) -> Wish:
        """Access to the user's organization, or to one of which they are no member."""
        wish = self.allowed()
        number = int(wish.organization.removeprefix("o"))
        whose = number if own else (number + 2) % self._organizations
        return wish._replace(resource=f"organization:o{whose}", permission="access")

    def _wish(self, template: str, user: int) -> Wish:
        random = self._random
        organization = f"o{random.randrange(self._organizations)}"
        product = f"p{random.randrange(PRODUCTS)}"
        capability = f"capability:{product}/{template}/{random.randrange(CAPABILITIES)}"
        return Wish(capability, "held", f"user:{organization}/u{user}", organization, product)


def _checks(relata: Relata, plan: Plan) -> Iterator[Measurement]:
    drawing = _Drawing(plan)

    def check(wish: Wish) -> bool:
        return relata.check(
            wish.resource, wish.permission, wish.user, contextual=wish.contextual
        ).allowed

    def plain(wish: Wish) -> bool:
        return relata.check(wish.resource, wish.permission, wish.user).allowed

    drawn = range(min(_DRAWN, plan.questions))
    lines = [
        (plain, "access, allowed", [drawing.access(own=True) for _ in drawn]),
        (plain, "access, denied", [drawing.access(own=False) for _ in drawn]),
        (check, "capability, allowed", [drawing.allowed() for _ in drawn]),
        (check, "capability, denied: not the role", [drawing.without_role() for _ in drawn]),
        (check, "capability, denied: not there", [drawing.elsewhere() for _ in drawn]),
        (check, "dataset, allowed", [drawing.dataset(own=True) for _ in drawn]),
        (check, "dataset, denied", [drawing.dataset(own=False) for _ in drawn]),
    ]
    notes = [first_pass(call, wishes) for call, _, wishes in lines]
    for call, name, wishes in lines:
        wrong = [wish for wish in wishes if call(wish) is not ("allowed" in name)]
        if wrong:
            raise WrongAnswerError(f"`{name}`: Relata answers {wrong[0]} wrongly")
    entrants = [Entrant(name, call, wishes) for call, name, wishes in lines]
    found = compete(entrants, plan.rounds, plan.shape_seconds)
    bases = {"allowed": found[0][0].median, "denied": found[1][0].median}
    for entrant, (rate, nanoseconds), note in zip(entrants, found, notes, strict=True):
        base = bases["allowed" if "allowed" in entrant.name else "denied"]
        yield measured(entrant.name, rate, nanoseconds, ratio=rate.median / base, note=note)


def _tokens(relata: Relata, plan: Plan) -> Iterator[Measurement]:
    drawing = _Drawing(plan)
    wishes = [drawing.allowed() for _ in range(plan.lookups)]
    key = ec.generate_private_key(ec.SECP256R1())

    def capabilities(wish: Wish) -> tuple[str, ...]:
        return relata.lookup_resources(
            "capability", "held", wish.user, contextual=wish.contextual
        ).resource_ids

    for wish in wishes[:100]:
        if capabilities(wish) != _held(wish):
            raise WrongAnswerError(f"`{wish.user}` holds {capabilities(wish)}")
    with closing(
        TokenService(relata, [token_issue.issuer(key)], issuer_url="https://t.example")
    ) as tokens:

        def issue(request: TokenRequest) -> object:
            return tokens.issue(request, token_issue.APP)

        requests = [
            token_issue.request(
                key, wish.user.removeprefix("user:"), wish.organization, wish.product
            )
            for wish in wishes
        ]
        for wish, request in list(zip(wishes, requests, strict=True))[:10]:
            granted = tokens.issue(request, token_issue.APP).permissions
            if tuple(granted) != _held(wish):
                raise WrongAnswerError(f"a token for `{wish.user}` says {granted}")
        looked_up = Entrant("capabilities held, looked up", capabilities, wishes)
        ((rate, nanoseconds),) = compete([looked_up], plan.rounds, plan.shape_seconds)
        yield measured(looked_up.name, rate, nanoseconds)
        issued = Entrant("token issued", issue, requests)
        ((rate, nanoseconds),) = compete([issued], plan.rounds, plan.shape_seconds)
        yield measured(issued.name, rate, nanoseconds)


def _held(wish: Wish) -> tuple[str, ...]:
    """The capabilities that a user holds in their own organization."""
    number = int(wish.user.partition("/u")[2])
    templates = TEMPLATES if number < USERS_IN_A_TEAM else TEMPLATES[:1]
    return tuple(
        sorted(
            f"{wish.product}/{template}/{capability}"
            for template in templates
            for capability in range(CAPABILITIES)
        )
    )
