"""An issuer as Relata is one, without Relata: keys, tokens and status lists made by joserfc.

It serves documents from a real HTTP server and counts who fetches them.
"""

from __future__ import annotations

import base64
import json
import threading
import time
import uuid
import zlib
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jws, jwt
from joserfc.jwk import ECKey, Key

AUDIENCE = "reports"
JWKS_PATH = "/.well-known/jwks.json"
LIST_PATH = "/oauth/status/list-1"


class Issuer:
    """An issuer at `url`. `documents` are what it serves: a status and a body by path."""

    def __init__(self) -> None:
        self.documents: dict[str, tuple[int, bytes]] = {}
        self.fetches: Counter[str] = Counter()
        self.authorizations: list[str | None] = []
        self.bodies: list[bytes] = []
        self.key = ECKey.generate_key("P-256", {"kid": "key-1", "use": "sig", "alg": "ES256"})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.publish(self.key)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def publish(self, *keys: Key) -> None:
        self.serve(JWKS_PATH, {"keys": [key.as_dict(private=False) for key in keys]})

    def serve(self, path: str, document: object) -> None:
        self.documents[path] = (200, json.dumps(document).encode())

    def claims(self, **changes: Any) -> dict[str, Any]:
        """What an ordinary token says; a change to None takes the claim away."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "sub": "anne",
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + 300,
            "jti": str(uuid.uuid4()),
            "client_id": "app-1",
            "org_id": "acme",
            "permissions": ["read:reports", "write:reports"],
            "roles": ["acme/analyst"],
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def sign(
        self,
        claims: dict[str, Any],
        *,
        key: Key | None = None,
        header: dict[str, Any] | None = None,
    ) -> str:
        fields = {"typ": "at+jwt", "alg": "ES256", "kid": "key-1", **(header or {})}
        fields = {name: value for name, value in fields.items() if value is not None}
        registry = jws.JWSRegistry(algorithms=[fields["alg"]], strict_check_header=False)
        return jwt.encode(fields, claims, key or self.key, registry=registry)

    def token(self, **changes: Any) -> str:
        """An ordinary token, with changes."""
        return self.sign(self.claims(**changes))

    def listed_token(self, index: int = 0, **changes: Any) -> str:
        """A token whose status is in the list."""
        reference = {"idx": index, "uri": f"{self.url}{LIST_PATH}"}
        return self.token(**{"status": {"status_list": reference}, **changes})

    def publish_list(
        self,
        states: list[int],
        *,
        key: Key | None = None,
        header: dict[str, Any] | None = None,
        **changes: Any,
    ) -> None:
        """Serve a status list of two bits a token (draft 21, sections 4.1 and 5.1)."""
        octets = bytearray((len(states) + 3) // 4)
        for index, state in enumerate(states):
            octets[index // 4] |= state << 2 * (index % 4)
        lst = base64.urlsafe_b64encode(zlib.compress(octets)).rstrip(b"=").decode()
        now = int(time.time())
        claims = {
            "iss": self.url,
            "sub": f"{self.url}{LIST_PATH}",
            "iat": now,
            "exp": now + 60,
            "ttl": 60,
            "status_list": {"bits": 2, "lst": lst},
            **changes,
        }
        token = self.sign(claims, key=key, header={"typ": "statuslist+jwt", **(header or {})})
        self.documents[LIST_PATH] = (200, token.encode())


def _handler(issuer: Issuer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            issuer.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.do_GET()

        def do_GET(self) -> None:
            issuer.fetches[self.path] += 1
            issuer.authorizations.append(self.headers["Authorization"])
            status, body = issuer.documents.get(self.path, (404, b""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Say nothing on the test's terminal."""

    return Handler
