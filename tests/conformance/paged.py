"""`Relata` as `Answers`: every question through the authorizer, its lookups fetched in pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from relata import Consistency, Permissionship, Relata
from relata.engine import FoundSubjects
from relata.relationships import WILDCARD, ObjectRef, SubjectRef
from relata.results import CheckResult, ResourcesResult, SubjectsResult
from tests.reference.compare import Found
from tests.reference.engine_answers import answers_of, by_answer, unless_failed
from tests.reference.evaluator import Answer

Checks = dict[tuple[ObjectRef, str, SubjectRef], Answer]
"""The answers to checks that have been asked."""

P = TypeVar("P", ResourcesResult, SubjectsResult)


class PagedAnswers:
    """Answers with one context, at one consistency, in pages of one size.

    A check that `checks` has the answer to is not asked again.
    """

    def __init__(
        self,
        relata: Relata,
        consistency: Consistency,
        checks: Checks,
        *,
        page: int | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> None:
        self._relata = relata
        self._consistency = consistency
        self._checks = checks
        self._page = page
        self._context = context or {}

    def check(self, resource: ObjectRef, name: str, subject: SubjectRef) -> Answer:
        key = (resource, name, subject)
        if key not in self._checks:
            self._checks[key] = unless_failed(lambda: self._check(*key))
        return self._checks[key]

    def _check(self, resource: ObjectRef, name: str, subject: SubjectRef) -> Answer:
        return answer_of(
            self._relata.check(
                resource, name, subject, context=self._context, consistency=self._consistency
            )
        )

    def lookup_resources(self, type_: str, name: str, subject: SubjectRef) -> Found | None:
        def ask(cursor: str | None) -> ResourcesResult:
            found = self._relata.lookup_resources(
                type_,
                name,
                subject,
                context=self._context,
                consistency=self._consistency,
                limit=self._page,
                cursor=cursor,
            )
            self._require_page([*found.resource_ids, *found.conditional])
            return found

        def look_up() -> Found:
            pages = list(_pages(ask))
            ids = [id_ for page in pages for id_ in page.resource_ids]
            conditional = {id_: names for page in pages for id_, names in page.conditional.items()}
            _require_order([sorted([*it.resource_ids, *it.conditional]) for it in pages])
            return by_answer(ids, conditional)

        return unless_failed(look_up)

    def lookup_subjects(
        self, resource: ObjectRef, name: str, type_: str, relation: str, ids: Iterable[str]
    ) -> Found | None:
        def ask(cursor: str | None) -> SubjectsResult:
            found = self._relata.lookup_subjects(
                resource,
                name,
                type_,
                relation,
                context=self._context,
                consistency=self._consistency,
                limit=self._page,
                cursor=cursor,
            )
            self._require_page(_subjects(found))
            return found

        def look_up() -> Found:
            pages = list(_pages(ask))
            _require_order([sorted(_subjects(page)) for page in pages])
            first = pages[0]
            for page in pages:
                assert page.wildcard is first.wildcard
                assert page.wildcard_missing_context == first.wildcard_missing_context
            found = FoundSubjects(
                tuple(id_ for page in pages for id_ in page.subject_ids),
                first.wildcard,
                tuple(id_ for page in pages for id_ in page.excluded_ids),
                {id_: names for page in pages for id_, names in page.conditional.items()},
                first.wildcard_missing_context,
            )
            return answers_of(found, [*ids] if relation else [*ids, WILDCARD])

        return unless_failed(look_up)

    def lookup_permissions(self, resource: ObjectRef, subject: SubjectRef) -> Found | None:
        def look_up() -> Found:
            found = self._relata.lookup_permissions(
                resource, subject, context=self._context, consistency=self._consistency
            )
            return by_answer(found.permissions, found.conditional)

        return unless_failed(look_up)

    def _require_page(self, ids: list[str]) -> None:
        assert self._page is None or len(ids) <= self._page


def answer_of(result: CheckResult) -> bool | frozenset[str]:
    """A check's result as an answer."""
    if result.permissionship is Permissionship.CONDITIONAL:
        assert result.missing_context
        return frozenset(result.missing_context)
    return result.allowed


def _subjects(page: SubjectsResult) -> list[str]:
    """Every id that a page speaks of."""
    return [*page.subject_ids, *page.conditional, *page.excluded_ids]


def _pages(ask: Callable[[str | None], P]) -> Iterator[P]:
    """Every page of a lookup."""
    cursor = None
    while True:
        page = ask(cursor)
        yield page
        cursor = page.cursor
        if cursor is None:
            return


def _require_order(pages: list[list[str]]) -> None:
    """Each id once, in order from page to page."""
    together = [id_ for page in pages for id_ in page]
    assert together == sorted(set(together))
