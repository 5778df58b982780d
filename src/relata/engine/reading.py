"""How an answer is read that is undefined, or unknown.

Undefined is what rests on its own absence (a cycle through an exclusion); unknown is what rests on
a caveat that lacks context.
"""

from __future__ import annotations

from typing import NamedTuple


class Reading(NamedTuple):
    """What an answer counts as that is undefined, and what one counts as that is unknown."""

    undefined: bool
    unknown: bool

    def subtracted(self) -> Reading:
        """The reading of what is taken away from an answer in this one."""
        return Reading(not self.undefined, not self.unknown)


SURELY = Reading(undefined=False, unknown=False)
"""Whether a subject is allowed."""
HOPEFULLY = Reading(undefined=False, unknown=True)
"""Whether a subject is allowed, or would be with the right context."""
