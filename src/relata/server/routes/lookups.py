"""Who and what: expand, and the lookups of resources, subjects and permissions.

A list that is not complete says so by its cursor; nothing is cut off in silence. Lists and trees
are written as they are sent (`pieces`): a tree of a hundred thousand nodes that pydantic writes
keeps everybody waiting for the better part of a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from fastapi import APIRouter, Response
from pydantic import ConfigDict, Field

from relata.engine import ExpandNode
from relata.server.auth import inside, needs
from relata.server.fields import (
    DEFAULT_PAGE,
    ZED_TOKEN,
    Body,
    ConditionalIds,
    CursorField,
    CursorText,
    Inside,
    NameText,
    ObjectText,
    PageLimit,
    Question,
    SubjectText,
    ZedTokenText,
)
from relata.server.pieces import encode, respond, write_list, write_lists, write_object
from relata.server.problems import BODY, KEY, QUESTION, responses
from relata.server.routing import Guarded

router = APIRouter(
    route_class=Guarded,
    tags=["lookups"],
    dependencies=[needs("check", "read"), inside("check", "read")],
    responses=responses(*KEY, *BODY, *QUESTION),
)


class ExpandRequest(Question):
    """Who is in a permission or relation of a resource, and by which way."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"resource": "document:readme", "permission": "view"}]}
    )

    resource: ObjectText
    permission: NameText


class TreeNode(Body):
    """A node of an expansion: who is in a part of `resource#name`."""

    resource: ObjectText
    name: NameText
    expression: Annotated[
        str,
        Field(
            description="The part of the schema that the node stands for.",
            examples=["viewer", "parent->view"],
        ),
    ]
    operation: Annotated[
        Literal["leaf", "union", "intersection", "exclusion"],
        Field(description="A `leaf` lists subjects; the others combine their children."),
    ]
    subjects: list[str] = Field(description="The subjects of a leaf, as they are stored.")
    conditional: Annotated[
        dict[str, list[str]],
        Field(
            description="Further subjects of a leaf, each with the parameters that the caveat of "
            "its relationship waits for."
        ),
    ]
    missing_context: Annotated[
        list[str],
        Field(description="The parameters that the relationship which leads here waits for."),
    ]
    children: list[TreeNode] = Field(
        description="Of an exclusion: the base, then what is subtracted."
    )
    cycle: Annotated[
        bool,
        Field(description="The node is one that the way to it has passed; it lists nobody."),
    ]


class ExpandAnswer(Body):
    """The tree of an expansion."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "tree": {
                        "resource": "document:readme",
                        "name": "view",
                        "expression": "viewer + edit",
                        "operation": "union",
                        "subjects": [],
                        "conditional": {},
                        "missing_context": [],
                        "children": [
                            {
                                "resource": "document:readme",
                                "name": "viewer",
                                "expression": "viewer",
                                "operation": "leaf",
                                "subjects": ["group:eng#member", "user:anne"],
                                "conditional": {"user:bob": ["weekday"]},
                                "missing_context": [],
                                "children": [],
                                "cycle": False,
                            },
                            {
                                "resource": "document:readme",
                                "name": "owner",
                                "expression": "owner",
                                "operation": "leaf",
                                "subjects": [],
                                "conditional": {},
                                "missing_context": [],
                                "children": [],
                                "cycle": False,
                            },
                        ],
                        "cycle": False,
                    },
                    "expanded_at": ZED_TOKEN,
                }
            ]
        }
    )

    tree: TreeNode
    expanded_at: ZedTokenText


class ResourcesRequest(Question):
    """Which resources of a type a subject has a permission on."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"resource_type": "document", "permission": "view", "subject": "user:anne"}
            ]
        }
    )

    resource_type: Annotated[str, Field(description="A definition.", examples=["document"])]
    permission: NameText
    subject: SubjectText
    limit: PageLimit = DEFAULT_PAGE
    cursor: CursorField = None


class ResourcesAnswer(Body):
    """The ids of the resources that are allowed, sorted, and of those that wait for context."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "resource_ids": ["guide", "readme"],
                    "conditional": {"payroll": ["weekday"]},
                    "looked_up_at": ZED_TOKEN,
                    "cursor": None,
                }
            ]
        }
    )

    resource_ids: list[str]
    conditional: ConditionalIds
    looked_up_at: ZedTokenText
    cursor: CursorText


class SubjectsRequest(Question):
    """Which subjects of a type have a permission on a resource."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"resource": "document:readme", "permission": "view", "subject_type": "user"},
                {
                    "resource": "document:readme",
                    "permission": "view",
                    "subject_type": "group",
                    "subject_relation": "member",
                },
            ]
        }
    )

    resource: ObjectText
    permission: NameText
    subject_type: Annotated[str, Field(description="A definition.", examples=["user"])]
    subject_relation: Annotated[
        str, Field(description="For usersets, their relation; empty for objects.")
    ] = ""
    limit: PageLimit = DEFAULT_PAGE
    cursor: CursorField = None


class SubjectsAnswer(Body):
    """The ids of the subjects, sorted; with `wildcard`, everybody but those listed otherwise."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "subject_ids": ["anne", "bob"],
                    "conditional": {"carol": ["weekday"]},
                    "wildcard": False,
                    "wildcard_missing_context": None,
                    "excluded_ids": [],
                    "looked_up_at": ZED_TOKEN,
                    "cursor": None,
                }
            ]
        }
    )

    subject_ids: list[str]
    conditional: ConditionalIds
    wildcard: Annotated[
        bool,
        Field(description="Whether every other subject of the type has it, but the excluded."),
    ]
    wildcard_missing_context: Annotated[
        list[str] | None,
        Field(description="What every other subject waits for, where all do; otherwise null."),
    ]
    excluded_ids: Annotated[
        list[str],
        Field(
            description="Whom the wildcard does not reach; empty without it. With a cursor there "
            "may be more of them."
        ),
    ]
    looked_up_at: ZedTokenText
    cursor: CursorText


class PermissionsRequest(Question):
    """Which permissions a subject has on a resource."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"resource": "document:readme", "subject": "user:anne"}]}
    )

    resource: ObjectText
    subject: SubjectText


class PermissionsAnswer(Body):
    """The names of the permissions, sorted, and of those that wait for context."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "permissions": ["edit", "view"],
                    "conditional": {"delete": ["weekday"]},
                    "looked_up_at": ZED_TOKEN,
                }
            ]
        }
    )

    permissions: list[str]
    conditional: ConditionalIds
    looked_up_at: ZedTokenText


@router.post("/expand", operation_id="expand", response_model=ExpandAnswer)
def expand(body: ExpandRequest, authorizer: Inside) -> Response:
    """Ask who is in a permission or relation of a resource, and by which way."""
    result = authorizer.expand(
        body.resource,
        body.permission,
        context=body.context,
        contextual=body.contextual_relationships,
        consistency=body.consistency,
    )
    return respond(
        write_object(tree=_write_tree(result.tree), expanded_at=result.expanded_at),
    )


@router.post("/lookup/resources", operation_id="lookup_resources", response_model=ResourcesAnswer)
def lookup_resources(body: ResourcesRequest, authorizer: Inside) -> Response:
    """Ask which resources of a type a subject has a permission on."""
    result = authorizer.lookup_resources(
        body.resource_type,
        body.permission,
        body.subject,
        context=body.context,
        contextual=body.contextual_relationships,
        consistency=body.consistency,
        limit=body.limit,
        cursor=body.cursor,
    )
    return respond(
        write_object(
            resource_ids=write_list(result.resource_ids),
            conditional=write_lists(result.conditional),
            looked_up_at=result.looked_up_at,
            cursor=result.cursor,
        )
    )


@router.post("/lookup/subjects", operation_id="lookup_subjects", response_model=SubjectsAnswer)
def lookup_subjects(body: SubjectsRequest, authorizer: Inside) -> Response:
    """Ask which subjects of a type have a permission on a resource."""
    result = authorizer.lookup_subjects(
        body.resource,
        body.permission,
        body.subject_type,
        body.subject_relation,
        context=body.context,
        contextual=body.contextual_relationships,
        consistency=body.consistency,
        limit=body.limit,
        cursor=body.cursor,
    )
    return respond(
        write_object(
            subject_ids=write_list(result.subject_ids),
            conditional=write_lists(result.conditional),
            wildcard=result.wildcard,
            wildcard_missing_context=result.wildcard_missing_context,
            excluded_ids=write_list(result.excluded_ids),
            looked_up_at=result.looked_up_at,
            cursor=result.cursor,
        )
    )


@router.post(
    "/lookup/permissions", operation_id="lookup_permissions", response_model=PermissionsAnswer
)
def lookup_permissions(body: PermissionsRequest, authorizer: Inside) -> Response:
    """Ask which permissions a subject has on a resource."""
    result = authorizer.lookup_permissions(
        body.resource,
        body.subject,
        context=body.context,
        contextual=body.contextual_relationships,
        consistency=body.consistency,
    )
    return respond(
        write_object(
            permissions=write_list(result.permissions),
            conditional=write_lists(result.conditional),
            looked_up_at=result.looked_up_at,
        )
    )


def _write_tree(root: ExpandNode) -> Iterator[bytes]:
    """Write a tree, however deep it is."""
    waiting: list[ExpandNode | bytes] = [root]
    while waiting:
        part = waiting.pop()
        if isinstance(part, bytes):
            yield part
            continue
        yield from _write_up_to_children(part)
        waiting.append(b'],"cycle":true}' if part.cycle else b'],"cycle":false}')
        for number, child in enumerate(reversed(part.children), 1):
            waiting.append(child)
            if number < len(part.children):
                waiting.append(b",")


def _write_up_to_children(node: ExpandNode) -> Iterator[bytes]:
    yield b'{"resource":%b,"name":%b,"expression":%b,"operation":%b,"subjects":' % (
        encode(node.resource),
        encode(node.name),
        encode(node.expression),
        encode(node.operation),
    )
    yield from write_list(map(str, node.subjects))
    yield b',"conditional":'
    yield from write_lists({str(subject): names for subject, names in node.conditional.items()})
    yield b',"missing_context":%b,"children":[' % encode(node.missing_context)
