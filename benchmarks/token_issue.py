"""What a token costs a user of 500 organizations, beside what it costs a user of one.

    .venv/bin/python -m benchmarks.token_issue

On the model of `schema.zed`: one user belongs to one organization and has twenty roles there, the
other to five hundred and has twenty roles in each. Both ask for a token for one organization and
one product, in turns, so that both meet the same machine. A token is issued whole: the client and
its audience are looked up, the graph is asked, the token is recorded and signed.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from relata.authorizer import Relata
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
ROUNDS = 5
TOKENS = 100
WRITE = 1_000
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


def world() -> list[str]:
    """Everything that is stored."""
    many = (fact for number in range(ORGANIZATIONS) for fact in facts(f"org{number}", "many"))
    return [*many, *facts("alone", "one")]


def issuer(key: ec.EllipticCurvePrivateKey) -> TrustedIssuer:
    """An issuer whose key is pinned, so that nothing is fetched."""
    jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return TrustedIssuer(
        issuer=ISSUER,
        keys={"keys": [{**jwk, "kid": _KID, "alg": "ES256", "use": "sig"}]},
        audiences=("relata",),
        algorithms=("ES256",),
    )


def request(key: ec.EllipticCurvePrivateKey, user: str, organization: str) -> TokenRequest:
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
        audience=("api",),
    )


def milliseconds(service: TokenService, asked: TokenRequest) -> float:
    """The median time of a token, in milliseconds."""
    times = []
    for _ in range(TOKENS):
        started = time.perf_counter()
        response = service.issue(asked, APP)
        times.append(time.perf_counter() - started)
        assert len(response.permissions) == ROLES
    return statistics.median(times) * 1_000


def main() -> None:
    """Measure, in turns, and print both medians and their ratio."""
    key = ec.generate_private_key(ec.SECP256R1())
    only = TokenProfile().question_only
    with (
        tempfile.TemporaryDirectory() as folder,
        Relata.open(f"sqlite:///{folder}/relata.db", schema=SCHEMA, question_only=only) as relata,
    ):
        everything = world()
        for start in range(0, len(everything), WRITE):
            relata.write(everything[start : start + WRITE])
        with closing(TokenService(relata, [issuer(key)], issuer_url="https://t.example")) as tokens:
            asked = {
                "one organization": request(key, "one", "alone"),
                f"{ORGANIZATIONS} organizations": request(key, "many", "org250"),
            }
            taken: dict[str, list[float]] = {name: [] for name in asked}
            for _ in range(ROUNDS):
                for name, wish in asked.items():
                    taken[name].append(milliseconds(tokens, wish))
    medians = {name: statistics.median(times) for name, times in taken.items()}
    for name, median in medians.items():
        print(f"a user of {name}: {median:.2f} ms a token")
    one, many = medians.values()
    print(f"ratio: {many / one:.2f}")


if __name__ == "__main__":
    main()
