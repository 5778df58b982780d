"""Questions over a graph: check, expand, and lookups in every direction.

An `Engine` belongs to one schema and reads `View`s of a graph. It checks the names in a question
against the schema, picks the plan for the question's kind of subject, and runs it. It knows
neither the store nor how fresh a view is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from relata.engine.answers import (
    Answer,
    ExpandNode,
    ExplainNode,
    FoundPermissions,
    FoundResources,
    FoundSubjects,
    Permissionship,
)
from relata.engine.check import NOTHING_REMEMBERED, Checks, Pause, Run
from relata.engine.conditions import Conditions
from relata.engine.expand import expand
from relata.engine.explain import explain
from relata.engine.lookup_resources import lookup_resources
from relata.engine.lookup_subjects import Found, lookup_subjects
from relata.engine.memory import Memory, Recall
from relata.engine.pieces import sorted_ids, spent_pieces
from relata.engine.plan import Numbering, Plan, nesting
from relata.engine.reading import HOPEFULLY
from relata.engine.texts import TextChecks
from relata.engine.touched import Asker, Watch, Whom, asked_kinds
from relata.engine.unknown import missing_context
from relata.errors import (
    InvalidArgumentError,
    LimitExceededError,
    UnknownDefinitionError,
    UnknownRelationError,
)
from relata.graph import Edge, Touched, View, trait_of
from relata.relationships import (
    WILDCARD,
    Kind,
    ObjectRef,
    Operation,
    Relationship,
    SubjectRef,
    Update,
    relationship_kind,
    to_microseconds,
)
from relata.schema import Definition, Schema

__all__ = [
    "NOTHING_REMEMBERED",
    "Answer",
    "Asker",
    "Engine",
    "ExpandNode",
    "ExplainNode",
    "FoundPermissions",
    "FoundResources",
    "FoundSubjects",
    "Memory",
    "Permissionship",
    "Recall",
    "Session",
    "TextChecks",
    "Watch",
    "Whom",
    "WorkLimits",
]

T = TypeVar("T")

MAX_NESTING = 100
"""Names that an evaluation may go down through, not counting recursion, which costs no depth."""


class WorkLimits(msgspec.Struct, frozen=True):
    """How much one question may cost before it is answered by an error."""

    check_steps: int = 1_000_000
    """Relationships that a check may follow."""
    lookup_steps: int = 10_000_000
    """Relationships that a lookup, or all checks of a batch together, may follow."""
    expand_nodes: int = 100_000
    """Nodes and subjects that an expansion may have."""
    expand_depth: int = 100
    """Permissions and arrows that an expansion may go down through."""


class Engine:
    """The plans of one schema."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.numbering = Numbering(schema)
        self._compiled: dict[tuple[str, str], tuple[Plan, Checks]] = {}

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of relationships that the schema allows; views are made for these."""
        return self.numbering.kinds

    def compiled(self, subject_type: str, subject_relation: str) -> tuple[Plan, Checks]:
        """The plan for one kind of subject, made on first use.

        The kind must be of the schema.
        """
        key = (subject_type, subject_relation)
        found = self._compiled.get(key)
        if found is None:
            plan = Plan(self.numbering, subject_type, subject_relation)
            # In one step: threads that compile it at the same time must share one.
            found = self._compiled.setdefault(key, (plan, Checks(plan)))
        return found

    def forget(self, memory: Memory, view: View, touched: Mapping[Kind, Touched]) -> None:
        """Forget what changed relationships may have made untrue. `view` shows them changed."""
        numbers = self.numbering.kind_number
        by_number = {numbers[kind]: edges for kind, edges in touched.items() if kind in numbers}
        if by_number:
            for _, checks in list(self._compiled.values()):
                checks.flats.forget(memory, view, by_number)

    def prepare_as(self, other: Engine) -> None:
        """Compile the checks that another engine has, so that no question waits for that."""
        for (subject_type, subject_relation), (_, checks) in list(other._compiled.items()):
            if subject_type not in self.schema.definitions:
                continue
            kind = (subject_type, subject_relation)
            if subject_relation and kind not in self.numbering.name_number:
                continue
            for name in checks.compiled():
                number = self.numbering.name_number.get(name)
                if number is not None:
                    self.compiled(subject_type, subject_relation)[1].of(number)

    def require_shallow(self) -> None:
        """Raise LimitExceededError where permissions refer to each other too many levels deep."""
        if nesting(self.numbering) > MAX_NESTING:
            raise LimitExceededError(
                f"permissions refer to each other more than {MAX_NESTING} levels deep",
                field="schema",
            )

    def extend(self, view: View, relationships: Iterable[Relationship]) -> View:
        """A view that also has contextual relationships, which the schema must allow.

        Each takes the place of the stored one with its key, whatever that one's caveat is.
        """
        added = list(relationships)
        replaced = [edge for item in added for edge in self._edges_of_key(item)]
        return view.changed(added=self.edges(added), removed=replaced)

    def before(self, view: View, changes: Iterable[tuple[bool, Relationship]]) -> View:
        """A view as it was before some changes, each an addition or not, in their order.

        What the first change of a relationship did is what was not so before.
        """
        first: dict[Relationship, bool] = {}
        for added, relationship in changes:
            first.setdefault(relationship, added)
        return view.changed(
            added=self.edges(it for it, added in first.items() if not added),
            removed=self.edges(it for it, added in first.items() if added),
        )

    def watch(
        self, subject_type: str, names: Iterable[tuple[str, str]], asked: Collection[str]
    ) -> Watch:
        """What the answers to some names (`capability`, `held`) read, for subjects of a type.

        `asked` are the relations that exist only for a question. Raises UnknownDefinitionError and
        UnknownRelationError.
        """
        self.definition(subject_type, field="subject_type")
        plan, checks = self.compiled(subject_type, "")
        numbers = [self.number(*name, type_field="names", field="names") for name in names]
        return Watch(plan, checks, numbers, asked_kinds(plan, asked))

    def after(self, view: View, updates: Iterable[Update]) -> View:
        """A view as it will be after updates, which the schema must allow."""
        added: list[Relationship] = []
        gone: list[Relationship] = []
        for update in updates:
            kept = gone if update.operation is Operation.DELETE else added
            kept.append(update.relationship)
        edges = [*self.edges(gone), *(edge for item in gone for edge in self._edges_of_key(item))]
        return self.extend(view.changed(removed=edges), added)

    def without_stored(self, view: View, relations: Collection[str]) -> View:
        """A view that sees nothing stored of some relations (`organization#chosen_by`)."""
        return view.blind_to(
            number
            for number, kind in enumerate(self.kinds)
            if f"{kind.resource_type}#{kind.relation}" in relations
        )

    def edges(self, relationships: Iterable[Relationship]) -> Iterator[Edge]:
        """Relationships as a view has them, but for those that the schema does not allow."""
        for relationship in relationships:
            number = self.numbering.kind_number.get(relationship_kind(relationship))
            if number is not None:
                yield _edge(number, relationship)

    def _edges_of_key(self, relationship: Relationship) -> Iterator[Edge]:
        if not self.numbering.conditional:
            return  # a relationship that holds always is the same one, whoever brings it
        for number in self.numbering.of_key(relationship_kind(relationship)):
            yield _edge(number, relationship)

    def definition(self, type_: str, *, field: str) -> Definition:
        """A definition by name. Raises UnknownDefinitionError."""
        definition = self.schema.definitions.get(type_)
        if definition is None:
            raise UnknownDefinitionError(f"the schema has no definition `{type_}`", field=field)
        return definition

    def number(self, type_: str, name: str, *, type_field: str, field: str) -> int:
        """The number of a relation or permission.

        Raises UnknownDefinitionError and UnknownRelationError.
        """
        number = self.numbering.name_number.get((type_, name))
        if number is None:
            self.definition(type_, field=type_field)
            raise UnknownRelationError(
                f"the definition `{type_}` has no relation or permission `{name}`", field=field
            )
        return number

    def require_subject(self, subject: SubjectRef, *, field: str = "subject") -> None:
        """Raise unless the schema knows the subject's kind and it is one subject."""
        if subject.is_wildcard:
            raise InvalidArgumentError(
                f"`{subject}` is a wildcard; ask about one subject", field=field
            )
        self.require_subject_kind(subject.type, subject.relation, type_field=field, field=field)

    def require_subject_kind(
        self, subject_type: str, subject_relation: str, *, type_field: str, field: str
    ) -> None:
        """Raise unless the schema knows this kind of subject."""
        if subject_relation:
            self.number(subject_type, subject_relation, type_field=type_field, field=field)
        else:
            self.definition(subject_type, field=type_field)


def _edge(number: int, relationship: Relationship) -> Edge:
    return Edge(
        number,
        str(relationship.resource),
        str(relationship.subject.object),
        trait_of(relationship),
    )


class _Budget:
    """What is left of the work that all checks of a batch may do together."""

    __slots__ = ("steps",)

    def __init__(self, steps: int) -> None:
        self.steps = steps


class Session:
    """Questions at one revision: an engine, a view, and what each subject's questions found.

    All of them are asked with one context and at one moment. Not thread-safe, and valid only while
    the view does not change.
    """

    def __init__(
        self,
        engine: Engine,
        view: View,
        limits: WorkLimits,
        *,
        context: Mapping[str, Any] | None = None,
        now: datetime | None = None,
        recall: Recall = NOTHING_REMEMBERED,
        pause: Pause | None = None,
    ) -> None:
        self._engine = engine
        self._view = view
        self._limits = limits
        self._recall = recall
        self._pause = pause
        self._conditions = Conditions(
            engine.numbering.caveats, context or {}, None if now is None else to_microseconds(now)
        )
        self._runs: dict[SubjectRef, tuple[Plan, Checks, Run]] = {}
        self._budget = _Budget(limits.lookup_steps)

    def with_context(self, context: Mapping[str, Any]) -> Session:
        """A session over the same view, at the same moment, from the same budget."""
        other = Session(
            self._engine, self._view, self._limits, recall=self._recall, pause=self._pause
        )
        other._conditions = self._conditions.with_context(context)
        other._budget = self._budget
        return other

    def check(
        self,
        resource: ObjectRef,
        permission: str,
        subject: SubjectRef,
        *,
        steps: int | None = None,
    ) -> Answer:
        """Whether the subject is in the permission of the resource.

        Follows at most `steps` relationships, if that is less than the limit. Raises
        CaveatFailedError and ContextError where the answer rests on a caveat that has failed.
        """
        engine = self._engine
        number = engine.number(resource.type, permission, type_field="resource", field="permission")
        plan, checks, run = self._run(subject)
        most = self._limits.check_steps if steps is None else min(steps, self._limits.check_steps)
        allowed = min(most, self._budget.steps)
        run.allow(allowed)
        try:
            return self._answer(plan, checks, run, number, self._view.node(str(resource)))
        except RecursionError:
            raise _too_deep() from None
        finally:
            self._budget.steps -= allowed - max(0, run.steps)

    def _answer(self, plan: Plan, checks: Checks, run: Run, number: int, node: int) -> Answer:
        if checks.of(number)(run, node):
            return True
        # Where no unknown caveat was met, in this run's whole life, being hopeful changes nothing.
        if not run.met_unknown or not checks.of(number, HOPEFULLY)(run, node):
            return False
        return missing_context(plan, checks, run, number, node)

    def lookup_permissions(self, resource: ObjectRef, subject: SubjectRef) -> FoundPermissions:
        """Every permission (not relation) of the resource that the subject has, sorted."""
        definition = self._engine.definition(resource.type, field="resource")
        answers = {
            name: self.check(resource, name, subject) for name in sorted(definition.permissions)
        }
        return FoundPermissions(*_by_answer(answers))

    def lookup_resources(
        self, resource_type: str, permission: str, subject: SubjectRef
    ) -> FoundResources:
        """The ids of every resource of a type that the subject has the permission on, sorted."""
        number = self._engine.number(
            resource_type, permission, type_field="resource_type", field="permission"
        )
        plan, checks, run = self._run(subject)
        run.allow(self._limits.lookup_steps)
        try:
            found = lookup_resources(plan, checks, run, number)
            if not run.met_unknown or number not in plan.uncertain:
                return FoundResources(self._ids(run, found), lasting=number not in plan.conditional)
            surely: list[int] = []
            waiting: dict[int, frozenset[str]] = {}
            for piece in spent_pieces(found, run.spend):
                for node in piece:
                    answer = self._answer(plan, checks, run, number, node)
                    if isinstance(answer, frozenset):
                        waiting[node] = answer
                    elif answer:
                        surely.append(node)
            return FoundResources(self._ids(run, surely), self._by_id(run, resource_type, waiting))
        except RecursionError:
            raise _too_deep() from None

    def lookup_subjects(
        self, resource: ObjectRef, permission: str, subject_type: str, subject_relation: str
    ) -> FoundSubjects:
        """Every subject of a kind that has the permission on the resource."""
        engine = self._engine
        number = engine.number(resource.type, permission, type_field="resource", field="permission")
        engine.require_subject_kind(
            subject_type, subject_relation, type_field="subject_type", field="subject_relation"
        )
        plan, checks = engine.compiled(subject_type, subject_relation)
        node = self._view.node(str(resource))
        run = self._new_run(0, self._limits.lookup_steps)
        try:
            found = lookup_subjects(plan, checks, run, number, node)
            surely = found.surely
            if not run.met_unknown:
                return FoundSubjects(
                    self._ids(run, surely.nodes),
                    surely.wildcard,
                    self._ids(run, surely.excluded),
                    lasting=number not in plan.conditional,
                )
            return self._conditionally(plan, checks, run, number, node, found)
        except RecursionError:
            raise _too_deep() from None

    def _conditionally(
        self, plan: Plan, checks: Checks, run: Run, number: int, node: int, found: Found
    ) -> FoundSubjects:
        """What a lookup has found, where unknown caveats were met on the way."""

        def waits_for(subject: int) -> frozenset[str]:
            asking = self._new_run(subject, run.steps)
            missing = missing_context(plan, checks, asking, number, node)
            run.steps = asking.steps
            return missing

        surely, possibly = found.surely, found.possibly
        everybody: frozenset[str] | None = None
        if possibly.wildcard and not surely.wildcard:
            everybody = waits_for(self._view.node(f"{plan.subject_type}:{WILDCARD}"))
        conditional = {
            one: missing
            for piece in spent_pieces(found.named, run.spend)
            for one in piece
            if possibly.has(one) and not surely.has(one)
            if (missing := waits_for(one)) != everybody or one in possibly.nodes
        }
        return FoundSubjects(
            self._ids(run, surely.nodes),
            surely.wildcard,
            self._ids(run, possibly.excluded),
            self._by_id(run, plan.subject_type, conditional),
            None if everybody is None else tuple(sorted(everybody)),
        )

    def expand(self, resource: ObjectRef, permission: str) -> ExpandNode:
        """The tree of who is in the permission of the resource."""
        engine = self._engine
        engine.number(resource.type, permission, type_field="resource", field="permission")
        try:
            return expand(
                engine.numbering,
                self._new_run(0, self._limits.lookup_steps),
                self._view.node(str(resource)),
                (resource.type, permission),
                max_nodes=self._limits.expand_nodes,
                max_depth=self._limits.expand_depth,
            )
        except RecursionError:
            raise _too_deep() from None

    def explain(
        self,
        resource: ObjectRef,
        permission: str,
        subject: SubjectRef,
        *,
        steps: int | None = None,
    ) -> ExplainNode:
        """Why a check answers as it does; the answer of the tree is that of the check.

        Found afresh, with nothing that the session knows from other questions. Raises what a
        check does.
        """
        engine = self._engine
        number = engine.number(resource.type, permission, type_field="resource", field="permission")
        engine.require_subject(subject)
        plan, checks = engine.compiled(subject.type, subject.relation)
        asking = self._view.node(str(subject.object))
        most = self._limits.check_steps if steps is None else min(steps, self._limits.check_steps)
        allowed = min(most, self._budget.steps)
        run = self._new_run(asking, allowed)
        run.conditions = self._conditions.afresh()
        try:
            return explain(plan, checks, run, number, self._view.node(str(resource)))
        except RecursionError:
            raise _too_deep() from None
        finally:
            self._budget.steps -= allowed - max(0, run.steps)

    def _run(self, subject: SubjectRef) -> tuple[Plan, Checks, Run]:
        found = self._runs.get(subject)
        if found is None:
            self._engine.require_subject(subject)
            plan, checks = self._engine.compiled(subject.type, subject.relation)
            node = self._view.node(f"{subject.type}:{subject.id}")
            found = (plan, checks, self._new_run(node, 0))
            self._runs[subject] = found
        return found

    def _new_run(self, subject: int, steps: int) -> Run:
        return Run(
            self._view,
            subject,
            steps,
            self._conditions,
            self._recall,
            self._pause,
        )

    def _ids(self, run: Run, nodes: Collection[int]) -> tuple[str, ...]:
        return sorted_ids(self._view, nodes, run.spend)

    def _by_id(
        self, run: Run, type_: str, waiting: Mapping[int, frozenset[str]]
    ) -> dict[str, tuple[str, ...]]:
        """What the conditional ones wait for, by id."""
        names = {
            self._view.text(node)[len(type_) + 1 :]: tuple(sorted(waiting[node]))
            for piece in spent_pieces(waiting, run.spend)
            for node in piece
        }
        ids = spent_pieces(self._ids(run, waiting), run.spend)
        return {id_: names[id_] for piece in ids for id_ in piece}


def _by_answer(
    answers: Mapping[str, Answer],
) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """What is allowed, and what is conditional with what it waits for."""
    allowed = tuple(name for name, answer in answers.items() if answer is True)
    conditional = {
        name: tuple(sorted(answer))
        for name, answer in answers.items()
        if isinstance(answer, frozenset)
    }
    return allowed, conditional


def _too_deep() -> LimitExceededError:
    return LimitExceededError(
        "the schema's permissions refer to each other too many levels deep to be evaluated"
    )
