"""Inside one organization: an authorizer that answers and writes what belongs to it, and no more.

An API key may be bound to an organization. What it then may do is decided here, by one question to
the schema: an object *belongs* to the organization where `check(object, belongs_to, organization)`
says so, and the organization belongs to itself. Definitions without the permission `belongs_to`
(people, products) belong to nobody: they may stand as subjects, and nothing may be asked or written
of them.

What does not belong is refused in one wording, `OutsideError`, whether it is there or not. Answers
about what belongs are those that everybody gets; what they rest on may lie outside, such as the
managers of an organization above, and is left out where an answer would show it.
"""

from __future__ import annotations

from relata.bounds.belonging import BELONGS_TO, ORGANIZATION, Belonging
from relata.bounds.bounded import Bounded
from relata.bounds.outside import OutsideError

__all__ = ["BELONGS_TO", "ORGANIZATION", "Belonging", "Bounded", "OutsideError"]
