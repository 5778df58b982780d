"""A small world: who belongs where, and what each role may do.

`anne` edits at `acme` and reads at `globex`; `acme` has both products, `globex` only `wiki`.
`bob` is a member of `acme` without a role. `robot` is a machine of `acme`. `carol` administers
`initech`, which subscribes to nothing. `dora` is in no organization. `hooli` has lapsed: its
members keep their access but can open no session.
"""

from __future__ import annotations

from typing import Any

from relata.tokens import (
    ACCESS_TOKEN,
    TOKEN_EXCHANGE,
    Client,
    TokenRequest,
    TokenResponse,
    TokenService,
)
from tests.tokens.identity import APP

ISSUER_URL = "https://tokens.example"

SCHEMA = """
definition user {}
definition client {}

definition organization {
    relation admin: user
    relation member: user | client
    relation lapsed: user
    relation chosen_by: user | client

    permission access = admin + member
    permission session = (access & chosen_by) - lapsed
}

definition product {
    relation subscriber: organization
    relation requested_by: user | client

    permission available = subscriber->session
    permission session = available & requested_by
}

definition role {
    relation organization: organization
    relation product: product
    relation assignee: user | client

    permission active = assignee & organization->session & product->session
}

definition capability {
    relation granted_to: role

    permission held = granted_to->active
}
"""

_FACTS = """
organization:acme#member@user:anne
organization:acme#member@user:bob
organization:acme#member@client:robot
organization:globex#member@user:anne
organization:hooli#member@user:anne
organization:hooli#lapsed@user:anne
organization:initech#admin@user:carol
product:wiki#subscriber@organization:acme
product:https://shop.example/api#subscriber@organization:acme
product:wiki#subscriber@organization:globex
role:acme/editor#organization@organization:acme
role:acme/editor#product@product:wiki
role:acme/editor#assignee@user:anne
role:acme/buyer#organization@organization:acme
role:acme/buyer#product@product:https://shop.example/api
role:acme/buyer#assignee@user:anne
role:acme/importer#organization@organization:acme
role:acme/importer#product@product:wiki
role:acme/importer#assignee@client:robot
role:globex/reader#organization@organization:globex
role:globex/reader#product@product:wiki
role:globex/reader#assignee@user:anne
capability:read:pages#granted_to@role:acme/editor
capability:write:pages#granted_to@role:acme/editor
capability:größe#granted_to@role:acme/editor
capability:read:pages#granted_to@role:globex/reader
capability:import:pages#granted_to@role:acme/importer
capability:buy#granted_to@role:acme/buyer
"""
RELATIONSHIPS = _FACTS.split()

THE_APP = Client(id=APP, authentication="none", grants=(TOKEN_EXCHANGE,))
"""The single-page app that the issuer's tokens are issued to."""

ROBOT = Client(id="robot", authentication="none", grants=(TOKEN_EXCHANGE,))
"""A machine with a token of the issuer's."""

SHOP = "https://shop.example/api"
EDITOR = ("größe", "read:pages", "write:pages")


def asking(subject_token: str = "", **changes: Any) -> TokenRequest:
    """A request for a token for the wiki at acme, with changes."""
    return TokenRequest(
        **{
            "grant_type": TOKEN_EXCHANGE,
            "subject_token": subject_token,
            "subject_token_type": ACCESS_TOKEN,
            "audience": ("wiki",),
            "organization": "acme",
            **changes,
        }
    )


def issue(service: TokenService, request: TokenRequest, client: Client = THE_APP) -> TokenResponse:
    """Issue a token to the app, or to another client."""
    return service.issue(request, client)
