"""Errors as HTTP says them: one problem document (RFC 9457) for every refusal of every route.

The rule: an error's class decides its status, in the one table below, and its message, field and
code pass through unchanged. What the server did not foresee becomes a 500 that says nothing but
the id under which the log has the whole story. The OAuth token route alone has another shape,
the one of RFC 6749 section 5.2 (`routes/tokens.py`).
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException as StarletteHTTPException

from relata import errors

MEDIA_TYPE = "application/problem+json"

BODY = (400, 413, 415)
"""The refusals that a body can get."""
KEY = (401, 403)
"""The refusals that a key can get."""
QUESTION = (400, 410, 422, 503)
"""The refusals that a question can get."""

_log = logging.getLogger("relata.server")

_STATUS: tuple[tuple[type[errors.RelataError], int], ...] = (
    (errors.SchemaStrandsError, 409),
    (errors.SchemaError, 400),
    (errors.InvalidArgumentError, 400),
    (errors.ConflictError, 409),
    (errors.CaveatFailedError, 422),
    (errors.LimitExceededError, 422),
    (errors.SnapshotUnavailableError, 410),
    (errors.NotFreshError, 503),
    (errors.AuthenticationError, 401),
    (errors.ScopeError, 403),
    (errors.NotFoundError, 404),
    (errors.StoreError, 503),
)

HTTP_STATUS: Mapping[str, int] = {
    "malformed_json": 400,
    "unauthenticated": 401,
    "not_found": 404,
    "tokens_not_configured": 404,
    "method_not_allowed": 405,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "internal_error": 500,
    "not_ready": 503,
    "temporarily_unavailable": 503,
}
"""The codes of refusals that are no error of the library, each with its status."""

_HEADERS: Mapping[int, Mapping[str, str]] = {
    401: {"WWW-Authenticate": 'Bearer realm="relata", error="invalid_token"'},
    403: {"WWW-Authenticate": 'Bearer realm="relata", error="insufficient_scope"'},
    503: {"Retry-After": "1"},
}


class DiagnosticBody(BaseModel):
    """One fault in a schema's text; lines and columns count from 1."""

    message: str
    line: int
    column: int
    excerpt: str


class Problem(BaseModel):
    """Why a request was refused (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:relata:problem:unknown_relation",
                    "title": "unknown relation",
                    "status": 400,
                    "detail": "`document` has no relation or permission `veiw`",
                    "code": "unknown_relation",
                    "field": "permission",
                }
            ]
        }
    )

    type: str = Field(description="`urn:relata:problem:` and the code.")
    title: str = Field(description="The code in words.")
    status: int = Field(description="The HTTP status, repeated.")
    detail: str = Field(description="What is wrong here, and what to do; for people.")
    code: str = Field(description="Which error it is; stable, for programs.")
    field: str | None = Field(
        description="The part of the request that is wrong, as a path (`checks[3].resource`)."
    )
    diagnostics: list[DiagnosticBody] | None = Field(
        default=None, description="Each fault in a schema's text; only where a schema is refused."
    )
    relationship: str | None = Field(
        default=None, description="A stored relationship that is in the way of a schema."
    )
    line: int | None = Field(
        default=None, description="The line of the body that is wrong; only of an import."
    )
    imported: int | None = Field(
        default=None, description="How many relationships are stored; only of an import."
    )
    instance: str | None = Field(
        default=None, description="The id that the server's log has; only with status 500."
    )


class Refusal(HTTPException):
    """A request that HTTP itself has something against; `code` is one of HTTP_STATUS."""

    def __init__(self, code: str, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        self.problem = make_problem(HTTP_STATUS[code], code, detail)
        super().__init__(self.problem.status, detail, dict(headers or {}))


def make_problem(
    status: int, code: str, detail: str, field: str | None = None, **more: Any
) -> Problem:
    """Make the document for a code; `more` are members that only some documents have."""
    return Problem(
        type=f"urn:relata:problem:{code}",
        title=code.replace("_", " "),
        status=status,
        detail=detail,
        code=code,
        field=field,
        **more,
    )


def status_of(error: errors.RelataError) -> int:
    """The HTTP status of an error, by its class; 500 for a class that the table lacks."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def problem_of(error: errors.RelataError) -> Problem:
    """Make the document for an error of the authorizer."""
    detail = error.message
    more: dict[str, Any] = {}
    diagnostics = getattr(error, "diagnostics", None)
    if diagnostics is not None:
        more["diagnostics"] = [_diagnostic(item) for item in diagnostics]
    if isinstance(error, errors.SchemaStrandsError):
        more["relationship"] = error.relationship
    if isinstance(error, errors.StoreError):
        _log.error("the database cannot be used: %s", error.message)
        detail = "the database cannot be used at the moment; try again later"
    return make_problem(status_of(error), error.code, detail, error.field, **more)


def respond(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with a problem document."""
    return Response(
        problem.model_dump_json(exclude_unset=True),
        problem.status,
        {**_HEADERS.get(problem.status, {}), **(headers or {})},
        MEDIA_TYPE,
    )


def unexpected(error: Exception) -> Response:
    """Log an error that nobody foresaw, and answer with nothing but the id of the log's entry."""
    instance = uuid.uuid4().urn
    _log.error("unexpected error %s", instance, exc_info=error)
    detail = "something went wrong; the server's log tells more under the id in `instance`"
    return respond(make_problem(500, "internal_error", detail, instance=instance))


def install(app: FastAPI) -> None:
    """Give an application this module's answers to every exception that is foreseen."""
    for kind in (errors.RelataError, RequestValidationError, StarletteHTTPException):
        app.add_exception_handler(kind, _answer)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe refusals for a route's place in the OpenAPI document."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content}
        for status in sorted(statuses)
    }


def field_path(location: Sequence[int | str]) -> str | None:
    """Write the place of a value as a path: `("checks", 3, "resource")` is `checks[3].resource`."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.removeprefix(".") or None


async def _answer(request: Request, error: Exception) -> Response:
    match error:
        case Refusal():
            return respond(error.problem, error.headers)
        case errors.RelataError() if status_of(error) != 500:
            return respond(problem_of(error))
        case RequestValidationError():
            return respond(_invalid_request(error))
        case StarletteHTTPException():
            return respond(_http_error(request, error), error.headers)
    return unexpected(error)


def _invalid_request(error: RequestValidationError) -> Problem:
    first = error.errors()[0]
    field = field_path(first["loc"][1:])  # the first part is `body`, `query` or `path`
    place = f"`{field}`" if field else "the body"
    detail = f"{place} {validation_message(first['type'], first['msg'])}"
    return make_problem(400, errors.InvalidArgumentError.code, detail, field)


def _http_error(request: Request, error: StarletteHTTPException) -> Problem:
    status = HTTPStatus(error.status_code)
    detail = f"`{request.method} {request.scope['path']}`: {status.phrase.lower()}"
    return make_problem(status, status.name.lower(), detail)


def validation_message(kind: str, message: str) -> str:
    """Say in plain words what Pydantic has against a value, to follow the value's name."""
    match kind:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "is not known here; leave it out"
        case "model_type" | "model_attributes_type":
            return "should be a JSON object"
        case "int_parsing":
            return "should be a whole number"
        case "too_short":
            message = message.removeprefix("List ").partition(" after validation")[0]
    text = message.replace("'", "`")
    return text.removeprefix("Input ") if text.startswith("Input ") else text[:1].lower() + text[1:]


def _diagnostic(item: errors.Diagnostic) -> DiagnosticBody:
    return DiagnosticBody(
        message=item.message, line=item.line, column=item.column, excerpt=item.excerpt
    )
