"""Holds the reference and Relata to SpiceDB: the same questions, put to all three.

An answer of SpiceDB's is one of three things: the same as the reference's; none (too deep, too
slow); or explained, being of one of the shapes that `explained.py` recognises and
`test_differences.py` pins. All are counted. Anything else is a difference. Relata's answer is the
reference's in every case.

Checks are compared whole: allowed, denied, or which names are missing. Of lookups the names are not
compared: SpiceDB's differ from those of its own checks. A lookup of subjects is compared by what it
says of each id and of everybody else. An expansion is compared by the subjects in its leaves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from relata.relationships import WILDCARD, ObjectRef
from relata.schema import compile_schema, model
from tests.reference.engine_answers import unless_failed
from tests.reference.evaluator import Answer, Reference
from tests.spicedb import explained
from tests.spicedb.expansions import Expansions
from tests.spicedb.explained import SpiceDBsReading
from tests.spicedb.questions import (
    CAVEAT,
    DEPTH,
    SELF_LOOKUP,
    TIME,
    Answered,
    Asked,
    Check,
    Expansion,
    Found,
    FoundSubjects,
    Grant,
    Question,
    Refusal,
    Resources,
    Subjects,
)
from tests.spicedb.relata_answers import RelataAnswers
from tests.spicedb.scene import Scene

COMPARED = "compared"
DIFFERENT = "different"
UNANSWERED = (DEPTH, TIME, SELF_LOOKUP)
Verdict = str | None
"""COMPARED, a reason for no answer, an explanation of another answer; or None: a difference."""
State = bool | None
"""Allowed, denied, or None: conditional."""


class Comparison:
    """One scene's answers from three sides. Relata has entered the scene."""

    def __init__(self, scene: Scene, relata: RelataAnswers) -> None:
        schema = compile_schema(scene.schema)
        self.reference = Reference(
            schema, scene.relationships, scene.objects, context=scene.context
        )
        self._reading = SpiceDBsReading(
            schema, scene.relationships, scene.objects, context=scene.context
        )
        self._expansions = Expansions(self.reference, even_false=False)
        self._relata = relata

    def differences(
        self,
        asked: Asked,
        answered: Answered,
        tally: Counter[str],
        alone: Callable[[Check], Found],
    ) -> Iterator[str]:
        """Every question with different answers that nothing explains, as text.

        `alone` asks SpiceDB one check and nothing with it.
        """
        for q, found in zip(asked.questions, answered.answers, strict=True):
            ours, right = self.relatas(q), self.right(q)
            if ours != right:
                yield f"{q}: Relata says {ours}, the reference {right}"
            verdict = self.verdict(q, found)
            if verdict is None and isinstance(q, Check) and self._may_be_mixed_up(q):
                verdict = explained.ALL_TOGETHER if self.verdict(q, alone(q)) else None
            tally[verdict or DIFFERENT] += 1
            if verdict is None:
                yield f"{q}: SpiceDB says {found}, should be {right}"

    def right(self, q: Question) -> object:
        """The reference's answer; None where a caveat that it rests on has failed."""
        match q:
            case Check():
                return self.reference.check(*q)
            case Resources():
                return _whole(self.reference.lookup_resources(*q))
            case Subjects():
                return _whole(self.reference.lookup_subjects(*q))
            case Expansion():
                return unless_failed(lambda: self._expansions.leaves((q.resource, q.name)))

    def relatas(self, q: Question) -> object:
        """Relata's answer, in the same form."""
        match q:
            case Check():
                return self._relata.check(*q)
            case Resources():
                return self._relata.lookup_resources(*q)
            case Subjects():
                ids = [o.id for o in self.reference.objects if o.type == q.type]
                return self._relata.lookup_subjects(*q, ids)
            case Expansion():
                return self._relata.expand(*q)

    def verdict(self, q: Question, found: Found) -> Verdict:
        """What there is to say of SpiceDB's answer."""
        if isinstance(found, Refusal):
            return self._on_refusal(q, found)
        match q:
            case Check():
                assert isinstance(found, bool | frozenset)
                return self._on_check(q, found)
            case Resources():
                assert isinstance(found, Mapping)
                return self._on_resources(q, found)
            case Subjects():
                assert isinstance(found, FoundSubjects)
                return self._on_subjects(q, found)
            case Expansion():
                return self._on_expansion(q, found)

    def _on_refusal(self, q: Question, refusal: Refusal) -> Verdict:
        if refusal.kind in UNANSWERED:
            return refusal.kind
        if refusal.kind != CAVEAT:
            return None
        if self.right(q) is None:
            return COMPARED
        return explained.CAVEAT_NOT_NEEDED if self._may_fail(q) else None

    def _may_fail(self, q: Question) -> bool:
        if isinstance(q, Resources):
            return explained.may_reach_failed_caveat(self.reference, q.type, q.name)
        return explained.reaches_failed_caveat(self.reference, (q.resource, q.name))

    def _on_check(self, q: Check, found: Grant) -> Verdict:
        if found == self.reference.check(*q):
            return COMPARED
        is_read_so = _state(found) is _state(self._reading.check(*q))
        return explained.READ_OTHERWISE if is_read_so else None

    def _may_be_mixed_up(self, q: Check) -> bool:
        """Whether a check comes by `.all()`, where what is asked with it can change its answer."""
        return explained.ALL in explained.parts_below(self.reference, (q.resource, q.name))

    def _on_resources(self, q: Resources, found: Mapping[str, Grant]) -> Verdict:
        right = self.reference.lookup_resources(*q)
        verdicts = {
            self._on_resource(q, id_, right.get(id_, False), found.get(id_, False))
            for id_ in {*right, *found}
        }
        return None if None in verdicts else _least({*verdicts, COMPARED})

    def _on_resource(self, q: Resources, id_: str, right: Answer, found: Grant) -> Verdict:
        if right is not None and _state(found) is _state(right):
            return COMPARED
        node = (ObjectRef(q.type, id_), q.name)
        if explained.is_read_otherwise(self.reference, self._reading, node, q.subject):
            return explained.READ_OTHERWISE
        parts = explained.parts_below(self.reference, node)
        match _state(right), _state(found):
            case (None, False) if model.Exclusion in parts:
                return explained.EXCLUSION_LOSES
            case (None, True) if model.Intersection in parts:
                return explained.INTERSECTION_GRANTS
            case (True | None, False) | (True, None) if explained.ALL in parts:
                return explained.ALL_LOSES
        return None

    def _on_subjects(self, q: Subjects, found: FoundSubjects) -> Verdict:
        node = (q.resource, q.name)
        right = self.reference.lookup_subjects(*q)
        failed = {id_ for id_, answer in right.items() if answer is None}
        wrong = failed | (found.listed.keys() - right.keys())
        wrong |= {id_ for id_ in right if _state(right[id_]) is not _said_of(id_, found)}
        if not wrong:
            return COMPARED
        if wrong <= explained.ids_of_self(self.reference, node):
            return explained.SELF_OF_ANY_KIND
        if explained.reaches_untargeted_all(self.reference, node):
            return explained.ALL_SKIPS_TYPES
        return None

    def _on_expansion(self, q: Expansion, found: Found) -> Verdict:
        if found == self.right(q):
            return COMPARED
        with_false = Expansions(self.reference, even_false=True).leaves((q.resource, q.name))
        return explained.EXPANSION_HAS_FALSE if found == with_false else None


def _whole(answers: Mapping[str, Answer]) -> Mapping[str, Answer] | None:
    """A list of answers; None where one of them has failed."""
    return None if None in answers.values() else answers


def _least(verdicts: set[Verdict]) -> Verdict:
    """One of several: an explanation before COMPARED."""
    explanations = sorted(filter(None, verdicts - {COMPARED}))
    return explanations[0] if explanations else COMPARED


def _state(answer: Answer) -> State:
    return answer if isinstance(answer, bool) else None


def _said_of(id_: str, found: FoundSubjects) -> State:
    """What a lookup of subjects says of an id: listed, or in `*` and not excepted."""
    listed = _state(found.listed.get(id_, False))
    excepted = _state(found.excepted.get(id_, False))
    everybody = _state(found.listed.get(WILDCARD, False))
    return _or(listed, _and(everybody, _not(excepted)))


def _not(state: State) -> State:
    return None if state is None else not state


def _and(one: State, other: State) -> State:
    if one is False or other is False:
        return False
    return None if one is None or other is None else True


def _or(one: State, other: State) -> State:
    return _not(_and(_not(one), _not(other)))
