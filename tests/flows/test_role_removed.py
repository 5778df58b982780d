"""A role is removed while tokens live: whoever looks at the user's token learns it within seconds.

The four ways in which it is learned, timed from the answer to the write; and nobody learns
anything of the tokens that still say what is so.
"""

from __future__ import annotations

import json
import time
import zlib
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.flows.recipes import read_recipes
from tests.flows.world import World, begin, serving_programs
from tests.oidc.provider import Provider
from tests.oidc.server import claims_of, exchange, with_key

MARKED_SECONDS = 3.0
"""A mark takes less than one; the rest is for a machine that is busy with other tests."""
CACHED_SECONDS = 2.0
"""For how long an API may go by a status list that it has (its `ttl`)."""
STANDS, CHANGED = 0, 3
EVENT = "https://schemas.openid.net/secevent/caep/event-type/token-claims-change"


@pytest.fixture
def admin(world: World) -> Iterator[httpx.Client]:
    with world.admin() as admin:
        begin(admin)
        yield admin


@pytest.fixture
def api(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The page's own API of the reports."""
    programs = {name: text for recipe in read_recipes() for name, text in recipe.programs.items()}
    reports = {"reports.py": programs["reports.py"]}
    with serving_programs(reports, world, monkeypatch) as addresses:
        yield addresses["REPORTS"]


def test_all_say_so_and_of_no_other_token(
    world: World, admin: httpx.Client, api: str, provider: Provider
) -> None:
    """Introspection, the status list, the events, and an API that verifies by itself."""
    anne, bob = (provider.log_in(name)["id_token"] for name in ("anne", "bob"))
    with httpx.Client(base_url=world.address, timeout=30) as app:
        analyst = exchange(app, anne, audience="reports")
        others = [
            exchange(app, anne, audience="billing"),
            exchange(app, anne, audience="reports", organization="globex"),
            exchange(app, bob, audience="reports"),
        ]
    tokens = [str(answer.json()["access_token"]) for answer in (analyst, *others)]
    gone, *kept = tokens
    assert [is_active(admin, token) for token in tokens] == [True] * 4
    assert [status_of(world, answer) for answer in (analyst, *others)] == [STANDS] * 4
    assert [get(api, token).status_code for token in (gone, kept[2])] == [200, 200]

    with events(world, world.admin_key) as seen, events(world, kept[2]) as seen_by_bob:
        removed = admin.delete(
            "/relationships",
            params={
                "resource_type": "role",
                "resource_id": "acme/analyst",
                "relation": "assignee",
                "subject_type": "user",
                "subject_id": "anne",
            },
        )
        assert removed.json()["deleted"] == 1
        since = time.monotonic()

        event = next(seen)
        assert time.monotonic() - since < MARKED_SECONDS
        within(MARKED_SECONDS, since, lambda: not is_active(admin, gone))
        within(MARKED_SECONDS, since, lambda: status_of(world, analyst) == CHANGED)
        refused = MARKED_SECONDS + CACHED_SECONDS
        within(refused, since, lambda: get(api, gone).status_code == 401)

        assert event["events"][EVENT]["audience"] == "reports"
        assert event["sub_id"]["session"]["jti"] == claims_of(analyst)["jti"]
        assert 'error="invalid_token"' in get(api, gone).headers["WWW-Authenticate"]
        assert [is_active(admin, token) for token in kept] == [True] * 3
        assert [status_of(world, answer) for answer in others] == [STANDS] * 3
        assert get(api, kept[2]).status_code == 200

        assert admin.post("/tokens/revoke", json={"subject": "user:bob"}).json()["revoked"] == 1
        after = next(seen)
        assert after["sub_id"]["user"]["id"] == "user:bob", "one event came for the removed role"
        assert next(seen_by_bob)["sub_id"]["session"] == after["sub_id"]["session"]


def test_who_exchanges_again_holds_what_is_so(
    world: World, admin: httpx.Client, provider: Provider
) -> None:
    """The app's next token is true; given back, the role is in the one after that."""
    anne = provider.log_in("anne")["id_token"]
    role = "role:acme/analyst#assignee@user:anne"
    with httpx.Client(base_url=world.address, timeout=30) as app:
        for operation, held in (("delete", []), ("touch", ["read:reports", "write:reports"])):
            update = {"operation": operation, "relationship": role}
            admin.post("/relationships", json={"updates": [update]}).raise_for_status()
            assert claims_of(exchange(app, anne, audience="reports"))["permissions"] == held


def get(api: str, token: str) -> httpx.Response:
    """What an app gets of the API with a token."""
    return httpx.get(f"{api}/reports", headers={"Authorization": f"Bearer {token}"}, timeout=30)


def is_active(admin: httpx.Client, token: str) -> bool:
    """Whether a token is good, by introspection (RFC 7662)."""
    active: bool = admin.post("/oauth/introspect", data={"token": token}).json()["active"]
    return active


def status_of(world: World, answer: httpx.Response) -> int:
    """What the status list says of a token, read by another library than Relata's."""
    place = claims_of(answer)["status"]["status_list"]
    keys = KeySet.import_key_set(httpx.get(f"{world.address}/.well-known/jwks.json").json())
    signed = jwt.decode(httpx.get(place["uri"]).text, keys, algorithms=["ES256"])
    assert signed.header["typ"] == "statuslist+jwt"
    assert signed.claims["sub"] == place["uri"]
    said = signed.claims["status_list"]
    octets = zlib.decompress(urlsafe_b64decode(said["lst"] + "=="))
    octet, within_octet = divmod(place["idx"] * said["bits"], 8)
    state: int = octets[octet] >> within_octet & ((1 << said["bits"]) - 1)
    return state


@contextmanager
def events(world: World, credential: str) -> Iterator[Iterator[dict[str, Any]]]:
    """Follow what happens to tokens from now on, as somebody may see it."""
    with (
        with_key(world.address, credential) as client,
        client.stream("GET", "/oauth/events") as stream,
    ):
        assert stream.status_code == 200
        lines = stream.iter_lines()
        assert next(lines).startswith("id: ")
        yield (json.loads(line[6:]) for line in lines if line.startswith("data: "))


def within(seconds: float, since: float, condition: Callable[[], bool]) -> None:
    """Assert that a condition comes to hold in so many seconds since a moment."""
    while not condition():
        assert time.monotonic() - since < seconds
