"""Why a check answers as it does: a tree over the schema's expressions as they are written.

- Where a part *grants*, its tree is the shortest proof: the parts and relationships by which the
  subject is in it, and of each exclusion that nobody is in what it subtracts.
- Where it *denies*, the tree is what was tried and where each try ended. Of an intersection, the
  parts that hold too are named, without their trees; of an exclusion, only what decided is there:
  the base, or what is subtracted from it. Parts below which there is nothing are one line.
- Where it is *conditional*, the tree is the unknown parts, down to the relationships whose caveats
  lack context.

A part that is undefined rests on its own absence; its tree leads round, and ends in a node with
`cycle` where it comes back to itself.

Every answer is worked out afresh, by the same checks, in a run that no other question has used.
Trees are for reading: one lists `MAX_LISTED` relationships of a part, some `MAX_NODES` nodes and
`MAX_DEPTH` levels, and says where it leaves out more. Relationships that tell most come first:
those that lead to the subject and do not hold.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple, TypeVar

from relata.caveats import Outcome
from relata.engine.answers import ExplainNode, Permissionship
from relata.engine.check import Checks, Run
from relata.engine.parts import Followed, Part, Parts, readings
from relata.engine.plan import Plan
from relata.engine.proof import Proof, shortest_proof
from relata.engine.reading import HOPEFULLY, SURELY, Reading
from relata.errors import RelataError
from relata.relationships import CaveatRef, ObjectRef, Relationship, SubjectRef, to_moment
from relata.schema import (
    Arrow,
    Computed,
    Exclusion,
    Expression,
    Intersection,
    Nil,
    Relation,
    Self,
    Union,
    shortened_text,
)

T = TypeVar("T")

MAX_LISTED = 10
"""Relationships of one relation or arrow that are listed."""
MAX_NODES = 500
"""Nodes of a tree, shared out evenly: branches that want fewer leave the rest to others."""
MAX_DEPTH = 60
"""Levels of a tree. Readers of JSON commonly stop at 128 levels, and one of these takes two."""


Operation = Literal[
    "relation", "computed", "arrow", "all", "union", "intersection", "exclusion", "nil", "self"
]
Condition = Literal["", "holds", "false", "missing_context", "failed", "expired"]


def explain(plan: Plan, checks: Checks, run: Run, number: int, node: int) -> ExplainNode:
    """Why the subject of a run is in a name at a node, or is not.

    The run is one that nothing has been asked of yet. Raises CaveatFailedError and ContextError
    where the answer rests on a caveat that has failed, and says at which relationship; and
    LimitExceededError where the run's steps are used up.
    """
    parts = Parts(plan, checks, run)
    root = Part(number, node)
    explanation = _Explanation(parts)
    if not parts.reads(root, SURELY) and parts.reads(root, HOPEFULLY):
        failed = parts.missing(root, subtracted=False).failed
        if failed is not None:
            followed, error = failed
            where = explanation.relationship(followed)
            raise type(error)(f"{error.message}, at `{where}`", field=error.field)
    return explanation.part(root)


class _Content(NamedTuple):
    """What a node is filled with, once it is known that there is room for it."""

    children: Sequence[ExplainNode] = ()
    reason: str = ""
    left_out: int = 0


class _Explanation:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._view = parts.run.view
        plan = parts.plan
        relation = f"#{plan.subject_relation}" if plan.subject_relation else ""
        self._subject = f"`{self._view.text(parts.run.subject)}{relation}`"
        self._kind = f"`{plan.subject_type}{relation}`"
        self._nodes = MAX_NODES
        self._depth = 0
        self._way: set[tuple[Part, bool]] = set()
        self._done: set[tuple[Part, bool]] = set()

    def part(self, part: Part, *, subtracted: bool = False) -> ExplainNode:
        """Why a part says what it says, where it adds or is subtracted."""
        against, favourably = (
            self._parts.reads(part, reading) for reading in readings(subtracted=subtracted)
        )
        if against != favourably:
            return self._filled(part, lambda: self._open(part, subtracted), subtracted=subtracted)
        if not against:
            return self._filled(part, lambda: self._refuted(part))
        # What is undefined takes away for sure, and is then not surely granted.
        surely = self._parts.reads(part, SURELY)
        reading = SURELY if surely else Reading(undefined=True, unknown=False)
        proof = shortest_proof(self._parts, part, reading)
        self._parts.learn(proof.rules, reading)
        return self._granted(part, proof)

    def relationship(self, followed: Followed) -> str:
        """A relationship as it is written, with its caveat and expiration."""
        kind = self._parts.plan.numbering.kinds[followed.kind]
        type_, _, id_ = self._view.text(followed.resource).partition(":")
        subject_type, _, subject_id = self._view.text(followed.subject).partition(":")
        trait = self._view.traits[followed.kind].get((followed.resource, followed.subject))
        caveat = expires_at = None
        if trait is not None:
            caveat = CaveatRef(kind.caveat, trait.context) if kind.caveat else None
            if trait.expires_at is not None:
                expires_at = to_moment(trait.expires_at)
        subject = SubjectRef(subject_type, subject_id, kind.subject_relation)
        return str(Relationship(ObjectRef(type_, id_), kind.relation, subject, caveat, expires_at))

    # Where a part grants

    def _granted(self, part: Part, proof: Proof) -> ExplainNode:
        further = f"goes on over {_counted(proof.costs[part], 'relationship')}"
        return self._filled(part, lambda: self._proven(part, proof), further=further)

    def _proven(self, part: Part, proof: Proof) -> _Content:
        rule = proof.rules[part]
        if rule.followed:
            listed = rule.followed[:MAX_LISTED]
            children = self._each(listed, lambda it: self._granted_by(it, proof))
            return _Content(children, left_out=len(rule.followed) - len(listed))
        children = self._each(rule.tails, lambda it: self._granted(it, proof))
        match self._parts.declared(part):
            case _ if not rule.tails and self._parts.is_subject(part):
                return _Content(reason="it is the subject itself")
            case Self():
                return _Content(reason="the resource is the subject")
            case Exclusion():
                return _Content((*children, self._not_subtracted(part)))
            case _:
                return _Content(children)

    def _granted_by(self, followed: Followed, proof: Proof) -> ExplainNode:
        def led_to(target: Part) -> ExplainNode:
            return self._granted(target, proof)

        return self._relationship(followed, led_to)

    def _not_subtracted(self, exclusion: Part) -> ExplainNode:
        subtracted = self._parts.operands(exclusion)[1]
        if self._parts.reads(subtracted, SURELY.subtracted()):
            return self.part(subtracted)  # undefined, and so this exclusion is
        return self._bare(subtracted, reason="takes nothing away")

    # Where a part denies

    def _refuted(self, part: Part) -> _Content:
        parts = self._parts
        reading = self._strictest(part)
        if not parts.is_possible(part):
            return _Content(reason=f"no {self._kind} can be in it")
        match parts.declared(part):
            case Relation() | Arrow(every=False):
                return self._tried(part, list(parts.followed(part)))
            case Arrow(every=True):
                followed = list(parts.followed(part))
                there = [it for it in followed if parts.is_there(it)]
                failing = [it for it in there if not parts.follows(it, reading)]
                return self._tried(part, failing or followed)
            case Computed() | Union():
                return self._gathered(self._each(parts.operands(part), self.part))
            case Intersection():
                return self._gathered(
                    self._each(
                        parts.operands(part),
                        lambda it: self._bare(it) if parts.reads(it, reading) else self.part(it),
                    )
                )
            case Exclusion():
                base, subtracted = parts.operands(part)
                if not parts.reads(base, reading):
                    return self._gathered(self._each([base], self.part))
                taken = self._each([subtracted], lambda it: self.part(it, subtracted=True))
                is_taken = parts.reads(subtracted, SURELY)
                reason = "taken away by what is subtracted" if is_taken else ""
                return _Content((self._bare(base), *taken), reason)
            case Self():
                return _Content(reason=f"the resource is not {self._subject}")
            case _:
                return _Content(reason="nobody is in it")

    def _strictest(self, part: Part) -> Reading:
        """The reading most in the subject's favour in which it still is not in a part."""
        most = SURELY.subtracted()
        return HOPEFULLY if self._parts.reads(part, most) else most

    def _gathered(self, children: Sequence[ExplainNode]) -> _Content:
        """The children, or one line where there is nothing below any of them."""
        if not all(_is_empty(child) for child in children):
            return _Content(children)
        reasons = {child.reason for child in children}
        if len(reasons) == 1:
            return _Content(reason=reasons.pop())
        return _Content(reason=f"no relationship with {self._subject}, and none to follow")

    def _tried(self, part: Part, followed: Sequence[Followed]) -> _Content:
        listed = heapq.nsmallest(MAX_LISTED, followed, key=self._tells_little(part))
        return _Content(
            self._each(listed, self._refuted_by),
            self._reason_for(part, followed),
            len(followed) - len(listed),
        )

    def _tells_little(self, part: Part) -> Callable[[Followed], tuple[int, str, int]]:
        """A key that sorts relationships, those that tell most first."""
        parts = self._parts
        most = SURELY.subtracted()
        conditional = parts.plan.numbering.conditional
        is_denied = not parts.reads(part, most)

        def key(followed: Followed) -> tuple[int, str, int]:
            rank = 2
            if followed.leads_to is True:
                rank = 0
            elif isinstance(followed.leads_to, Part) and (
                # Elsewhere it cannot lead to the subject, or the part would not be denied.
                (followed.kind in conditional or not is_denied)
                and parts.reads(followed.leads_to, most)
            ):
                rank = 1
            return rank, self._view.text(followed.subject), followed.kind

        return key

    def _reason_for(self, part: Part, followed: Sequence[Followed]) -> str:
        if not isinstance(self._parts.declared(part), Relation):
            return "" if followed else "no relationship to follow"
        reasons = []
        takes_directly = any(
            self._parts.takes_directly(kind) for _, kind in self._parts.kinds(part)
        )
        if takes_directly and not any(it.leads_to is True for it in followed):
            reasons.append(f"no relationship with {self._subject}")
        usersets = sum(1 for it in followed if it.leads_to is not True)
        if usersets:
            reasons.append(f"{_counted(usersets, 'userset')} tried")
        return "; ".join(reasons) or ("" if followed else "no relationship to follow")

    def _refuted_by(self, followed: Followed) -> ExplainNode:
        if self._parts.outcome(followed) is not False:
            return self._relationship(followed, self.part)
        leads_to = followed.leads_to
        if isinstance(leads_to, Part) and self._parts.reads(leads_to, HOPEFULLY):
            return self._relationship(followed, self._bare)
        return self._relationship(followed, None)

    # Where it depends on context that is missing

    def _open(self, part: Part, subtracted: bool) -> _Content:
        parts = self._parts
        declared = parts.declared(part)
        if isinstance(declared, Relation | Arrow):
            followed = parts.open_followed(part, subtracted=subtracted)
            listed = heapq.nsmallest(MAX_LISTED, followed, key=self._by_text)
            children = self._each(listed, lambda it: self._open_by(it, subtracted))
            return _Content(children, left_out=len(followed) - len(listed))
        turned = dict(parts.open_operands(part, subtracted=subtracted))
        # What is known and decides nothing is named where the answer needs it too.
        shown = [
            operand
            for index, operand in enumerate(parts.operands(part))
            if operand in turned
            or isinstance(declared, Intersection)
            or (isinstance(declared, Exclusion) and (index == 0 or self._is_undefined(operand)))
        ]
        return _Content(
            self._each(
                shown,
                lambda it: self.part(it, subtracted=turned[it]) if it in turned else self._bare(it),
            )
        )

    def _is_undefined(self, part: Part) -> bool:
        return self._answer(lambda reading: self._parts.reads(part, reading))[1]

    def _open_by(self, followed: Followed, subtracted: bool) -> ExplainNode:
        def led_to(target: Part) -> ExplainNode:
            if self._parts.is_open(target, subtracted=subtracted):
                return self.part(target, subtracted=subtracted)
            return self._bare(target)

        return self._relationship(followed, led_to)

    def _by_text(self, followed: Followed) -> tuple[str, int]:
        return self._view.text(followed.subject), followed.kind

    # Nodes

    def _filled(
        self,
        part: Part,
        fill: Callable[[], _Content],
        *,
        subtracted: bool = False,
        further: str = "goes on from here",
    ) -> ExplainNode:
        """The node of a part with its content, unless it is on the way, or done, or too far."""
        key = (part, subtracted)
        if key in self._way:
            return self._bare(part, reason="comes back to itself", cycle=True)
        if key in self._done:
            return self._bare(part, reason="see above", repeated=True)
        if self._nodes <= 0 or self._depth >= MAX_DEPTH:
            return self._bare(part, reason=further, left_out=1, subtracted=subtracted)
        self._depth += 1
        self._way.add(key)
        content = fill()
        self._way.discard(key)
        self._depth -= 1
        if content.children and not part.path:
            self._done.add(key)
        return self._bare(
            part,
            reason=content.reason,
            left_out=content.left_out,
            children=tuple(content.children),
            subtracted=subtracted,
        )

    def _each(
        self, items: Sequence[T], node: Callable[[T], ExplainNode]
    ) -> tuple[ExplainNode, ...]:
        """A node for each item, the nodes that are left shared out between them."""
        left = self._nodes
        made = []
        for index, item in enumerate(items):
            self._nodes = share = left // (len(items) - index)
            made.append(node(item))
            left -= share - self._nodes
        self._nodes = left
        return tuple(made)

    def _bare(
        self,
        part: Part,
        *,
        reason: str = "",
        left_out: int = 0,
        cycle: bool = False,
        repeated: bool = False,
        children: tuple[ExplainNode, ...] = (),
        subtracted: bool = False,
    ) -> ExplainNode:
        """The node of a part, by itself or with children that are given."""
        self._nodes -= 1
        declared = self._parts.declared(part)
        name = self._parts.plan.numbering.names[part.name][1]
        answer, undefined = self._answer(lambda reading: self._parts.reads(part, reading))
        missing, failed = self._waits_for(part, answer, subtracted=subtracted)
        if undefined and answer is Permissionship.DENIED and not part.path:
            reason = reason or "rests on its own absence, so it is not granted"
        elif failed:
            reason = reason or "rests on a caveat that has failed"
        return ExplainNode(
            self._view.text(part.node),
            name,
            name if isinstance(declared, Relation) else shortened_text(declared),
            _operation(declared),
            answer,
            reason,
            self._line(part),
            missing_context=missing,
            children=children,
            left_out=left_out,
            cycle=cycle,
            repeated=repeated,
            undefined=undefined,
        )

    def _relationship(
        self, followed: Followed, led_to: Callable[[Part], ExplainNode] | None
    ) -> ExplainNode:
        """The node of a relationship, and of what it leads to where `led_to` makes one."""
        self._nodes -= 1
        leads_to, outcome = followed.leads_to, self._parts.outcome(followed)
        answer, undefined = self._answer(lambda reading: self._parts.follows(followed, reading))
        kind = self._parts.plan.numbering.kinds[followed.kind]
        reason = self._condition_text(followed, outcome)
        children: tuple[ExplainNode, ...] = ()
        if leads_to is False:
            target = self._view.text(followed.subject).partition(":")[0]
            reason = reason or f"the definition `{target}` has no such relation or permission"
        elif isinstance(leads_to, Part) and led_to is not None:
            self._depth += 1
            children = (led_to(leads_to),)
            self._depth -= 1
        return ExplainNode(
            self._view.text(followed.resource),
            kind.relation,
            kind.relation,
            "relationship",
            answer,
            reason,
            relationship=self.relationship(followed),
            condition=self._condition(followed, outcome),
            missing_context=tuple(sorted(outcome)) if isinstance(outcome, frozenset) else (),
            children=children,
            undefined=undefined,
        )

    def _answer(self, reads: Callable[[Reading], bool]) -> tuple[Permissionship, bool]:
        """What a check says, and whether that is for want of a definite answer."""
        if reads(SURELY):
            return Permissionship.ALLOWED, False
        if reads(HOPEFULLY):
            return Permissionship.CONDITIONAL, reads(HOPEFULLY.subtracted())
        return Permissionship.DENIED, reads(SURELY.subtracted())

    def _waits_for(
        self, part: Part, answer: Permissionship, *, subtracted: bool
    ) -> tuple[tuple[str, ...], bool]:
        """The parameters that a part waits for, and whether it rests on a caveat that failed."""
        if answer is Permissionship.ALLOWED:
            return (), False
        is_conditional = answer is Permissionship.CONDITIONAL
        missing = self._parts.missing(part, subtracted=subtracted and not is_conditional)
        return tuple(sorted(missing.names)), missing.failed is not None

    def _condition(self, followed: Followed, outcome: Outcome) -> Condition:
        if followed.kind not in self._parts.plan.numbering.conditional:
            return ""
        if not self._parts.is_there(followed):
            return "expired"
        if isinstance(outcome, bool):
            return "holds" if outcome else "false"
        return "missing_context" if isinstance(outcome, frozenset) else "failed"

    def _condition_text(self, followed: Followed, outcome: Outcome) -> str:
        caveat = f"caveat `{self._parts.plan.numbering.kinds[followed.kind].caveat}`"
        match self._condition(followed, outcome):
            case "expired":
                return "has expired"
            case "false":
                return f"{caveat} is false"
            case "missing_context" if isinstance(outcome, frozenset):
                return f"{caveat} lacks {_listed(sorted(outcome))}"
            case "failed" if isinstance(outcome, RelataError):
                return outcome.message
            case _:
                return ""

    def _line(self, part: Part) -> int:
        if part.path:
            return 0
        definition = self._parts.definition(part)
        name = self._parts.plan.numbering.names[part.name][1]
        return (definition.relations.get(name) or definition.permissions[name]).line


def _is_empty(node: ExplainNode) -> bool:
    """Whether a node says only that there is nothing."""
    return (
        node.answer is Permissionship.DENIED
        and not node.children
        and not node.left_out
        and not node.cycle
        and not node.repeated
        and not node.undefined
    )


def _operation(declared: Relation | Expression) -> Operation:
    match declared:
        case Relation():
            return "relation"
        case Computed():
            return "computed"
        case Arrow(every=every):
            return "all" if every else "arrow"
        case Union():
            return "union"
        case Intersection():
            return "intersection"
        case Exclusion():
            return "exclusion"
        case Nil():
            return "nil"
        case Self():
            return "self"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
