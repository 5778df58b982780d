"""Questions over a graph: check, expand, and lookups in every direction.

An `Engine` belongs to one schema and reads `View`s of a graph. It checks the names in a question
against the schema, picks the plan for the question's kind of subject, and runs it. It knows
neither the store nor how fresh a view is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import msgspec

from relata.engine.answers import ExpandNode, FoundSubjects, Permissionship
from relata.engine.check import Checks, Run
from relata.engine.expand import expand
from relata.engine.lookup_resources import lookup_resources
from relata.engine.lookup_subjects import lookup_subjects
from relata.engine.plan import Numbering, Plan, nesting
from relata.errors import (
    InvalidArgumentError,
    LimitExceededError,
    UnknownDefinitionError,
    UnknownRelationError,
)
from relata.graph import Edge, View
from relata.relationships import (
    Kind,
    ObjectRef,
    Relationship,
    SubjectRef,
    relationship_kind,
)
from relata.schema import Definition, Schema

__all__ = [
    "Engine",
    "ExpandNode",
    "FoundSubjects",
    "Permissionship",
    "Session",
    "WorkLimits",
]


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
        self._numbering = Numbering(schema)
        self._compiled: dict[tuple[str, str], tuple[Plan, Checks]] = {}

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of relationships that the schema allows; views are made for these."""
        return self._numbering.kinds

    def compiled(self, subject_type: str, subject_relation: str) -> tuple[Plan, Checks]:
        """The plan for one kind of subject, made on first use.

        The kind must be of the schema.
        """
        key = (subject_type, subject_relation)
        found = self._compiled.get(key)
        if found is None:
            plan = Plan(self._numbering, subject_type, subject_relation)
            found = self._compiled[key] = (plan, Checks(plan))
        return found

    def require_shallow(self) -> None:
        """Raise LimitExceededError where permissions refer to each other too many levels deep."""
        if nesting(self._numbering) > MAX_NESTING:
            raise LimitExceededError(
                f"permissions refer to each other more than {MAX_NESTING} levels deep",
                field="schema",
            )

    def extend(self, view: View, relationships: Iterable[Relationship]) -> View:
        """A view that also has contextual relationships, which the schema must allow."""
        return view.changed(added=self._edges(relationships))

    def before(self, view: View, changes: Iterable[tuple[bool, Relationship]]) -> View:
        """A view as it was before some changes, each an addition or not, in their order.

        What the first change of a relationship did is what was not so before.
        """
        first: dict[Relationship, bool] = {}
        for added, relationship in changes:
            first.setdefault(relationship, added)
        return view.changed(
            added=self._edges(it for it, added in first.items() if not added),
            removed=self._edges(it for it, added in first.items() if added),
        )

    def without_stored(self, view: View, relations: Collection[str]) -> View:
        """A view that sees nothing stored of some relations (`organization#chosen_by`)."""
        return view.blind_to(
            number
            for number, kind in enumerate(self.kinds)
            if f"{kind.resource_type}#{kind.relation}" in relations
        )

    def _edges(self, relationships: Iterable[Relationship]) -> Iterator[Edge]:
        for relationship in relationships:
            number = self._numbering.kind_number.get(relationship_kind(relationship))
            if number is not None:
                resource, subject = relationship.resource, relationship.subject.object
                yield number, str(resource), str(subject)

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
        number = self._numbering.name_number.get((type_, name))
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


class Session:
    """Questions at one revision: an engine, a view, and what each subject's questions found.

    Not thread-safe, and valid only while the view does not change.
    """

    def __init__(self, engine: Engine, view: View, limits: WorkLimits) -> None:
        self._engine = engine
        self._view = view
        self._limits = limits
        self._runs: dict[SubjectRef, tuple[Checks, Run]] = {}
        self._steps_left = limits.lookup_steps

    def check(
        self,
        resource: ObjectRef,
        permission: str,
        subject: SubjectRef,
        *,
        steps: int | None = None,
    ) -> bool:
        """Whether the subject is in the permission of the resource.

        Follows at most `steps` relationships, if that is less than the limit.
        """
        engine = self._engine
        number = engine.number(resource.type, permission, type_field="resource", field="permission")
        checks, run = self._run(subject)
        most = self._limits.check_steps if steps is None else min(steps, self._limits.check_steps)
        run.steps = allowed = min(most, self._steps_left)
        try:
            return checks.of(number)(run, self._view.node(str(resource)))
        except RecursionError:
            raise _too_deep() from None
        finally:
            self._steps_left -= allowed - max(0, run.steps)

    def lookup_permissions(self, resource: ObjectRef, subject: SubjectRef) -> tuple[str, ...]:
        """Every permission (not relation) of the resource that the subject has, sorted."""
        definition = self._engine.definition(resource.type, field="resource")
        return tuple(
            name for name in sorted(definition.permissions) if self.check(resource, name, subject)
        )

    def lookup_resources(
        self, resource_type: str, permission: str, subject: SubjectRef
    ) -> tuple[str, ...]:
        """The ids of every resource of a type that the subject has the permission on, sorted."""
        number = self._engine.number(
            resource_type, permission, type_field="resource_type", field="permission"
        )
        checks, run = self._run(subject)
        run.steps = self._limits.lookup_steps
        plan, _ = self._engine.compiled(subject.type, subject.relation)
        try:
            found = lookup_resources(plan, checks, run, number)
        except RecursionError:
            raise _too_deep() from None
        return self._ids(found)

    def lookup_subjects(
        self, resource: ObjectRef, permission: str, subject_type: str, subject_relation: str
    ) -> FoundSubjects:
        """Every subject of a kind that has the permission on the resource."""
        engine = self._engine
        number = engine.number(resource.type, permission, type_field="resource", field="permission")
        engine.require_subject_kind(
            subject_type, subject_relation, type_field="subject_type", field="subject_relation"
        )
        plan, _ = engine.compiled(subject_type, subject_relation)
        run = Run(self._view, 0, self._limits.lookup_steps)
        try:
            found = lookup_subjects(plan, run, number, self._view.node(str(resource)))
        except RecursionError:
            raise _too_deep() from None
        return FoundSubjects(self._ids(found.nodes), found.wildcard, self._ids(found.excluded))

    def expand(self, resource: ObjectRef, permission: str) -> ExpandNode:
        """The tree of who is in the permission of the resource."""
        engine = self._engine
        engine.number(resource.type, permission, type_field="resource", field="permission")
        return expand(
            engine._numbering,
            self._view,
            self._view.node(str(resource)),
            (resource.type, permission),
            max_nodes=self._limits.expand_nodes,
            max_depth=self._limits.expand_depth,
        )

    def _run(self, subject: SubjectRef) -> tuple[Checks, Run]:
        found = self._runs.get(subject)
        if found is None:
            self._engine.require_subject(subject)
            _, checks = self._engine.compiled(subject.type, subject.relation)
            run = Run(self._view, self._view.node(f"{subject.type}:{subject.id}"), 0)
            found = self._runs[subject] = (checks, run)
        return found

    def _ids(self, nodes: Iterable[int]) -> tuple[str, ...]:
        text = self._view.text
        return tuple(sorted([text(node).partition(":")[2] for node in nodes]))


def _too_deep() -> LimitExceededError:
    return LimitExceededError(
        "the schema's permissions refer to each other too many levels deep to be evaluated"
    )
