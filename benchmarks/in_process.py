"""Questions asked of `Relata` in this process, beside the hand-written checker.

Every answer of both is compared with the workload's own before anything is timed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

import msgspec

from benchmarks.handwritten import Handwritten
from benchmarks.measure import (
    NANOSECONDS,
    Group,
    Measurement,
    alternating,
    durations,
    measure,
    measured,
    rate,
)
from benchmarks.plan import Plan
from benchmarks.workload import Asked, Workload
from relata.authorizer import Relata
from relata.errors import RelataError
from relata.relationships import delete
from relata.requests import Question
from relata.results import CheckManyResult, ResourcesResult, SubjectsResult

BATCH = 100


class WrongAnswerError(Exception):
    """An answer is not the workload's; what was measured would mean nothing."""


def require_answers(asked: Iterable[Asked], answers: Iterable[bool], whose: str) -> None:
    """Raise WrongAnswerError where answers are not the right ones."""
    for question, answer in zip(asked, answers, strict=True):
        if answer != question.allowed:
            raise WrongAnswerError(
                f"{whose} answers {answer} for `{question.user}` and `{question.document}`; "
                f"the relationships say {question.allowed}"
            )


def measure_checks(relata: Relata, finding: Relata, workload: Workload, plan: Plan) -> Group:
    """Checks of the library and of the hand-written checker, allowed and denied apart; also of a
    library that is `finding` each answer, because it remembers none."""
    by_hand = Handwritten(workload.relationships)

    def check(asked: Asked) -> bool:
        return relata.check(asked.document, "view", asked.user).allowed

    def find(asked: Asked) -> bool:
        return finding.check(asked.document, "view", asked.user).allowed

    def check_by_hand(asked: Asked) -> bool:
        return by_hand.may_view(asked.document, asked.user)

    measurements = []
    for name, asked in (("allowed", workload.allowed), ("denied", workload.denied)):
        first = [durations(call, asked) for call in (find, check_by_hand)]
        per_second = [len(asked) * NANOSECONDS / sum(taken) for taken in first]
        require_answers(asked, map(check, asked), "Relata")
        require_answers(asked, map(find, asked), "Relata")
        require_answers(asked, map(check_by_hand, asked), "the hand-written checker")
        calls = [check, find, check_by_hand]
        ours, found, theirs = alternating(calls, asked, plan.rounds)
        measurements += [
            measured(
                f"check, {name}, of remembered answers",
                ours,
                durations(check, asked),
                ratio=ours.median / theirs.median,
            ),
            measured(
                f"check, {name}",
                found,
                durations(find, asked),
                ratio=found.median / theirs.median,
            ),
            measured(f"by hand, {name}", theirs, durations(check_by_hand, asked)),
            measured(
                f"check, {name}, for the first time",
                rate(per_second[:1]),
                first[0],
                ratio=per_second[0] / per_second[1],
            ),
        ]
    return Group("Checks in process (ratio: to the hand-written checker)", tuple(measurements))


def measure_batches(relata: Relata, workload: Workload, plan: Plan) -> Group:
    """`check_many` of 100, for as many users and for one."""
    mixed = mixed_questions(workload)
    many_users = [
        [Question(asked.document, "view", asked.user) for asked in batch]
        for batch in batches(mixed)
    ]
    one_user = [
        [Question(asked.document, "view", batch[0].user) for asked in batch]
        for batch in batches(mixed)
    ]
    for batch, answered in zip(batches(mixed), map(relata.check_many, many_users), strict=True):
        require_answers(batch, _allowed(answered), "Relata")
    measurements = (
        with_checks(measure("check_many, 100 users", relata.check_many, many_users, plan.rounds)),
        with_checks(measure("check_many, one user", relata.check_many, one_user, plan.rounds)),
    )
    return Group(f"Batches of {BATCH} checks in process", measurements)


def measure_lookups(relata: Relata, workload: Workload, plan: Plan) -> Group:
    """Lookups of resources, subjects and permissions."""
    random = Random(plan.seed)
    users = [f"user:u{random.randrange(workload.size.users)}" for _ in range(plan.lookups)]
    documents = [
        f"document:d{random.randrange(workload.size.documents)}" for _ in range(plan.lookups)
    ]
    mixed = mixed_questions(workload)[: plan.lookups * 10]

    def resources(user: str) -> ResourcesResult:
        return relata.lookup_resources("document", "view", user)

    def subjects(document: str) -> SubjectsResult:
        return relata.lookup_subjects(document, "view", "user")

    def permissions(asked: Asked) -> tuple[str, ...]:
        return relata.lookup_permissions(asked.document, asked.user).permissions

    require_answers(mixed, (bool(permissions(asked)) for asked in mixed), "Relata")
    found_resources = _sizes(len(resources(user).resource_ids) for user in users)
    found_subjects = _sizes(len(subjects(document).subject_ids) for document in documents)
    rounds = plan.rounds
    return Group(
        "Lookups in process",
        (
            measure("lookup_resources", resources, users, rounds, found_resources),
            measure("lookup_subjects", subjects, documents, rounds, found_subjects),
            measure("lookup_permissions", permissions, mixed, rounds),
        ),
    )


def measure_writes(relata: Relata, workload: Workload, plan: Plan) -> Group:
    """Writes of one new relationship, each of them safe on the disk when it returns; and checks
    that come right after a write, to whoever and whatever it was of."""
    random = Random(plan.seed)
    asked = mixed_questions(workload)
    size = workload.size
    lines = []
    for name, new in (
        ("document", [f"document:new{number}#viewer@user:u0" for number in range(plan.writes)]),
        (
            "group",
            [
                f"group:g{random.randrange(size.groups)}#member@user:new{number}"
                for number in range(plan.writes)
            ],
        ),
    ):
        writes, checks = _written_and_checked(relata, new, random.choices(asked, k=plan.writes))
        lines.append(_all_in_one_round(f"write, 1 relationship of a {name}", writes))
        lines.append(_all_in_one_round(f"check, right after a write to a {name}", checks))
    return Group("Writes in process", tuple(lines))


def _written_and_checked(
    relata: Relata, new: Sequence[str], asked: Sequence[Asked]
) -> tuple[list[int], list[int]]:
    """The durations of writes, and of a check after each. What was written is deleted again, for
    the parts that come after: their data is the workload's."""
    writes, checks = [], []
    for relationship, question in zip(new, asked, strict=True):
        writes += durations(relata.write, [[relationship]])
        checks += durations(
            lambda it: relata.check(it.document, "view", it.user).allowed, [question]
        )
    relata.write(map(delete, new))
    return writes, checks


def _all_in_one_round(name: str, taken: Sequence[int]) -> Measurement:
    return measured(name, rate([len(taken) * NANOSECONDS / sum(taken)]), taken)


def with_checks(batches: Measurement) -> Measurement:
    """The measurement of batches, with the checks a second in its note."""
    checks = (batches.per_second or 0) * BATCH
    return msgspec.structs.replace(batches, note=f"{checks:,.0f} checks a second")


def mixed_questions(workload: Workload) -> list[Asked]:
    """Allowed and denied questions in turn."""
    pairs = zip(workload.allowed, workload.denied, strict=True)
    return [asked for pair in pairs for asked in pair]


def batches(asked: Sequence[Asked]) -> list[Sequence[Asked]]:
    """The questions in batches of a full size; what is left over is left out."""
    whole = len(asked) - len(asked) % BATCH
    return [asked[start : start + BATCH] for start in range(0, whole, BATCH)]


def _allowed(result: CheckManyResult) -> Iterable[bool]:
    for answer in result.answers:
        if isinstance(answer, RelataError):
            raise answer
        yield answer.allowed


def _sizes(sizes: Iterable[int]) -> str:
    found = list(sizes)
    return f"{sum(found) / len(found):,.0f} ids, at most {max(found):,}"
