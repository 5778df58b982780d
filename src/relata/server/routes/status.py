"""Status lists for who verifies tokens, and the signing keys for who administers them.

A status list is open to everybody, as the draft has it: what it says of a token is of use only to
who has that token. It is made for caches, with a `max-age` of its `ttl`.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import ConfigDict, Field

from relata.server.auth import needs
from relata.server.fields import Body
from relata.server.problems import BODY, KEY, Refusal, make_problem, respond, responses
from relata.server.routing import Guarded, Open
from relata.tokens.signing import SigningKey, SigningKeys
from relata.tokens.status_list import MEDIA_TYPE, STATUS_PATH, StatusLists

router = APIRouter(route_class=Open, tags=["tokens"])
keys_router = APIRouter(
    route_class=Guarded,
    tags=["keys"],
    dependencies=[needs("admin")],
    responses=responses(*KEY, 404, 503),
)

T = TypeVar("T")

_EXAMPLE: dict[str, Any] = {
    "kid": "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
    "algorithm": "ES256",
    "state": "signing",
    "encrypted": True,
    "created_at": "2026-11-22T08:00:00Z",
    "retired_at": None,
    "removed_at": None,
}


class SigningKeyBody(Body):
    """A key that signs tokens; its private half is shown to nobody."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    kid: Annotated[str, Field(description="Its thumbprint (RFC 7638).")]
    algorithm: Literal["ES256", "RS256", "EdDSA"]
    state: Annotated[
        Literal["waiting", "signing", "retired"],
        Field(description="`waiting`: published, and signs when the older ones are retired."),
    ]
    encrypted: Annotated[bool, Field(description="Whether its private half is, at rest.")]
    created_at: datetime.datetime
    retired_at: Annotated[
        datetime.datetime | None, Field(description="When it signs, or signed, for the last time.")
    ]
    removed_at: Annotated[
        datetime.datetime | None, Field(description="When it stops being published.")
    ]


class SigningKeyList(Body):
    """The keys that are published, oldest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"keys": [_EXAMPLE]}]})

    keys: list[SigningKeyBody]


class Rotation(Body):
    """Which kind of key is to be replaced, and how soon."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"algorithm": "ES256"}]})

    algorithm: Literal["ES256", "RS256", "EdDSA"] = "ES256"
    now: Annotated[
        bool, Field(description="Sign with it at once, not when all have seen it published.")
    ] = False
    forget: Annotated[
        bool, Field(description="At once, and publish the older ones no longer; their tokens end.")
    ] = False


async def signing_keys_of(request: Request) -> SigningKeys:
    """The signing keys. Raises Refusal where the application issues no tokens."""
    keys: SigningKeys | None = getattr(request.app.state, "signing_keys", None)
    return _configured(keys)


async def status_lists_of(request: Request) -> StatusLists:
    """The status lists. Raises Refusal where the application issues no tokens."""
    lists: StatusLists | None = getattr(request.app.state, "status_lists", None)
    return _configured(lists)


def _configured(part: T | None) -> T:
    if part is None:
        detail = "this server issues no tokens; name trusted issuers in its settings"
        raise Refusal("tokens_not_configured", detail)
    return part


_NOT_ACCEPTABLE = make_problem(
    406, "not_acceptable", f"a status list comes as `{MEDIA_TYPE}`; accept that", "Accept"
)


@router.get(
    f"{STATUS_PATH}/{{list}}",
    operation_id="status_list",
    response_class=Response,
    responses={
        200: {
            "description": "The list, as a signed JWT.",
            "content": {MEDIA_TYPE: {"schema": {"type": "string"}, "example": "eyJ.e30.c2ln"}},
        },
        **responses(404, 406, 503),
    },
)
def status_list(
    name: Annotated[
        str,
        Path(
            alias="list",
            description="From the `uri` of a token's `status`.",
            json_schema_extra={"pattern": "^[A-Za-z0-9_-]{22}$"},
        ),
    ],
    request: Request,
    lists: Annotated[StatusLists, Depends(status_lists_of)],
) -> Response:
    """Say what has become of the tokens of one list (Token Status List)."""
    if not accepts(request.headers.getlist("accept"), MEDIA_TYPE):
        return respond(_NOT_ACCEPTABLE)
    token = lists.token(name)
    if token is None:
        raise Refusal("not_found", "there is no such status list")
    headers = {"Cache-Control": f"public, max-age={lists.ttl}", "Vary": "Accept"}
    return Response(token, headers=headers, media_type=MEDIA_TYPE)


@keys_router.get("/signing-keys", operation_id="list_signing_keys")
def list_signing_keys(keys: Annotated[SigningKeys, Depends(signing_keys_of)]) -> SigningKeyList:
    """List the keys that verify tokens, retired ones too while their tokens live."""
    return SigningKeyList(keys=[_body(key) for key in keys.listing()])


@keys_router.post(
    "/signing-keys/rotate",
    operation_id="rotate_signing_key",
    status_code=201,
    responses=responses(*BODY),
)
def rotate_signing_key(
    body: Rotation, keys: Annotated[SigningKeys, Depends(signing_keys_of)]
) -> SigningKeyBody:
    """Make a key that takes over from the others of its algorithm, in all processes."""
    return _body(keys.rotate(body.algorithm, at_once=body.now, forget=body.forget))


def accepts(values: list[str], media_type: str) -> bool:
    """Whether a request's `Accept` takes a media type (RFC 9110, section 12.5.1)."""
    ranges = [part for value in values for part in value.split(",") if part.strip()]
    if not ranges:
        return True
    kind = media_type.partition("/")[0]
    weights = dict(map(_weighted, ranges))
    for name in (media_type, f"{kind}/*", "*/*"):
        if name in weights:
            return weights[name] > 0
    return False


def _weighted(part: str) -> tuple[str, float]:
    name, *parameters = (item.strip().lower() for item in part.split(";"))
    quality = next((item[2:] for item in parameters if item.startswith("q=")), "1")
    try:
        return name, float(quality)
    except ValueError:
        return name, 0.0


def _body(key: SigningKey) -> SigningKeyBody:
    return SigningKeyBody.model_validate(msgspec.structs.asdict(key))
