"""Trees of expansions and explanations, without what lies outside of an organization.

A tree shows the relationships that an answer rests on, and follows them to other objects. Nodes of
objects outside, with all that is below them, and relationships that are not wholly inside are left
out; of an explanation, the node above says that something is.
"""

from __future__ import annotations

import msgspec

from relata.bounds.belonging import Belonging
from relata.engine import ExpandNode, ExplainNode
from relata.relationships import parse_object, parse_relationship

_BEYOND = "rests on what lies outside of the organization"


def expansion_inside(node: ExpandNode, belonging: Belonging) -> ExpandNode:
    """The part of an expansion, from a resource inside, that is inside."""
    belonging.know(subject.object for subject in (*node.subjects, *node.conditional))
    return msgspec.structs.replace(
        node,
        subjects=tuple(filter(belonging.admits, node.subjects)),
        conditional={
            subject: waits
            for subject, waits in node.conditional.items()
            if belonging.admits(subject)
        },
        children=tuple(
            expansion_inside(child, belonging)
            for child in node.children
            if belonging.has(parse_object(child.resource))
        ),
    )


def explanation_inside(node: ExplainNode, belonging: Belonging) -> ExplainNode:
    """The part of an explanation, of a resource inside, that is inside."""
    shown = [child for child in node.children if _is_inside(child, belonging)]
    hidden = len(shown) < len(node.children)
    return msgspec.structs.replace(
        node,
        children=tuple(explanation_inside(child, belonging) for child in shown),
        reason=_BEYOND if hidden else node.reason,
    )


def _is_inside(node: ExplainNode, belonging: Belonging) -> bool:
    if node.relationship:
        return belonging.shows(parse_relationship(node.relationship))
    return belonging.has(parse_object(node.resource))
