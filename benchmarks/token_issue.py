"""What a token costs a user of 500 organizations, beside what it costs a user of one.

    .venv/bin/python -m benchmarks.token_issue

On the model of `schema.zed`: one user belongs to one organization and has twenty roles there, the
other to five hundred and has twenty roles in each. Both ask for a token for one organization and
one product, in turns, so that both meet the same machine. A token is issued whole: the client and
its audience are looked up, the graph is asked, the token is recorded and signed.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from benchmarks import report
from benchmarks.contest import Entrant, compete
from benchmarks.loaded import open_loaded
from benchmarks.measure import Group, Measurement, measured
from benchmarks.plan import Plan, full
from relata.tokens import (
    ACCESS_TOKEN,
    TOKEN_EXCHANGE,
    Client,
    TokenProfile,
    TokenRequest,
    TokenService,
    TrustedIssuer,
)

SCHEMA = Path(__file__).parent.parent / "schema.zed"
ORGANIZATIONS = 500
ROLES = 20
ISSUER = "https://id.example"
_KID = "key-1"
APP = Client(id="app", authentication="none", grants=(TOKEN_EXCHANGE,))


def facts(organization: str, user: str) -> Iterator[str]:
    """A user's membership of an organization, and their roles there."""
    yield f"organization:{organization}#member@user:{user}"
    yield f"product:api#subscriber@organization:{organization}"
    for number in range(ROLES):
        role = f"role:{organization}/role{number}"
        yield f"{role}#organization@organization:{organization}"
        yield f"{role}#product@product:api"
        yield f"{role}#assignee@user:{user}"
        yield f"capability:do:{number}#granted_to@{role}"


def world() -> Iterator[str]:
    """Everything that is stored."""
    for number in range(ORGANIZATIONS):
        yield from facts(f"org{number}", "many")
    yield from facts("alone", "one")


def issuer(key: ec.EllipticCurvePrivateKey) -> TrustedIssuer:
    """An issuer whose key is pinned, so that nothing is fetched."""
    jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return TrustedIssuer(
        issuer=ISSUER,
        keys={"keys": [{**jwk, "kid": _KID, "alg": "ES256", "use": "sig"}]},
        audiences=("relata",),
        algorithms=("ES256",),
    )


def request(
    key: ec.EllipticCurvePrivateKey, user: str, organization: str, audience: str = "api"
) -> TokenRequest:
    """A user's request for a token."""
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "sub": user,
        "aud": "relata",
        "client_id": APP.id,
        "iat": now,
        "exp": now + 3_600,
    }
    return TokenRequest(
        grant_type=TOKEN_EXCHANGE,
        subject_token=jwt.encode(claims, key, algorithm="ES256", headers={"kid": _KID}),
        subject_token_type=ACCESS_TOKEN,
        organization=organization,
        audience=(audience,),
    )


def measure_issue(plan: Plan, directory: Path) -> Group:
    """Measure both users' tokens in turns, with a database in a directory."""
    key = ec.generate_private_key(ec.SECP256R1())
    only = TokenProfile().question_only
    path = directory / "token_issue.db"
    with (
        open_loaded(path, SCHEMA.read_text(), world(), question_only=only) as relata,
        closing(TokenService(relata, [issuer(key)], issuer_url="https://t.example")) as tokens,
    ):
        return Group(
            "Tokens (ratio: to those of the user of one organization)",
            tuple(_measure(tokens, key, plan)),
        )


def _measure(
    tokens: TokenService, key: ec.EllipticCurvePrivateKey, plan: Plan
) -> Iterator[Measurement]:
    def issue(asked: TokenRequest) -> None:
        response = tokens.issue(asked, APP)
        assert len(response.permissions) == ROLES

    asked = {
        "1 organization": request(key, "one", "alone"),
        f"{ORGANIZATIONS} organizations": request(key, "many", "org250"),
    }
    entrants = [
        Entrant(f"token of a user of {name}", issue, [wish]) for name, wish in asked.items()
    ]
    found = compete(entrants, plan.rounds, plan.seconds / 4)
    one = found[0][0].median
    for entrant, (rate, nanoseconds) in zip(entrants, found, strict=True):
        yield measured(entrant.name, rate, nanoseconds, ratio=rate.median / one)


def main() -> None:
    """Measure, in turns, and print."""
    with tempfile.TemporaryDirectory(prefix="relata-benchmarks-") as directory:
        report.show_groups([measure_issue(full(), Path(directory))])


if __name__ == "__main__":
    main()
