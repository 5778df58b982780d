"""A real OpenID provider, run by Node, and a person's way through its login, as a browser goes it.

The provider is the npm package `oidc-provider`; `provider.mjs` says who is known to it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.node.packages import FOLDER, node
from tests.tokens.identity import APP, AUDIENCE
from tests.tokens.world import ROBOT

OTHER_APP = "app-2"
REDIRECT_URI = "https://app.example/callback"
MACHINE_SECRET = "a secret that only the machine has"
WEAK, STRONG = "urn:example:password", "urn:example:mfa"

_PROGRAM = Path(__file__).with_name("provider.mjs")
_PEOPLE = {
    name: {
        "email": f"{name}@people.example",
        "password": f"{name}'s password",
        "otp": f"{name}-otp",
    }
    for name in ("anne", "bob", "carol", "dora")
}


class Provider:
    """A running provider."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer

    def log_in(
        self, name: str, *, app: str = APP, otp: bool = False, resource: str = ""
    ) -> dict[str, Any]:
        """Log a person in to an app by the authorization code flow with PKCE.

        Gives what the provider's token endpoint answers.

        With `otp` they show a second factor; with `resource` the access token is for that API.
        """
        verifier, state, nonce = (secrets.token_urlsafe(32) for _ in range(3))
        digest = hashlib.sha256(verifier.encode()).digest()
        asked = {
            "client_id": app,
            "response_type": "code",
            "redirect_uri": REDIRECT_URI,
            "scope": "openid email",
            "state": state,
            "nonce": nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            **({"resource": resource} if resource else {}),
        }
        form = {"name": name, "password": _PEOPLE[name]["password"]}
        if otp:
            form["otp"] = _PEOPLE[name]["otp"]
        with httpx.Client(timeout=30) as browser:
            answer = _authorize(browser, self._endpoint("authorization"), asked, form)
            assert (answer["state"], answer["iss"]) == (state, self.issuer)
            response = browser.post(
                self._endpoint("token"),
                data={
                    "grant_type": "authorization_code",
                    "code": answer["code"],
                    "redirect_uri": REDIRECT_URI,
                    "client_id": app,
                    "code_verifier": verifier,
                },
            )
        return _tokens(response)

    def machine_token(self) -> str:
        """An access token for the machine, by its own credentials."""
        response = httpx.post(
            self._endpoint("token"),
            data={"grant_type": "client_credentials", "resource": AUDIENCE},
            auth=(ROBOT.id, MACHINE_SECRET),
        )
        return str(_tokens(response)["access_token"])

    def rotate(self, *, keep_old: bool) -> None:
        """Sign with a new key; the old ones stay published, or not."""
        answer = httpx.post(f"{self.issuer}/rotate", content="keep" if keep_old else "")
        assert answer.status_code == 204

    def _endpoint(self, name: str) -> str:
        metadata = httpx.get(f"{self.issuer}/.well-known/openid-configuration").json()
        assert metadata["issuer"] == self.issuer
        return str(metadata[f"{name}_endpoint"])


def _authorize(
    browser: httpx.Client, endpoint: str, asked: dict[str, str], form: dict[str, str]
) -> httpx.QueryParams:
    """Go where the provider sends a browser, log in on its page, and come back to the app."""
    response = browser.get(endpoint, params=asked)
    for _ in range(10):
        if response.status_code == 200:
            response = browser.post(response.url, data=form)
        assert response.status_code in (302, 303), response.text
        location = response.headers["location"]
        if location.startswith(REDIRECT_URI):
            return httpx.URL(location).params
        response = browser.get(response.url.join(location))
    raise AssertionError("the provider never came back to the app")


def _tokens(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    tokens: dict[str, Any] = response.json()
    return tokens


@contextmanager
def running_provider() -> Iterator[Provider]:
    """Run a provider until the block ends; skips the test where Node or a package is missing."""
    settings = {
        "apps": [APP, OTHER_APP],
        "redirectUri": REDIRECT_URI,
        "audience": AUDIENCE,
        "machine": ROBOT.id,
        "machineSecret": MACHINE_SECRET,
        "people": _PEOPLE,
        "weak": WEAK,
        "strong": STRONG,
    }
    command = [node(), str(_PROGRAM), str(FOLDER), json.dumps(settings)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Provider(_issuer_of(process))
        finally:
            process.communicate(timeout=30)


def _issuer_of(process: subprocess.Popen[str]) -> str:
    """Wait until the provider says where it listens."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("listening "):
            return line.split()[1]
    raise AssertionError("the provider ended before it listened")
