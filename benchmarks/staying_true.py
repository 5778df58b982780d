"""How soon the tokens are marked that a write has made wrong, among ten thousand that are live.

    .venv/bin/python -m benchmarks.staying_true

On the model of `schema.zed`: fifty organizations subscribe to both products, and have for each a
role of a reader and one of an editor, which are instances of two templates of ten capabilities. A
thousand users are members of five organizations each, and readers there; twenty in each
organization are in a group, in a group, whose members are editors. Every user has a token for each
product in each of their organizations.

Five writes are made, each on the world as the last one left it. The time is from the write's
return to the last token's mark in the store, with the marking on its thread as in a server. Which
tokens have to be marked is found by asking for the holdings of all of them again.
"""

from __future__ import annotations

import tempfile
import time
import tracemalloc
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.measure import Group, Measurement
from relata.authorizer import Relata
from relata.consistency import decode_zed_token
from relata.errors import OAuthError
from relata.relationships import SubjectRef, delete, parse_subject
from relata.store import IssuedToken, TokenState
from relata.tokens.holdings import Choice, Questions
from relata.tokens.ledger import Ledger
from relata.tokens.marking import Marking, Passes
from relata.tokens.profile import TokenProfile

SCHEMA = Path(__file__).parent.parent / "schema.zed"
ORGANIZATIONS = 50
USERS = 1_000
MEMBERSHIPS = 5
CAPABILITIES = 10
PRODUCTS = ("api_1", "api_2")
TEMPLATES = ("reader", "editor")
LIFETIME = 3_600
WRITE = 1_000
PATIENCE = 30.0

REMOVED = (
    ("a direct assignment", "role:o0/api_1/reader#assignee@user:u0"),
    ("one of a nested group", "role:o1/api_1/editor#assignee@group:o1/engineers#member"),
    (
        "one organization's role of a shared template",
        "role_template:api_1/reader#instance@role:o2/api_1/reader",
    ),
    (
        "a capability of a shared template",
        "capability:api_1/reader/0#granted_to@role_template:api_1/reader",
    ),
    ("a subscription", "product:api_2#subscriber@organization:o4"),
)


class Marked(NamedTuple):
    """What became of the tokens after a write."""

    seconds: float
    slowest: float
    """Seconds that the longest of the checks took which were made meanwhile."""
    marked: int
    wrong: int
    """Marked without need, or not marked in spite of it."""
    checked: int
    recomputed: int


def memberships(user: int) -> Iterator[int]:
    """The organizations of a user."""
    return (((user + 10 * step) % ORGANIZATIONS) for step in range(MEMBERSHIPS))


def relationships(users: int) -> Iterator[str]:
    """The products, organizations, roles, groups and users."""
    for product in PRODUCTS:
        for template in TEMPLATES:
            for number in range(CAPABILITIES):
                capability = f"capability:{product}/{template}/{number}"
                yield f"{capability}#granted_to@role_template:{product}/{template}"
    for organization in range(ORGANIZATIONS):
        yield from _of_organization(f"o{organization}")
    for user in range(users):
        for organization in memberships(user):
            yield f"organization:o{organization}#member@user:u{user}"
            for product in PRODUCTS:
                yield f"role:o{organization}/{product}/reader#assignee@user:u{user}"
            if user // ORGANIZATIONS < 4:
                yield f"group:o{organization}/backend#member@user:u{user}"


def _of_organization(name: str) -> Iterator[str]:
    yield f"group:{name}/engineers#member@group:{name}/backend#member"
    for product in PRODUCTS:
        yield f"product:{product}#subscriber@organization:{name}"
        for template in TEMPLATES:
            role = f"role:{name}/{product}/{template}"
            yield f"{role}#organization@organization:{name}"
            yield f"{role}#product@product:{product}"
            yield f"role_template:{product}/{template}#instance@{role}"
        yield f"role:{name}/{product}/editor#assignee@group:{name}/engineers#member"


class Bench:
    """An authorizer with the world, and every user's tokens."""

    def __init__(self, authorizer: Relata) -> None:
        self.authorizer = authorizer
        self.profile = TokenProfile()
        self.questions = Questions(authorizer, self.profile)
        self.ledger = Ledger(authorizer.store.issued)
        self.tokens: list[IssuedToken] = []

    def issue(self, users: int) -> None:
        """Issue the tokens of so many users."""
        for user in range(users):
            for organization in memberships(user):
                for product in PRODUCTS:
                    choice = Choice(
                        SubjectRef("user", f"u{user}"), f"o{organization}", product, (product,)
                    )
                    self.tokens.append(self.ledger.add(self._token(choice)))

    def _token(self, choice: Choice) -> IssuedToken:
        held = self.questions.holdings(choice)
        now = int(time.time())
        datastore = self.authorizer.store.datastore_id
        return IssuedToken(
            jti=str(uuid.uuid4()),
            subject=str(choice.subject),
            client="app",
            organization=choice.organization,
            audience=choice.audience,
            products=choice.products,
            issued_at=now,
            expires_at=now + LIFETIME,
            revision=decode_zed_token(held.revision.zed_token, datastore),
            permissions=held.permissions,
            roles=held.roles,
        )

    def remove(self, relationship: str, passes: Passes) -> Marked:
        """Remove a relationship, wait for the marks, and see which there should be.

        Raises TimeoutError where the marking does not come so far.
        """
        before, asked = self._valid(), (passes.checked, passes.recomputed)
        self.authorizer.write([delete(relationship)])
        start, revision = time.perf_counter(), self.authorizer.revision
        slowest = self.check_until(lambda: passes.revision >= revision)
        seconds = time.perf_counter() - start
        marked = before - self._valid()
        due = {token.id for token in self.tokens if token.id in before and not self._holds(token)}
        return Marked(
            seconds,
            slowest,
            len(marked),
            len(due ^ marked),
            passes.checked - asked[0],
            passes.recomputed - asked[1],
        )

    def check_until(self, is_so: Callable[[], bool]) -> float:
        """Check, a thousand times a second at most, until something is so; return how many
        seconds the longest took. Raises TimeoutError where that does not come."""
        begin, slowest = time.perf_counter(), 0.0
        while not is_so():
            if time.perf_counter() - begin > PATIENCE:
                raise TimeoutError(f"not marked within {PATIENCE} s")
            start = time.perf_counter()
            self.authorizer.check("organization:o3", "access", "user:u3")
            slowest = max(slowest, time.perf_counter() - start)
            time.sleep(0.001)
        return slowest

    def _valid(self) -> set[int]:
        """The ids of the tokens that are not marked."""
        states = self.authorizer.store.issued.states(0, self.tokens[-1].id + 1)
        return {token.id for token in self.tokens if states[token.id] == TokenState.VALID}

    def _holds(self, token: IssuedToken) -> bool:
        """Whether a token says what holds."""
        subject = parse_subject(token.subject)
        choice = Choice(subject, token.organization, token.audience, token.products)
        try:
            held = self.questions.holdings(choice)
        except OAuthError:
            return False
        return (held.permissions, held.roles) == (token.permissions, token.roles)


class World(NamedTuple):
    """What the writes were made in, and what each cost."""

    relationships: int
    tokens: int
    token_bytes: float
    marked: dict[str, Marked]


def make_writes(directory: Path, users: int) -> World:
    """Make the world, with a database in a directory, and then the writes."""
    url = f"sqlite:///{directory / 'tokens.db'}"
    with Relata.open(url, schema=SCHEMA, answers_kept=0) as authorizer:
        world = list(relationships(users))
        for start in range(0, len(world), WRITE):
            authorizer.write(world[start : start + WRITE])
        bench = Bench(authorizer)
        bench.issue(users)
        size = _token_bytes(bench)
        marking = Marking(bench.authorizer, bench.ledger, bench.profile)
        marking.start()
        try:
            bench.check_until(lambda: len(marking.passes) == len(bench.tokens))
            marked = {name: bench.remove(text, marking.passes) for name, text in REMOVED}
        finally:
            marking.close()
        return World(len(world), len(bench.tokens), size, marked)


def _token_bytes(bench: Bench) -> float:
    """How much memory a live token takes."""
    passes = Passes(bench.authorizer, Ledger(bench.authorizer.store.issued), bench.profile)
    tracemalloc.start()
    passes.catch_up()
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return size / len(bench.tokens)


def measure_staying_true(directory: Path, users: int) -> Group:
    """The writes as lines of a table. Raises ValueError where one has marked wrongly."""
    world = make_writes(directory, users)
    for name, done in world.marked.items():
        if done.wrong:
            raise ValueError(f"removing {name} has marked {done.wrong} tokens wrongly, or not")
    lines = [
        Measurement(
            f"removed: {name}",
            value=f"{done.seconds * 1_000:,.0f} ms",
            amount=done.seconds,
            note=f"{done.marked:,} marked, {done.checked:,} asked about single answers, "
            f"{done.recomputed:,} recomputed; slowest check {done.slowest * 1_000:,.0f} ms",
        )
        for name, done in world.marked.items()
    ]
    size = world.token_bytes
    memory = Measurement("memory a live token", value=f"{size:,.0f} bytes", amount=size)
    return Group(
        f"Staying true: {world.tokens:,} live tokens, until the last mark", (*lines, memory)
    )


def main() -> None:
    """Make the world, and print what each write costs."""
    with tempfile.TemporaryDirectory(prefix="relata-benchmarks-") as directory:
        world = make_writes(Path(directory), USERS)
    print(f"{world.relationships:,} relationships, {world.tokens:,} live tokens")
    print(f"{world.token_bytes:,.0f} bytes a token in memory")
    for name, done in world.marked.items():
        print(
            f"{name}: {done.seconds * 1_000:,.0f} ms, {done.marked:,} marked, "
            f"{done.wrong} wrongly or not, {done.checked:,} asked about single answers, "
            f"{done.recomputed:,} recomputed; slowest check meanwhile "
            f"{done.slowest * 1_000:,.0f} ms"
        )


if __name__ == "__main__":
    main()
