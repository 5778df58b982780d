"""The shortest proof that a subject is in a part: the one that follows the fewest relationships.

What is granted is so because other things are, in the end because relationships are there: each
such step is a `Rule`, whose head holds where all its tails do. A proof is a tree of rules. It costs
the relationships that its rules follow, one that is followed twice counted twice. Knuth's
generalisation of Dijkstra's algorithm finds the cheapest ("A generalization of Dijkstra's
algorithm", 1977): heads are settled from the cheapest on, so none is settled twice and cycles need
no care. Of proofs that cost the same it is always the same one.

Rules are made outwards from the question, one relationship farther at a time. A proof that costs
no more than the distance reached is the cheapest of all, since a cheaper one would lie within it.

That nobody is in what an exclusion subtracts is taken as known, and costs nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from relata.engine.parts import Followed, Part, Parts
from relata.engine.reading import Reading
from relata.schema import Arrow, Computed, Exclusion, Intersection, Relation, Self, Union

_PART_STEPS = 10
"""What making the rules of a part costs of a question's budget, in relationships followed."""
_RULE_STEPS = 2
"""What a rule costs each time that the cheapest proof is looked for."""
_GROWTH = 1.5
"""How many times as many rules there must be as when the cheapest proof was last looked for."""


class Rule(NamedTuple):
    """The head grants where all tails do and the relationships hold."""

    head: Part
    tails: Sequence[Part] = ()
    followed: Sequence[Followed] = ()


class Proof(NamedTuple):
    """The rule by which each part grants, and how many relationships its proof follows."""

    rules: Mapping[Part, Rule]
    costs: Mapping[Part, int]


def shortest_proof(parts: Parts, root: Part, reading: Reading) -> Proof:
    """The shortest proof that the subject is in a part, which in this reading it is.

    Raises LimitExceededError where the run's steps are used up.
    """
    search = _Search(parts, reading, root)
    distance = looked_at = 0
    while True:
        distance += 1
        search.reach(distance)
        if search.rules < _GROWTH * looked_at and not search.is_exhausted:
            continue  # there is too little new to look again
        looked_at = search.rules
        proof = search.settled(root)
        if root in proof.rules and (proof.costs[root] <= distance or search.is_exhausted):
            return proof
        if search.is_exhausted:
            raise AssertionError("what is granted has a proof")


class _Search:
    def __init__(self, parts: Parts, reading: Reading, root: Part) -> None:
        self._parts = parts
        self._reading = reading
        self._rules: list[Rule] = []
        self._reached: set[Part] = set()
        self._queued = 0
        self._frontier: list[tuple[int, int, Part]] = [(0, 0, root)]

    @property
    def rules(self) -> int:
        """How many rules have been made."""
        return len(self._rules)

    @property
    def is_exhausted(self) -> bool:
        """Whether every rule has been made."""
        return not self._frontier

    def reach(self, distance: int) -> None:
        """Make the rules of all parts that are nearer, in relationships followed from the root."""
        while self._frontier and self._frontier[0][0] < distance:
            near, _, part = heapq.heappop(self._frontier)
            if part in self._reached:
                continue
            self._reached.add(part)
            self._parts.run.spend(_PART_STEPS)
            for rule in self._rules_of(part):
                self._rules.append(rule)
                for tail in rule.tails:
                    if tail not in self._reached:
                        self._queued += 1
                        beyond = near + len(rule.followed)
                        heapq.heappush(self._frontier, (beyond, self._queued, tail))

    def settled(self, root: Part) -> Proof:
        """The cheapest proofs from the rules made so far, up to the root's."""
        self._parts.run.spend(_RULE_STEPS * len(self._rules))
        proof = Proof(rules := {}, costs := {})
        waiting: dict[Part, list[int]] = {}
        left: list[int] = []
        total: list[tuple[int, int]] = []
        ready: list[tuple[tuple[int, int], int]] = []
        for index, rule in enumerate(self._rules):
            left.append(len(rule.tails))
            total.append((len(rule.followed), 1))
            for tail in rule.tails:
                waiting.setdefault(tail, []).append(index)
            if not rule.tails and self._holds(rule):
                ready.append((total[index], index))
        heapq.heapify(ready)
        while ready and root not in rules:
            (cost, size), index = heapq.heappop(ready)
            head = self._rules[index].head
            if head in rules:
                continue
            rules[head], costs[head] = self._rules[index], cost
            for other in waiting.get(head, ()):
                total[other] = (total[other][0] + cost, total[other][1] + size)
                left[other] -= 1
                if not left[other] and self._holds(self._rules[other]):
                    heapq.heappush(ready, (total[other], other))
        return proof

    def _holds(self, rule: Rule) -> bool:
        return all(self._parts.outcome(it) is True for it in rule.followed)

    def _rules_of(self, part: Part) -> Iterator[Rule]:
        """The rules whose head is a part, in the order of the schema and then of the objects."""
        parts = self._parts
        if parts.is_subject(part):
            yield Rule(part)
        match parts.declared(part):
            case Relation() | Arrow(every=False):
                for followed in self._sorted(parts.followed(part, granting=True)):
                    leads_to = followed.leads_to
                    yield Rule(part, (leads_to,) if isinstance(leads_to, Part) else (), (followed,))
            case Arrow(every=True):
                there = self._sorted(it for it in parts.followed(part) if parts.is_there(it))
                tails = [it.leads_to for it in there if isinstance(it.leads_to, Part)]
                if there and len(tails) == len(there):
                    yield Rule(part, tails, there)
            case Computed() | Union():
                for operand in parts.operands(part):
                    yield Rule(part, (operand,))
            case Intersection():
                yield Rule(part, parts.operands(part))
            case Exclusion():
                base, subtracted = parts.operands(part)
                if not parts.reads(subtracted, self._reading.subtracted()):
                    yield Rule(part, (base,))
            case Self() if parts.reads(part, self._reading):
                yield Rule(part)

    def _sorted(self, followed: Iterator[Followed]) -> list[Followed]:
        text = self._parts.run.view.text
        return sorted(followed, key=lambda it: (text(it.subject), it.kind))
