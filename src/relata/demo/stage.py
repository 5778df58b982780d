"""Where the story is told: sends requests, shows each with its answer, and holds it to account.

A request is shown as the curl command that does the same. Tokens and keys are shown by the name of
a shell variable, in answers by their beginning and end, so the screen stays readable and holds no
secret.
"""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

import httpx
import msgspec
from rich.console import Console, RenderableType
from rich.highlighter import JSONHighlighter
from rich.text import Text

_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")
_KEY = re.compile(r"(relata_[A-Za-z0-9]+_)[\w-]+")
_SHOWN_OF_TOKEN = 10
_LIST_OF_TEXTS = re.compile(r"\[\n[^][{}]*\]")
_INDENT = re.compile(r"\n *")
_highlighted = JSONHighlighter()

JsonObject = dict[str, Any]


class UnexpectedAnswerError(Exception):
    """The demo has seen an answer that is not the one it expects."""


class Named(msgspec.Struct, frozen=True):
    """A token or key, and the shell variable that stands for it."""

    name: str
    value: str

    def __repr__(self) -> str:
        return f"Named({self.name!r})"


class Stage:
    """Sends, shows and compares. `places` are the servers' addresses by their variables."""

    def __init__(self, console: Console, client: httpx.Client, places: Mapping[str, str]) -> None:
        self.requests = 0
        self.steps = 0
        self._console = console
        self._client = client
        self._places = places

    def step(self, title: str, explanation: str) -> None:
        """Begin a step of the story."""
        self.steps += 1
        self._console.print()
        self._console.rule(Text(f"{self.steps}. {title}", style="bold"), align="left")
        self._console.print(Text(explanation, style="italic"))

    def ask(
        self,
        url: str,
        *,
        method: str | None = None,
        bearer: Named | None = None,
        basic: tuple[str, Named] | None = None,
        form: Mapping[str, str | Named] | None = None,
        body: Mapping[str, object] | None = None,
        status: int | None = 200,
        shown: bool = True,
    ) -> JsonObject:
        """Send a request to `$NAME/path`, show it with its answer, and return the answer.

        Raises UnexpectedAnswerError where the status is another; with None any is good.
        """
        self.requests += 1
        method = method or ("GET" if form is None and body is None else "POST")
        response = self._client.request(
            method,
            self._resolved(url),
            headers={"Authorization": f"Bearer {bearer.value}"} if bearer else {},
            auth=(basic[0], basic[1].value) if basic else httpx.USE_CLIENT_DEFAULT,
            data=None if form is None else {name: _value(text) for name, text in form.items()},
            json=body,
        )
        answer: JsonObject = response.json() if response.content else {}
        if shown:
            self._show_request(_curl(url, method, bearer, basic, form, body))
            self._show_status(response)
            self.show(answer)
        if status not in (None, response.status_code):
            raise self._unexpected(f"{method} {url}", response.status_code, status)
        return answer

    def show(self, value: object, title: str = "") -> None:
        """Show a value as JSON, with tokens shortened."""
        if title:
            self._console.print(Text(title, style="dim"))
        self._console.print(_highlighted(_pretty(_shortened(value))), soft_wrap=True)

    def draw(self, renderable: RenderableType) -> None:
        """Show something that Rich can draw."""
        self._console.print(renderable)

    def expect(self, what: str, found: object, expected: object) -> None:
        """Say that an answer is the expected one. Raises UnexpectedAnswerError if it is not."""
        if found != expected:
            raise self._unexpected(what, found, expected)
        self._console.print(Text.assemble(("ok ", "bold green"), what))

    def _unexpected(self, what: str, found: object, expected: object) -> UnexpectedAnswerError:
        return UnexpectedAnswerError(
            f"step {self.steps}: {what}: expected {expected!r}, found {found!r}"
        )

    def _show_request(self, lines: list[str]) -> None:
        self._console.print()
        for line in lines:
            self._console.print(Text(line, style="cyan"), soft_wrap=True)

    def _show_status(self, response: httpx.Response) -> None:
        style = "green" if response.is_success else "yellow"
        self._console.print(Text(f"{response.status_code} {response.reason_phrase}", style=style))

    def _resolved(self, url: str) -> str:
        name, slash, path = url.removeprefix("$").partition("/")
        return f"{self._places[name]}{slash}{path}"


def claims_of(token: str) -> JsonObject:
    """Read what a token says, without verifying it: for showing, not for deciding."""
    payload = token.split(".")[1]
    decoded: JsonObject = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return decoded


def _value(text: str | Named) -> str:
    return text.value if isinstance(text, Named) else text


def _curl(
    url: str,
    method: str,
    bearer: Named | None,
    basic: tuple[str, Named] | None,
    form: Mapping[str, str | Named] | None,
    body: Mapping[str, object] | None,
) -> list[str]:
    """The command, one part a line."""
    usual = "GET" if form is None and body is None else "POST"
    parts = [f"curl {url}" if method == usual else f"curl -X {method} {url}"]
    if bearer is not None:
        parts.append(f'-H "Authorization: Bearer ${bearer.name}"')
    if basic is not None:
        parts.append(f'-u "{basic[0]}:${basic[1].name}"')
    parts += [f"-d {_field(name, text)}" for name, text in (form or {}).items()]
    if body is not None:
        parts.append("-H 'Content-Type: application/json'")
        parts.append(f"-d {shlex.quote(json.dumps(body))}")
    return [
        ("  " if index else "") + part + (" \\" if index < len(parts) - 1 else "")
        for index, part in enumerate(parts)
    ]


def _field(name: str, text: str | Named) -> str:
    return f'{name}="${text.name}"' if isinstance(text, Named) else shlex.quote(f"{name}={text}")


def _pretty(value: object) -> str:
    """JSON over several lines, with each list of texts on one."""
    text = json.dumps(value, indent=2, ensure_ascii=False).replace(",\n", ", \n")
    flat = _LIST_OF_TEXTS.sub(lambda found: _INDENT.sub("", found[0]), text)
    return flat.replace(", \n", ",\n")


def _shortened(value: object) -> object:
    match value:
        case dict():
            return {name: _shortened(item) for name, item in value.items()}
        case list():
            return [_shortened(item) for item in value]
        case str() if _TOKEN.fullmatch(value):
            return f"{value[:_SHOWN_OF_TOKEN]}…{value[-_SHOWN_OF_TOKEN:]}"
        case str() if _KEY.fullmatch(value):
            return _KEY.sub(r"\1…", value)
    return value
