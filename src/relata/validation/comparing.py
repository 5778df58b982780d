"""Expected relations: everybody in a relation or permission, compared with everybody listed.

The comparison is exact, both ways: who is there, through which relations, whom a wildcard leaves
out, and who is there on a condition.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from relata.errors import LimitExceededError
from relata.relationships import SubjectRef
from relata.schema.source import quote
from relata.validation.members import MAYBE, Found, Graph, Members
from relata.validation.model import ExpectedRelation, ExpectedSubject, Marked, Scenario
from relata.validation.report import Failure, failure

_SHOWN = 5
"""How many subjects a hint names."""
_LONGEST = 200


def compared(scenario: Scenario, expected: ExpectedRelation, graph: Graph) -> Iterator[Failure]:
    """What is different from what a scenario expects of one relation or permission."""
    return _Comparison(scenario, expected).failures(graph)


def expected_text(subject: SubjectRef, found: Found) -> str:
    """The line of an expected relation that says what was found."""
    return f"[{_member_text(subject, found)}] is {_path(found.through)}"


def listed_subjects(members: Members) -> str:
    """The first few of some subjects, and how many more there are."""
    first = sorted(members)[:_SHOWN]
    shown = [quote(_member_text(subject, members[subject]), _LONGEST) for subject in first]
    more = len(members) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


class _Comparison:
    def __init__(self, scenario: Scenario, expected: ExpectedRelation) -> None:
        self._source = scenario.source
        self._expected = expected
        self._shown = quote(f"{expected.resource}#{expected.name}", _LONGEST)

    def failures(self, graph: Graph) -> Iterator[Failure]:
        node = (self._expected.resource, self._expected.name)
        if not graph.has(node):
            message = f"the schema has no {quote(f'{node[0].type}#{node[1]}')}"
            yield self._failure(self._expected.at, message, hint=graph.similar(node))
            return
        try:
            members = graph.members(node)
        except LimitExceededError as error:
            message = f"{self._shown} has no answer: {error.message}"
            yield self._failure(self._expected.at, message)
            return
        for subject in self._expected.subjects:
            found = members.get(subject.who.subject)
            if found is None:
                yield self._missing(subject, members)
            else:
                yield from self._differences(subject, found)
        named = {subject.who.subject for subject in self._expected.subjects}
        for who in sorted(members.keys() - named):
            yield self._failure(
                self._expected.at,
                f"{self._shown} has `{who}`, whom it does not list",
                answered=expected_text(who, members[who]),
                hint=f'if that is right, add - "{expected_text(who, members[who])}"',
            )

    def _missing(self, subject: ExpectedSubject, members: Members) -> Failure:
        there = f"those it has are {listed_subjects(members)}" if members else "it has nobody"
        message = f"{self._shown} does not have `{subject.who.subject}`"
        return self._failure(subject.at, message, expected=str(subject.who), hint=there)

    def _differences(self, expected: ExpectedSubject, found: Found) -> Iterator[Failure]:
        who = expected.who.subject
        shown = f"`{who}` of {self._shown}"
        excluded = _excluded(found)
        if found.through != expected.through:
            yield self._failure(
                expected.at,
                f"{shown} is there through other relations than those listed",
                expected=_path(expected.through),
                answered=_path(found.through),
                hint=f"it is {_path(found.through)}",
            )
        if excluded != expected.excluded:
            yield self._failure(
                expected.at,
                f"{shown} leaves out others than those listed",
                expected=_braced(expected.excluded),
                answered=_braced(excluded),
                hint=f"it leaves out {_braced(excluded)}" if excluded else "it leaves out nobody",
            )
        mark = Marked(who, found.level == MAYBE)
        if mark != expected.who:
            yield self._failure(
                expected.at,
                f"{shown} hangs on {'a' if mark.conditional else 'no'} caveat",
                expected=str(expected.who),
                answered=str(mark),
                hint=f"write `{mark}`",
            )

    def _failure(
        self, at: int, message: str, *, expected: str = "", answered: str = "", hint: str = ""
    ) -> Failure:
        return failure(
            self._source.diagnostic(at, message),
            "expected_relation",
            expected=expected,
            answered=answered,
            hint=hint,
        )


def _member_text(subject: SubjectRef, found: Found) -> str:
    who = str(Marked(subject, found.level == MAYBE))
    return f"{who} - {_braced(_excluded(found))}" if found.excluded else who


def _excluded(found: Found) -> frozenset[Marked]:
    return frozenset(Marked(subject, out.level == MAYBE) for subject, out in found.excluded.items())


def _braced(excluded: Iterable[Marked]) -> str:
    return f"{{{', '.join(map(str, sorted(excluded)))}}}"


def _path(through: Iterable[str]) -> str:
    return "/".join(f"<{name}>" for name in sorted(through))
