"""The engine with one fault each: defects that engines of this kind have had.

A mutant replaces one named function of the engine; if that function is gone, the mutant fails
rather than passes unnoticed. `test_mutants.py` proves that the comparison with the reference finds
each of them.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

import pytest
from msgspec import structs

from relata.caveats import Outcome
from relata.engine import Answer, Engine, FoundResources, Session, check
from relata.engine.check import Check, Checks, Run
from relata.engine.conditions import Conditions
from relata.engine.flat import Closure, Flats, State
from relata.engine.lookup_resources import BackwardSearch
from relata.engine.lookup_subjects import SubjectSet, SubjectSets
from relata.engine.memory import Memory
from relata.engine.nodes import Nodes
from relata.engine.plan import Direct, Name, Plan, Public, Same, Term, _Terms
from relata.engine.reading import HOPEFULLY, SURELY, Reading
from relata.engine.solve import Equation, Fixed, Key, solve
from relata.engine.ways import Group, Place
from relata.errors import RelataError
from relata.graph import Edge, Edges, Names, Resident, Trait, View, resident
from relata.relationships import Kind, Relationship, SubjectRef, relationship_kind

Patch = pytest.MonkeyPatch
Mutant = Callable[[Patch], None]


def intersection_is_a_union(patch: Patch) -> None:
    """`a & b` is satisfied by either."""
    patch.setattr(check, "_all_of", check._any_of)


def exclusion_is_ignored(patch: Patch) -> None:
    """`a - b` is `a`."""
    patch.setattr(check, "_minus", lambda base, subtracted: base)


def subject_relation_is_ignored(patch: Patch) -> None:
    """A stored `team:t#member` is taken for `team:t` itself."""
    stored = _Terms._stored

    def careless(self: _Terms, number: int, kind: Kind) -> Term:
        return stored(self, number, structs.replace(kind, subject_relation=""))

    patch.setattr(_Terms, "_stored", careless)


def wildcard_matches_usersets(patch: Patch) -> None:
    """`team:*` holds `team:t#member`."""
    stored = _Terms._stored

    def generous(self: _Terms, number: int, kind: Kind) -> Term:
        if kind.wildcard and kind.subject_type == self.subject_type:
            return Public(number)
        return stored(self, number, kind)

    patch.setattr(_Terms, "_stored", generous)


def wildcard_matches_itself_alone(patch: Patch) -> None:
    """`user:*` is a user called `*`."""
    stored = _Terms._stored

    def literal(self: _Terms, number: int, kind: Kind) -> Term:
        term = stored(self, number, kind)
        return Direct(number) if isinstance(term, Public) else term

    patch.setattr(_Terms, "_stored", literal)


def userset_is_not_in_itself(patch: Patch) -> None:
    """`team:t#member` is not in `team:t#member`."""
    term = _Terms._term

    def strict(self: _Terms, name: Name) -> Term:
        whose = self.subject_type, self.subject_relation
        self.subject_type, self.subject_relation = whose[0], whose[1] and "\0"
        try:
            return term(self, name)
        finally:
            self.subject_type, self.subject_relation = whose

    patch.setattr(_Terms, "_term", strict)


def all_over_nothing_allows(patch: Patch) -> None:
    """`.all()` over no subjects holds everybody."""
    every = check._every

    def vacuous(steps: Sequence[tuple[int, Check | None, Closure | None, bool]]) -> Check:
        function = every(steps)

        def allowed(run: Run, node: int) -> bool:
            nothing = all(run.forward[kind].get(node) is None for kind, *_ in steps)
            return nothing or function(run, node)

        return allowed

    patch.setattr(check, "_every", vacuous)


def all_skips_types_without_the_target(patch: Patch) -> None:
    """`.all()` asks only those objects that have the target."""
    every = check._every
    patch.setattr(check, "_every", lambda steps: every([s for s in steps if s[1] is not None]))


def arrow_keeps_the_first_parent(patch: Patch) -> None:
    """Of several parents or groups only the one whose id sorts first is asked."""

    def through(self: Checks, kind: int, number: int, reading: Reading) -> Check:
        target = self.of(number, reading)

        def first(run: Run, node: int) -> bool:
            others = run.forward[kind].get(node)
            return others is not None and target(run, min(others, key=run.view.text))

        return first

    patch.setattr(Checks, "_through", through)


def cut_cycle_is_remembered(patch: Patch) -> None:
    """What was found false because a cycle was cut there is remembered as false for good."""

    def search_from(
        entry: int,
        size: int,
        leaves: Sequence[Sequence[Check]],
        edges: Sequence[Sequence[tuple[int, int, bool]]],
        memory: int,
        unknown: bool,
    ) -> Callable[[Run, Collection[int]], bool]:
        def visit(run: Run, node: int, member: int, way: frozenset[int]) -> bool:
            key = node * size + member
            known = run.known_to(memory)
            if key in way:
                return False
            if key not in known:
                known[key] = any(leaf(run, node) for leaf in leaves[member]) or any(
                    visit(run, other, target, way | {key})
                    for kind, target, conditional in edges[member]
                    for other in ((node,) if kind < 0 else run.forward[kind].get(node) or ())
                    if not conditional or run.holds(kind, node, other, unknown)
                )
            return known[key]

        return lambda run, starts: any(visit(run, node, entry, frozenset()) for node in starts)

    patch.setattr(check, "_search", search_from)


def undefined_is_granted(patch: Patch) -> None:
    """What rests on its own absence is granted."""

    def upper(
        equations: Mapping[Key, Equation[bool]],
        algebra: check.Booleans,
        spend: Callable[[int], None],
    ) -> dict[Key, Fixed[bool]]:
        solved = solve(equations, algebra, spend)
        return {key: Fixed(v.high, v.high) for key, v in solved.items()}

    patch.setattr(check, "solve", upper)


def undefined_counts_as_absent(patch: Patch) -> None:
    """Subtracting what is undefined takes nothing away."""
    patch.setattr(Plan, "_reaching_exclusion_cycle", lambda self, graph: set())


def contextual_relationships_leak(patch: Patch) -> None:
    """Relationships of one question are still there for the next."""
    changed = View.changed

    def leaking(self: View, added: Iterable[Edge] = (), removed: Iterable[Edge] = ()) -> View:
        view = changed(self, added, removed)
        self.forward, self.reverse = view.forward, view.reverse
        self._local_nodes, self._local_texts = view._local_nodes, view._local_texts
        return view

    patch.setattr(View, "changed", leaking)
    patch.setattr(View, "own", lambda self: self)


def contextual_relationships_are_read_one_way(patch: Patch) -> None:
    """A search from the subject's side does not see contextual relationships."""
    changed = View.changed

    def forward_only(self: View, added: Iterable[Edge] = (), removed: Iterable[Edge] = ()) -> View:
        view = changed(self, added, removed)
        view.reverse = self.reverse
        return view

    patch.setattr(View, "changed", forward_only)


def memory_ignores_the_subject(patch: Patch) -> None:
    """What is known of one subject is believed of the next of its kind."""
    run_of = Session._run
    shared: dict[tuple[int, str, str], dict[int, dict[int, bool]]] = {}

    def forgetful(self: Session, subject: SubjectRef) -> tuple[Plan, Checks, Run]:
        plan, checks, run = run_of(self, subject)
        run.known = shared.setdefault((id(self), subject.type, subject.relation), run.known)
        return plan, checks, run

    patch.setattr(Session, "_run", forgetful)


def ids_are_compared_without_case(patch: Patch) -> None:
    """`user:A` and `user:a` are one user."""
    intern = Names.intern
    patch.setattr(Names, "intern", lambda self, text: intern(self, text.lower()))
    node = View.node
    patch.setattr(View, "node", lambda self, text: node(self, text.lower()))


def stale_relationships_count(patch: Patch) -> None:
    """A stored `team:t#member` counts where the schema allows only `team`."""

    def loose(relationship: Relationship) -> Kind:
        return structs.replace(relationship_kind(relationship), subject_relation="")

    def edges_of(self: Resident, kind: Kind) -> Edges:
        return original(self, structs.replace(kind, subject_relation=""))

    original = Resident._edges_of
    patch.setattr(resident, "relationship_kind", loose)
    patch.setattr(Resident, "_edges_of", edges_of)


def lookup_of_resources_trusts_suggestions(patch: Patch) -> None:
    """A resource that one operand suggests is listed unchecked."""
    patch.setattr(BackwardSearch, "_satisfying", lambda self, parts, nodes: nodes)


def lookup_of_resources_forgets_wildcards(patch: Patch) -> None:
    """A resource that is public is not listed for a subject that is not named there."""
    coming = BackwardSearch._coming

    def private(self: BackwardSearch, place: Place, found: Sequence[Nodes]) -> Nodes:
        return coming(self, structs.replace(place, public=()), found)

    patch.setattr(BackwardSearch, "_coming", private)


def lookup_of_resources_stops_after_one_round(patch: Patch) -> None:
    """Of places that lead to each other, each is gone from once."""
    go_round = BackwardSearch._go_round

    def once(
        self: BackwardSearch, group: Group, places: Sequence[Place], found: Sequence[Nodes]
    ) -> None:
        go_round(self, structs.replace(group, inside={}), places, found)

    patch.setattr(BackwardSearch, "_go_round", once)


def ways_join_what_others_come_from(patch: Patch) -> None:
    """A relation that several permissions ask for is put into the first one alone."""
    layout = import_module("relata.engine.ways")._Layout
    join = layout._join

    def greedy(self: Any) -> None:
        for draft in self._drafts.values():
            draft.steps = [(None, source) for _, source in draft.steps]
        join(self)

    patch.setattr(layout, "_join", greedy)


def lookup_of_subjects_stops_after_one_round(patch: Patch) -> None:
    """Of unions that lead to each other, each is gone from once."""
    module = import_module("relata.engine.lookup_subjects")
    patch.setattr(module, "_go_round", lambda group, run, reached: None)


def lookup_of_subjects_forgets_exclusions(patch: Patch) -> None:
    """Beside a wildcard, those whom an exclusion takes away are not listed as excluded."""
    minus = SubjectSets.minus

    def forgetful(self: SubjectSets, base: SubjectSet, subtracted: SubjectSet) -> SubjectSet:
        found = minus(self, base, subtracted)
        return SubjectSet(found.nodes, found.wildcard)

    patch.setattr(SubjectSets, "minus", forgetful)


def lookup_of_subjects_loses_a_wildcard_in_intersections(patch: Patch) -> None:
    """A named subject is dropped where it meets a wildcard."""

    def meet(self: SubjectSets, values: Sequence[SubjectSet]) -> SubjectSet:
        nodes = frozenset(values[0].nodes).intersection(*(value.nodes for value in values))
        return SubjectSet(nodes)

    patch.setattr(SubjectSets, "meet", meet)


def caveats_are_ignored(patch: Patch) -> None:
    """Whatever a caveat says, its relationship holds."""
    patch.setattr(Conditions, "outcome", lambda self, kind, trait, _: not self.has_expired(trait))


def _count_unknown_as(answer: bool, patch: Patch) -> None:
    holds = Run.holds

    def decided(self: Run, kind: int, resource: int, subject: int, unknown: bool) -> bool:
        return holds(self, kind, resource, subject, answer)

    patch.setattr(Run, "holds", decided)


def unknown_is_granted(patch: Patch) -> None:
    """What waits for context is granted meanwhile."""
    _count_unknown_as(True, patch)


def unknown_is_denied(patch: Patch) -> None:
    """What waits for context is denied meanwhile, and nobody is told."""
    _count_unknown_as(False, patch)


def unknown_is_not_turned_over(patch: Patch) -> None:
    """An exclusion takes what it subtracts for granted or not as its base does."""
    patch.setattr(Reading, "subtracted", lambda self: Reading(not self.undefined, self.unknown))


def the_question_s_context_comes_first(patch: Patch) -> None:
    """A caller can override the context that is stored."""
    outcome = Conditions.outcome

    def override(
        self: Conditions, kind: int, trait: Trait, spend: Callable[[int], None]
    ) -> Outcome:
        stored = json.loads(trait.context) if trait.context else {}
        left = {name: value for name, value in stored.items() if name not in self._context}
        return outcome(self, kind, trait._replace(context=json.dumps(left)), spend)

    patch.setattr(Conditions, "outcome", override)


def what_has_expired_still_grants(patch: Patch) -> None:
    """A relationship outlives its expiration."""
    patch.setattr(Conditions, "now", 0)


def contextual_relationships_do_not_replace(patch: Patch) -> None:
    """Beside a contextual relationship the stored one of the same key still counts."""
    patch.setattr(Engine, "_edges_of_key", lambda self, relationship: iter(()))


def all_loses_what_does_not_hold(patch: Patch) -> None:
    """`.all()` leaves out the relationships whose caveats are false."""

    def is_there(self: Run, kind: int, resource: int, subject: int) -> bool:
        return self.outcome(kind, resource, subject) is not False

    patch.setattr(Run, "is_there", is_there)


def all_that_is_unknown_is_missing(patch: Patch) -> None:
    """Parameters of branches that do not matter are asked for too."""
    module = import_module("relata.engine.unknown")
    is_unknown = module._Search._is_unknown

    def careless(self: Any, term: Term, *at: Any) -> bool:
        combined = not isinstance(term, Direct | Public | Same)
        return combined or bool(is_unknown(self, term, *at))

    def over(
        self: Any, steps: Iterable[tuple[int, int | None]], node: int, is_subtracted: bool
    ) -> Iterator[Outcome]:
        for kind, target in steps:
            for other in self._at(kind, node):
                yield self._edge(kind, node, other)
                if target is not None:
                    self._reach(target, other, is_subtracted)

    patch.setattr(module._Search, "_is_unknown", careless)
    patch.setattr(module._Search, "_over", over)


def subtracted_parameters_are_not_missed(patch: Patch) -> None:
    """What an exclusion waits for is not asked for."""
    module = import_module("relata.engine.unknown")
    term_of = module._Search._term

    def base_only(self: Any, term: Term, node: int, is_subtracted: bool) -> Iterator[Any]:
        return iter(()) if is_subtracted else term_of(self, term, node, is_subtracted)

    patch.setattr(module._Search, "_term", base_only)


def one_branch_s_parameters_are_lost(patch: Patch) -> None:
    """Of two conditional ways only one is reported."""
    module = import_module("relata.engine.unknown")
    over = module._Search._over

    def first(self: Any, *arguments: Any) -> Iterator[Any]:
        yield from itertools.islice(over(self, *arguments), 1)

    patch.setattr(module._Search, "_over", first)


def a_failed_caveat_denies(patch: Patch) -> None:
    """A division by zero is taken for a no."""
    outcome = Conditions.outcome

    def denying(self: Conditions, kind: int, trait: Trait, spend: Callable[[int], None]) -> Outcome:
        found = outcome(self, kind, trait, spend)
        return False if isinstance(found, RelataError) else found

    patch.setattr(Conditions, "outcome", denying)


def conditional_resources_are_listed_as_allowed(patch: Patch) -> None:
    """A lookup of resources forgets what its results wait for."""
    answer = Session._answer

    def certain(self: Session, *arguments: Any) -> Answer:
        return bool(answer(self, *arguments)) or True

    look_up = Session.lookup_resources

    def careless(self: Session, *arguments: Any) -> FoundResources:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(Session, "_answer", certain)
            return look_up(self, *arguments)

    patch.setattr(Session, "lookup_resources", careless)


def memory_is_shared_between_readings(patch: Patch) -> None:
    """What is found where unknown counts as true is believed where it counts as false."""
    key = Checks._key

    def merged(self: Checks, number: int, reading: Reading) -> tuple[int, Reading]:
        return key(self, number, SURELY if reading == HOPEFULLY else reading)

    patch.setattr(Checks, "_key", merged)


def answers_outlive_a_write(patch: Patch) -> None:
    """What was answered at one revision is answered at the next."""

    def begin(self: Memory, revision: int) -> None:
        self.answers.revision = revision

    patch.setattr(Memory, "_begin_answers", begin)


def closures_outlive_a_write(patch: Patch) -> None:
    """A subject stays in the groups that it was in."""
    patch.setattr(Closure, "forget", lambda *_: None)


def flats_outlive_a_write(patch: Patch) -> None:
    """What was written at a node stays there."""
    patch.setattr(Flats, "_forget_above", lambda *_: True)


def only_the_node_written_to_is_forgotten(patch: Patch) -> None:
    """The flats of what leads to it are not."""
    forget = Flats._forget_above

    def forget_there(
        self: Flats, memory: Memory, view: View, pending: list[tuple[State, int]]
    ) -> bool:
        with pytest.MonkeyPatch.context() as inner:
            for state, _ in pending:
                inner.setattr(state, "sources", [])
            return forget(self, memory, view, pending)

    patch.setattr(Flats, "_forget_above", forget_there)


COMMON: Sequence[Mutant] = (
    intersection_is_a_union,
    exclusion_is_ignored,
    subject_relation_is_ignored,
    wildcard_matches_usersets,
    wildcard_matches_itself_alone,
    userset_is_not_in_itself,
    all_over_nothing_allows,
    arrow_keeps_the_first_parent,
    cut_cycle_is_remembered,
    undefined_is_granted,
    contextual_relationships_leak,
    contextual_relationships_are_read_one_way,
    memory_ignores_the_subject,
    ids_are_compared_without_case,
    stale_relationships_count,
    lookup_of_resources_trusts_suggestions,
    lookup_of_resources_forgets_wildcards,
    lookup_of_resources_stops_after_one_round,
    ways_join_what_others_come_from,
    lookup_of_subjects_stops_after_one_round,
    lookup_of_subjects_loses_a_wildcard_in_intersections,
)
"""What worlds drawn at random find soon."""

CONDITIONAL: Sequence[Mutant] = (
    caveats_are_ignored,
    unknown_is_granted,
    unknown_is_denied,
    unknown_is_not_turned_over,
    the_question_s_context_comes_first,
    what_has_expired_still_grants,
    contextual_relationships_do_not_replace,
    all_loses_what_does_not_hold,
    all_that_is_unknown_is_missing,
    subtracted_parameters_are_not_missed,
    one_branch_s_parameters_are_lost,
    a_failed_caveat_denies,
    conditional_resources_are_listed_as_allowed,
    memory_is_shared_between_readings,
)
"""What worlds with caveats and expirations find soon."""

FORGETFUL: Sequence[Mutant] = (
    answers_outlive_a_write,
    closures_outlive_a_write,
    flats_outlive_a_write,
    only_the_node_written_to_is_forgotten,
)
"""What a few writes between questions find."""

RARE: Sequence[Mutant] = (
    all_skips_types_without_the_target,
    undefined_counts_as_absent,
    lookup_of_subjects_forgets_exclusions,
)
"""What takes hundreds or thousands of worlds to find, and is found by the exhaustive shapes."""
