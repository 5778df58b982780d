"""Checks: one, by POST or GET, and many at one revision.

`POST /check` is also answered by `fast_check.py`, which must answer alike.
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import ConfigDict, Field

from relata import requests
from relata.errors import RelataError
from relata.results import CheckResult
from relata.server.auth import inside, needs
from relata.server.fields import (
    ZED_TOKEN,
    Body,
    ContextField,
    Inside,
    MissingContext,
    NameText,
    ObjectText,
    QueryConsistency,
    Question,
    SubjectText,
    ZedTokenText,
)
from relata.server.problems import BODY, KEY, QUESTION, Problem, problem_of, responses
from relata.server.routes.explanations import Explanation, explanation_of
from relata.server.routing import Guarded

router = APIRouter(
    route_class=Guarded,
    tags=["checks"],
    dependencies=[needs("check"), inside("check")],
    responses=responses(*KEY, *QUESTION),
)

PermissionshipText = Annotated[
    Literal["allowed", "denied", "conditional"],
    Field(description="`conditional`: it depends on context that was not given."),
]


class CheckRequest(Question):
    """Whether a subject has a permission on a resource."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"resource": "document:readme", "permission": "view", "subject": "user:anne"},
                {
                    "resource": "document:readme",
                    "permission": "view",
                    "subject": "user:anne",
                    "context": {"weekday": 5},
                    "contextual_relationships": ["group:eng#member@user:anne"],
                    "consistency": {"at_least_as_fresh": ZED_TOKEN},
                },
            ]
        }
    )

    resource: ObjectText
    permission: NameText
    subject: SubjectText
    explain: Annotated[
        bool, Field(description="Whether to say why; that takes far more work than the answer.")
    ] = False


class CheckAnswer(Body):
    """The answer to a check."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "allowed": True,
                    "permissionship": "allowed",
                    "missing_context": [],
                    "checked_at": ZED_TOKEN,
                },
            ]
        }
    )

    allowed: Annotated[bool, Field(description="True only where `permissionship` is `allowed`.")]
    permissionship: PermissionshipText
    missing_context: MissingContext
    checked_at: ZedTokenText
    explanation: Annotated[
        Explanation | None, Field(description="Only where the question has `explain`.")
    ] = None


class CheckItem(Body):
    """One question of a batch; with a `context` of its own, or that of the whole."""

    resource: ObjectText
    permission: NameText
    subject: SubjectText
    context: ContextField | None = None


class BatchRequest(Question):
    """Many checks, answered at one revision."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "checks": [
                        {
                            "resource": "document:readme",
                            "permission": "view",
                            "subject": "user:anne",
                        },
                        {
                            "resource": "document:readme",
                            "permission": "edit",
                            "subject": "user:anne",
                        },
                    ]
                }
            ]
        }
    )

    checks: list[CheckItem]


class ItemAnswer(Body):
    """The answer to one check of a batch."""

    allowed: bool
    permissionship: PermissionshipText
    missing_context: MissingContext


class ItemError(Body):
    """Why one check of a batch has no answer."""

    error: Problem


class BatchAnswer(Body):
    """The answers, in the order of the checks."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "answers": [
                        {"allowed": True, "permissionship": "allowed", "missing_context": []},
                        {
                            "error": {
                                "type": "urn:relata:problem:unknown_relation",
                                "title": "unknown relation",
                                "status": 400,
                                "detail": "`document` has no relation or permission `edit`",
                                "code": "unknown_relation",
                                "field": "checks[1].permission",
                            }
                        },
                    ],
                    "checked_at": ZED_TOKEN,
                }
            ]
        }
    )

    answers: list[ItemAnswer | ItemError]
    checked_at: ZedTokenText


@router.post(
    "/check",
    operation_id="check",
    response_model_exclude_unset=True,
    responses=responses(*BODY),
)
def check(body: CheckRequest, authorizer: Inside) -> CheckAnswer:
    """Ask whether a subject has a permission on a resource."""
    result = authorizer.check(
        body.resource,
        body.permission,
        body.subject,
        context=body.context,
        contextual=body.contextual_relationships,
        consistency=body.consistency,
        explain=body.explain,
    )
    return _answer(result)


@router.get("/check", operation_id="check_by_query", response_model_exclude_unset=True)
def check_by_query(
    resource: Annotated[str, Query(examples=["document:readme"])],
    permission: Annotated[str, Query(examples=["view"])],
    subject: Annotated[str, Query(examples=["user:anne"])],
    consistency: QueryConsistency,
    authorizer: Inside,
) -> CheckAnswer:
    """Ask the same as `POST /check`, with the question in the query."""
    return _answer(authorizer.check(resource, permission, subject, consistency=consistency))


@router.post(
    "/check/batch",
    operation_id="check_batch",
    response_model_exclude_unset=True,
    responses=responses(*BODY),
)
def check_batch(body: BatchRequest, authorizer: Inside) -> BatchAnswer:
    """Ask many checks at one revision; one that cannot be answered does not spoil the others."""
    result = authorizer.check_many(
        [
            requests.Question(item.resource, item.permission, item.subject, item.context)
            for item in body.checks
        ],
        context=body.context,
        contextual=body.contextual_relationships,
        consistency=body.consistency,
    )
    return BatchAnswer(
        answers=[_item(index, answer) for index, answer in enumerate(result.answers)],
        checked_at=result.checked_at,
    )


def _answer(result: CheckResult) -> CheckAnswer:
    answer = CheckAnswer(
        allowed=result.allowed,
        permissionship=result.permissionship.value,
        missing_context=list(result.missing_context),
        checked_at=result.checked_at,
    )
    if result.explanation is None:
        return answer
    return answer.model_copy(update={"explanation": explanation_of(result.explanation)})


def _item(index: int, answer: CheckResult | RelataError) -> ItemAnswer | ItemError:
    if isinstance(answer, RelataError):
        return ItemError(error=problem_of(answer.within(f"checks[{index}]")))
    return ItemAnswer(
        allowed=answer.allowed,
        permissionship=answer.permissionship.value,
        missing_context=list(answer.missing_context),
    )
