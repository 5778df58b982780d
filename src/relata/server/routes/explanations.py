"""Explanations as answers give them: the tree of why a check answers as it does."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from relata.engine import ExplainNode
from relata.server.fields import Body, NameText, ObjectText


class Explanation(Body):
    """A node of an explanation: what a part of the schema, or a relationship, says of the subject.

    The tree of an allowed check is the shortest way by which it is granted; of a denied one, what
    was tried and where it ended; of a conditional one, where context is missing.
    """

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
        Literal[
            "relation",
            "relationship",
            "computed",
            "arrow",
            "all",
            "union",
            "intersection",
            "exclusion",
            "nil",
            "self",
        ],
        Field(
            description="What the node does with its children. A `relation`, an `arrow` and `all` "
            "have one child for each `relationship` that they follow; its child is what it leads "
            "to, and it has none where that is the subject."
        ),
    ]
    answer: Annotated[
        Literal["allowed", "denied", "conditional"],
        Field(description="What a check of this part says."),
    ]
    reason: Annotated[str, Field(description="What the children do not say, in words.")]
    line: Annotated[
        int,
        Field(
            description="Where the schema declares the relation or permission, counted from 1; "
            "0 for a part of one."
        ),
    ]
    relationship: Annotated[
        str, Field(description="The relationship, with its caveat, its context and its expiration.")
    ]
    condition: Annotated[
        Literal["", "holds", "false", "missing_context", "failed", "expired"],
        Field(
            description="What the relationship's caveat says, or its expiration; empty where it "
            "has neither."
        ),
    ]
    missing_context: Annotated[
        list[str],
        Field(
            description="What the answer waits for; of a relationship, what its own caveat lacks."
        ),
    ]
    children: list[Explanation]
    left_out: Annotated[
        int, Field(description="How many more children there are that are not listed.")
    ]
    cycle: Annotated[
        bool, Field(description="The node is one that the way to it has passed; it ends here.")
    ]
    repeated: Annotated[
        bool, Field(description="The node stands in full before this one; here it ends.")
    ]
    undefined: Annotated[
        bool,
        Field(
            description="The answer rests on its own absence, so it is not granted, nor is what "
            "subtracts it."
        ),
    ]


def explanation_of(node: ExplainNode) -> Explanation:
    """Make the answer's form of an explanation."""
    return Explanation(
        resource=node.resource,
        name=node.name,
        expression=node.expression,
        operation=node.operation,
        answer=node.answer.value,
        reason=node.reason,
        line=node.line,
        relationship=node.relationship,
        condition=node.condition,
        missing_context=list(node.missing_context),
        children=[explanation_of(child) for child in node.children],
        left_out=node.left_out,
        cycle=node.cycle,
        repeated=node.repeated,
        undefined=node.undefined,
    )
