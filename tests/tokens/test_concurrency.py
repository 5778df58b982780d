"""Many at once: nobody's choice reaches another's token, and each token is of one moment."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from relata.authorizer import Relata
from relata.errors import OAuthError
from relata.relationships import Update, delete, touch
from relata.tokens import TokenService
from tests.tokens.identity import LocalIssuer
from tests.tokens.world import EDITOR, asking, issue

Answer = tuple[str, ...] | str


def test_choices_do_not_reach_other_questions(service: TokenService, issuer: LocalIssuer) -> None:
    """Users, organizations and products mixed over threads answer as they do alone."""
    tokens = {user: issuer.token(user) for user in ("anne", "bob", "dora")}

    def ask(user: str, organization: str) -> Answer:
        try:
            request = asking(tokens[user], organization=organization)
            return issue(service, request).permissions
        except OAuthError as error:
            return error.error

    expected: dict[tuple[str, str], Answer] = {
        ("anne", "acme"): EDITOR,
        ("anne", "globex"): ("read:pages",),
        ("bob", "acme"): (),
        ("bob", "globex"): "invalid_request",
        ("dora", "acme"): "invalid_request",
        ("dora", "globex"): "invalid_request",
    }
    questions = list(expected) * 20
    with ThreadPoolExecutor(max_workers=6) as pool:
        answers = list(pool.map(lambda question: ask(*question), questions))
    assert answers == [expected[question] for question in questions]


def test_a_token_is_of_one_revision(
    service: TokenService, issuer: LocalIssuer, authorizer: Relata
) -> None:
    """While a writer turns roles on and off together with their grants, no token mixes the two.

    Every write swaps one role for the other, so a token with both or with neither, or with a
    role and the other's permission, would be of no moment at all.
    """
    authorizer.write(["capability:sell:pages#granted_to@role:acme/seller", *_role("seller")])
    swaps = [_swap("editor", "seller"), _swap("seller", "editor")]
    authorizer.write(swaps[1])
    done = threading.Event()

    def write() -> None:
        turn = 0
        while not done.is_set():
            authorizer.write(swaps[turn % 2])
            turn += 1

    writer = threading.Thread(target=write)
    writer.start()
    request = asking(issuer.token("anne"))
    seen: Counter[tuple[tuple[str, ...], tuple[str, ...]]] = Counter()
    try:
        while len(seen) < 2 or seen.total() < 200:
            response = issue(service, request)
            seen[response.roles, response.permissions] += 1
    finally:
        done.set()
        writer.join()
    assert set(seen) == {
        (("acme/editor",), EDITOR),
        (("acme/seller",), ("sell:pages",)),
    }


def _role(name: str) -> list[str]:
    return [
        f"role:acme/{name}#organization@organization:acme",
        f"role:acme/{name}#product@product:wiki",
    ]


def _swap(old: str, new: str) -> list[Update]:
    return [
        delete(f"role:acme/{old}#assignee@user:anne"),
        touch(f"role:acme/{new}#assignee@user:anne"),
    ]
