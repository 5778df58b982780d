"""The one refusal of whatever lies outside of an organization."""

from __future__ import annotations

from relata.errors import ScopeError


class OutsideError(ScopeError):
    """What was asked for is not of the organization that a key is bound to.

    There is one wording, without the name of a field, for what is another's, for what is not
    there, and for what belongs to nobody.
    """

    def __init__(self) -> None:
        super().__init__("the key is bound to an organization, and what was asked for is not of it")
