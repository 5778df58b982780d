"""Checks by texts, of what the graph knows, beside writes and without a lock: the shortest way.

A text that the graph has a name for is well formed and says its type, so nothing is parsed. What is
asked must be plain: of names and kinds that the schema has, from which no caveat and no expiration
can be reached. For everything else the answer is None, and a session has to be asked.
"""

from __future__ import annotations

from contextlib import suppress
from sys import intern
from typing import TYPE_CHECKING, NamedTuple

from relata.engine.check import Check, Run
from relata.engine.flat import ByMemory, NotRememberedError
from relata.engine.memory import Memory, Recall
from relata.errors import LimitExceededError
from relata.graph import View

if TYPE_CHECKING:
    from relata.engine import Engine


class _Checks(NamedTuple):
    """Two ways to check one name for subjects of one type."""

    by_memory: ByMemory | None
    following: Check


class TextChecks:
    """The checks of an engine over the present graph. Threads may share it."""

    def __init__(self, engine: Engine, view: View, memory: Memory, steps: int) -> None:
        self._engine = engine
        self._view = view
        self._memory = memory
        self._steps = steps
        self._forward = view.forward
        self._nodes = view.names.nodes
        self._texts = view.names.texts
        self._types = view.names.types
        self._checks: dict[tuple[str, int, int], _Checks] = {}

    def answer(self, resource: str, permission: str, subject: str) -> tuple[bool, int] | None:
        """The answer and its revision.

        None where the question is not plain, follows more than the `steps` of relationships, or
        meets a write.
        """
        memory = self._memory
        sequence = memory.sequence
        answers = memory.answers
        question = (resource, permission, subject)
        allowed = answers.get(question)
        if allowed is None:
            allowed = self._find(question, sequence)
            if allowed is None or memory.sequence != sequence:
                return None
            if memory.most_answers:
                memory.keep_answer(answers, self._own(question), allowed)
        return allowed, answers.revision

    def _find(self, question: tuple[str, str, str], sequence: int) -> bool | None:
        resource, permission, subject = question
        node, asking = self._nodes.get(resource), self._nodes.get(subject)
        if sequence & 1 or node is None or asking is None:
            return None
        types = self._types
        key = (permission, types[node], types[asking])
        checks = self._checks.get(key) or self._compile(key)
        if checks is None:
            return None
        by_memory, following = checks
        try:
            if by_memory is not None:
                with suppress(NotRememberedError):
                    return by_memory(self._forward, self._memory.tables, asking, node, None)
            return following(self._run(asking, sequence), node)
        except (RuntimeError, LimitExceededError):  # a set that a write changes; recursion
            return None

    def _own(self, question: tuple[str, str, str]) -> tuple[str, str, str]:
        """The question in the graph's own texts, so that no other needs to be kept."""
        resource, permission, subject = question
        texts, nodes = self._texts, self._nodes
        own = intern(str.__str__(permission))  # of an enumeration's member, the text that it is
        return texts[nodes[resource]], own, texts[nodes[subject]]

    def _run(self, asking: int, sequence: int) -> Run:
        return Run(self._view, asking, self._steps, recall=Recall(self._memory, sequence))

    def _compile(self, key: tuple[str, int, int]) -> _Checks | None:
        permission, type_, subject_type = key
        engine, type_names = self._engine, self._view.names.type_names
        if type_names[subject_type] not in engine.schema.definitions:
            return None
        number = engine.numbering.name_number.get((type_names[type_], permission))
        if number is None:
            return None
        plan, checks = engine.compiled(type_names[subject_type], "")
        if number in plan.conditional:
            return None
        made = _Checks(checks.by_memory(number), checks.of(number))
        self._checks[key] = made
        return made
