"""A real issuer on this machine: keys and metadata served over HTTP, tokens, and forgeries."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from relata.tokens import TrustedIssuer
from relata.tokens.discovery import DISCOVERY_PATH

AUDIENCE = "https://relata.example"
APP = "app-1"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
Jwk = dict[str, Any]


class Answer(NamedTuple):
    """What the issuer's web server answers."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}


def public_jwk(key: PrivateKey, **members: object) -> Jwk:
    """The public half of a key as a JWK."""
    if isinstance(key, rsa.RSAPrivateKey):
        jwk = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        jwk = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**jwk, "use": "sig", **members}


def encoded(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def compact(
    header: Mapping[str, object],
    claims: Mapping[str, object],
    sign: Callable[[bytes], bytes] = lambda _: b"",
) -> str:
    """A JWS put together by hand, for what no honest library would make."""
    signed = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
    return f"{signed}.{encoded(sign(signed.encode()))}"


class LocalIssuer:
    """An identity provider at `http://127.0.0.1:<port>`.

    `fetches` are the paths asked for; `answer` is given in place of every document, `answers` in
    place of the document at a path.
    """

    def __init__(self, key: PrivateKey, *, algorithm: str = "RS256", kid: str = "key-1") -> None:
        self.key = key
        self.algorithm = algorithm
        self.kid = kid
        self.published: list[Jwk] = [public_jwk(key, kid=kid)]
        self.answer: Answer | None = None
        self.answers: dict[str, Answer] = {}
        self.fetches: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.metadata: dict[str, Any] = {"issuer": self.url, "jwks_uri": self.jwks_uri}

    @property
    def jwks_uri(self) -> str:
        return f"{self.url}/keys"

    def answer_to(self, path: str) -> Answer:
        """What is answered at a path: the metadata, or the keys at any other."""
        document = self.metadata if path == DISCOVERY_PATH else {"keys": self.published}
        ordinary = Answer(200, json.dumps(document).encode())
        return self.answer or self.answers.get(path, ordinary)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def trusted(self, **settings: Any) -> TrustedIssuer:
        """The settings under which Relata believes this issuer, by the address of its keys."""
        found = {} if {"discovery", "keys"} & settings.keys() else {"jwks_uri": self.jwks_uri}
        return TrustedIssuer(
            **{
                "issuer": self.url,
                **found,
                "audiences": (AUDIENCE, APP),
                "algorithms": (self.algorithm,),
                **settings,
            }
        )

    def claims(self, sub: str = "anne", **changes: Any) -> dict[str, Any]:
        """The claims of an ordinary access token; a change to None takes the claim away."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "sub": sub,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + 3600,
            "client_id": APP,
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def sign(
        self,
        claims: dict[str, Any],
        *,
        key: PrivateKey | None = None,
        header: Mapping[str, object] | None = None,
    ) -> str:
        """Sign claims; entries of `header` replace the ordinary ones."""
        fields = {"typ": "at+jwt", "kid": self.kid, **(header or {})}
        return jwt.encode(claims, key or self.key, algorithm=self.algorithm, headers=fields)

    def token(self, sub: str = "anne", **changes: Any) -> str:
        """An ordinary access token."""
        return self.sign(self.claims(sub, **changes))

    def id_token(self, sub: str = "anne", **changes: Any) -> str:
        """An ordinary id token for the app."""
        claims = self.claims(sub, **{"aud": APP, "client_id": None, **changes})
        return self.sign(claims, header={"typ": "JWT"})


def _handler(issuer: LocalIssuer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.fetches.append(self.path)
            status, body, headers = issuer.answer_to(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Say nothing on the test's terminal."""

    return Handler
