"""The story, step by step: a user of two organizations, their tokens, and what these open.

Each step is a function: it says what it is about, asks over HTTP, and holds every answer to what
`scenario` says must be true. What a step finds out, such as a token, it returns to the next.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from rich.table import Table

from relata.demo.issuer import DEMO_LOGIN
from relata.demo.scenario import ANSWERS, GERARDO, IMPORTER, PROMOTION, SAM, Answer
from relata.demo.stage import JsonObject, Named, Stage, claims_of
from relata.demo.world import APP, World
from relata.tokens import (
    ACCESS_TOKEN,
    CLIENT_CREDENTIALS,
    INTROSPECTION_PATH,
    TOKEN_EXCHANGE,
    TOKEN_PATH,
)

_TOKENS = f"$RELATA{TOKEN_PATH}"
_INTROSPECTION = f"$RELATA{INTROSPECTION_PATH}"
_ONE_API = "https://api.example.com"
_BELOW = "org_1-labs"
_MARKED_SECONDS = 5.0
"""Far longer than it takes until a change is known everywhere."""


def tell(stage: Stage, world: World) -> None:
    """Tell the whole story. Raises UnexpectedAnswerError where an answer is not the expected."""
    key = Named("KEY", world.key)
    _health(stage)
    gerardo = _log_in(stage, GERARDO)
    _organizations(stage, gerardo)
    in_org_1 = _choose_organization(stage, gerardo)
    _use_product(stage, in_org_1["api_1"], in_org_1["api_2"])
    in_org_2 = _choose_the_other(stage, gerardo)
    _switch(stage, in_org_2)
    _stay_apart(stage, in_org_1["api_1"], in_org_2)
    _ask_for_what_is_not_subscribed(stage, gerardo)
    _ask_for_less(stage, gerardo)
    sam = _log_in(stage, SAM)
    _hold_nothing(stage, sam)
    _machine(stage, Named("CLIENT_SECRET", world.client_secret))
    _change_a_role(stage, sam, key)
    _one_api(stage, gerardo, key)
    _sub_organization(stage, key)
    _forge_a_choice(stage, key)
    _expand_and_lookup(stage, key)
    _every_choice(stage, {GERARDO: gerardo, SAM: sam})


def _health(stage: Stage) -> None:
    stage.step("Health", "Anybody may ask whether the server is up. Nobody gets in without a key.")
    stage.expect("it is up", stage.ask("$RELATA/healthz"), {"status": "ok"})
    stage.expect("it is ready", stage.ask("$RELATA/readyz"), {"status": "ok"})
    problem = stage.ask("$RELATA/relationships", status=401)
    stage.expect("without a key nothing is told", problem["code"], "unauthenticated")


def _log_in(stage: Stage, user: str) -> Named:
    stage.step(
        f"{user.capitalize()} logs in",
        "At an identity provider that is not Relata; here at a stand-in that asks for no password.",
    )
    answer = stage.ask("$ISSUER/token", form={"grant_type": DEMO_LOGIN, "user": user})
    token = Named(user.upper(), answer["access_token"])
    claims = _show_claims(stage, token)
    stage.expect("it says who, and nothing of what they may do", claims["sub"], user)
    return token


def _organizations(stage: Stage, gerardo: Named) -> None:
    stage.step("Which organizations?", "The app asks what its user may choose, with their token.")
    answer = stage.ask("$RELATA/organizations", bearer=gerardo)
    stage.expect(
        "two organizations, each with the products it subscribes to",
        answer["organizations"],
        [
            {"organization": "org_1", "audiences": ["api_1", "api_2"]},
            {"organization": "org_2", "audiences": ["api_1"]},
        ],
    )
    refusal = stage.ask(_TOKENS, form=_exchange(gerardo, audience="api_1"), status=400)
    stage.expect("one must be chosen", refusal["organizations"], ["org_1", "org_2"])


def _choose_organization(stage: Stage, gerardo: Named) -> dict[str, Named]:
    stage.step(
        "Gerardo chooses org_1",
        "One token for each audience. It holds what his roles in this organization grant for this "
        "product; the app, to which a token is opaque, finds the same beside it.",
    )
    return {
        product: _issue(stage, gerardo, (GERARDO, "org_1", product), f"ORG_1_{product.upper()}")
        for product in ("api_1", "api_2")
    }


def _use_product(stage: Stage, api_1: Named, api_2: Named) -> None:
    stage.step(
        "The product's API",
        "api_1 verifies a token by Relata's published keys, without asking anybody.",
    )
    answer = stage.ask("$PRODUCT/reports", bearer=api_1)
    stage.expect("the token lets him read", answer["organization"], "org_1")
    refusal = stage.ask("$PRODUCT/reports", method="POST", bearer=api_1, status=403)
    stage.expect("and not write", refusal["detail"], "the token lacks api_1/write")
    refusal = stage.ask("$PRODUCT/reports", bearer=api_2, status=401)
    stage.expect("a token for api_2 opens nothing here", refusal["detail"], "the token is refused")


def _choose_the_other(stage: Stage, gerardo: Named) -> Named:
    stage.step(
        "Gerardo chooses org_2",
        "The same user, the same product, another organization: other rights.",
    )
    token = _issue(stage, gerardo, (GERARDO, "org_2", "api_1"), "ORG_2_API_1")
    answer = stage.ask("$PRODUCT/reports", method="POST", bearer=token, status=201)
    stage.expect("here he may write", answer["organization"], "org_2")
    return token


def _switch(stage: Stage, in_org_2: Named) -> None:
    stage.step(
        "Back to org_1, without logging in again",
        "A token of Relata's can be exchanged too: for another organization or another product, "
        "never for longer and never for more.",
    )
    form = _exchange(in_org_2, organization="org_1", audience="api_2")
    answer = stage.ask(_TOKENS, form=form)
    claims = claims_of(answer["access_token"])
    stage.expect("it is for org_1", claims["org_id"], "org_1")
    stage.expect("it holds what he may do there", answer["permissions"], ["api_2/read"])
    stage.expect("and ends with the first", claims["exp"] <= claims_of(in_org_2.value)["exp"], True)


def _stay_apart(stage: Stage, in_org_1: Named, in_org_2: Named) -> None:
    stage.step(
        "Nothing leaks",
        "Whether one dataset may be seen is too fine for a token: api_1 asks /check, with a key of "
        "its own, in the organization that the token is for.",
    )
    for token, own, other in ((in_org_1, "ds1", "ds2"), (in_org_2, "ds2", "ds1")):
        answer = stage.ask(f"$PRODUCT/datasets/{own}", bearer=token)
        organization = answer["organization"]
        stage.expect(f"{own} is seen in {organization}", answer["dataset"], own)
        refusal = stage.ask(f"$PRODUCT/datasets/{other}", bearer=token, status=403)
        stage.expect(
            f"{other} is not, though he belongs to both organizations",
            refusal["detail"],
            f"{other} is not visible in {organization}",
        )


def _ask_for_what_is_not_subscribed(stage: Stage, gerardo: Named) -> None:
    stage.step("A product that org_2 does not subscribe to", "No token, however it is asked for.")
    form = _exchange(gerardo, organization="org_2", audience="api_2")
    refusal = stage.ask(_TOKENS, form=form, status=400)
    stage.expect("it is refused", refusal["error"], ANSWERS[GERARDO, "org_2", "api_2"].error)
    stage.expect("without a token", "access_token" in refusal, False)


def _ask_for_less(stage: Stage, gerardo: Named) -> None:
    stage.step("Asking for less", "A scope narrows what the token holds, and never widens it.")
    wish = {"organization": "org_2", "audience": "api_1"}
    answer = stage.ask(_TOKENS, form=_exchange(gerardo, **wish, scope="api_1/read"))
    stage.expect("he could write, and asked to read", answer["permissions"], ["api_1/read"])
    refusal = stage.ask(_TOKENS, form=_exchange(gerardo, **wish, scope="api_2/read"), status=400)
    stage.expect("nothing that he holds", refusal["error"], "invalid_scope")


def _hold_nothing(stage: Stage, sam: Named) -> None:
    stage.step("Sam has no role", "A member of org_1 gets a token there. It grants nothing.")
    token = _issue(stage, sam, (SAM, "org_1", "api_1"), "SAM_API_1")
    refusal = stage.ask("$PRODUCT/reports", bearer=token, status=403)
    stage.expect("api_1 turns it away", refusal["detail"], "the token lacks api_1/read")
    form = _exchange(sam, organization="org_2", audience="api_1")
    refusal = stage.ask(_TOKENS, form=form, status=400)
    stage.expect(
        "in org_2 there is none for sam", refusal["error"], ANSWERS[SAM, "org_2", "api_1"].error
    )


def _machine(stage: Stage, secret: Named) -> None:
    stage.step(
        "A machine of org_1",
        "It asks Relata with credentials of its own; the same graph, the same rules. It belongs to "
        "one organization, so there is nothing to choose.",
    )
    form: dict[str, str | Named] = {"grant_type": CLIENT_CREDENTIALS, "audience": "api_1"}
    answer = stage.ask(_TOKENS, form=form, basic=(IMPORTER, secret))
    token = Named("IMPORTER_API_1", answer["access_token"])
    claims = _show_claims(stage, token)
    stage.expect("it may write, and nothing else", claims["permissions"], ["api_1/write"])
    answer = stage.ask("$PRODUCT/reports", method="POST", bearer=token, status=201)
    stage.expect("and it does", answer["written_by"], f"client:{IMPORTER}")


def _change_a_role(stage: Stage, sam: Named, key: Named) -> None:
    stage.step(
        "An admin gives sam a role, and takes it back",
        "One relationship, over REST. Its zed token makes sure that the next question sees it.",
    )
    may_read = {
        "resource": "capability:api_1/read",
        "permission": "held",
        "subject": f"user:{SAM}",
        "contextual_relationships": _chosen(SAM, "org_1", "api_1"),
    }
    answer = stage.ask("$RELATA/check", bearer=key, body=may_read)
    stage.expect("sam may not read yet", answer["allowed"], False)

    written_at = _update(stage, "touch", key)
    fresh = {"consistency": {"at_least_as_fresh": written_at}}
    answer = stage.ask("$RELATA/check", bearer=key, body={**may_read, **fresh})
    stage.expect("the next check says that sam may", answer["allowed"], True)
    wish = _exchange(sam, organization="org_1", audience="api_1")
    answer = stage.ask(_TOKENS, form=wish)
    token = Named("SAM_API_1", answer["access_token"])
    stage.expect("the next token says so", answer["permissions"], ["api_1/read"])
    answer = stage.ask("$PRODUCT/reports", bearer=token)
    stage.expect("and api_1 believes it", answer["organization"], "org_1")

    written_at = _update(stage, "delete", key)
    fresh = {"consistency": {"at_least_as_fresh": written_at}}
    answer = stage.ask("$RELATA/check", bearer=key, body={**may_read, **fresh})
    stage.expect("taken back: the next check knows", answer["allowed"], False)
    answer = stage.ask(_TOKENS, form=wish)
    stage.expect("and so does the next token", answer["permissions"], [])
    _wait_until_marked(stage, token, key)


def _wait_until_marked(stage: Stage, token: Named, key: Named) -> None:
    """See the token marked that says what is no longer so, which takes less than a second."""
    deadline = time.monotonic() + _MARKED_SECONDS
    form: dict[str, str | Named] = {"token": token}
    while stage.ask(_INTROSPECTION, form=form, bearer=key, shown=False)["active"]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    answer = stage.ask(_INTROSPECTION, form=form, bearer=key)
    stage.expect("the one before is good no longer", answer, {"active": False})
    refusal = stage.ask("$PRODUCT/reports", bearer=token, status=None, shown=False)
    while "detail" not in refusal and time.monotonic() < deadline + _MARKED_SECONDS:
        time.sleep(0.1)  # the API asks for the status list again when it has grown old
        refusal = stage.ask("$PRODUCT/reports", bearer=token, status=None, shown=False)
    refusal = stage.ask("$PRODUCT/reports", bearer=token, status=401)
    stage.expect("and api_1 knows, by the status list", refusal["detail"], "the token is refused")


def _one_api(stage: Stage, gerardo: Named, key: Named) -> None:
    stage.step(
        "Two products behind one address",
        "An audience may stand for several products. Its tokens say which permission is whose.",
    )
    _remove(stage, f"$RELATA/audiences/{_ONE_API}", key)
    audience = {"id": _ONE_API, "products": ["api_1", "api_2"]}
    stage.ask("$RELATA/audiences", bearer=key, body=audience, status=201)
    form = _exchange(gerardo, organization="org_1", audience=_ONE_API)
    answer = stage.ask(_TOKENS, form=form)
    stage.expect(
        "one token for both",
        answer["products"],
        {"api_1": ["api_1/read"], "api_2": ["api_2/read"]},
    )
    _remove(stage, f"$RELATA/audiences/{_ONE_API}", key)


def _sub_organization(stage: Stage, key: Named) -> None:
    stage.step(
        "An organization below org_1",
        "One call makes it, with an API key that reaches it and nothing else.",
    )
    _remove(stage, f"$RELATA/organizations/{_BELOW}", key)
    made = {"id": _BELOW, "parent": "org_1", "share_role_templates": True, "share_products": True}
    answer = stage.ask("$RELATA/organizations", bearer=key, body=made, status=201)
    own = Named("LABS_KEY", answer["key"])
    member = {"operation": "touch", "relationship": f"organization:{_BELOW}#member@user:{SAM}"}
    stage.ask("$RELATA/relationships", bearer=own, body={"updates": [member]})
    access = {"permission": "access", "subject": f"user:{SAM}"}
    inside = {"resource": f"organization:{_BELOW}", **access}
    answer = stage.ask("$RELATA/check", bearer=own, body=inside)
    stage.expect("with its key it takes sam in", answer["allowed"], True)
    outside = {"resource": "organization:org_2", **access}
    problem = stage.ask("$RELATA/check", bearer=own, body=outside, status=403)
    stage.expect("of any other it is told nothing", problem["code"], "insufficient_scope")
    _remove(stage, f"$RELATA/organizations/{_BELOW}", key)
    answer = stage.ask("$RELATA/check", bearer=own, body=inside, status=401)
    stage.expect("deleted, and its key with it", answer["code"], "unauthenticated")


def _remove(stage: Stage, url: str, key: Named) -> None:
    """Remove what the story makes, also what a demo has left that was killed."""
    stage.ask(url, method="DELETE", bearer=key, status=None, shown=False)


def _forge_a_choice(stage: Stage, key: Named) -> None:
    stage.step(
        "A choice comes with its question",
        "A stored choice would choose for everybody, so not even an admin can store one; and "
        "nobody chooses for somebody else.",
    )
    choice = {"operation": "touch", "relationship": f"organization:org_1#chosen_by@user:{SAM}"}
    problem = stage.ask("$RELATA/relationships", bearer=key, body={"updates": [choice]}, status=400)
    stage.expect("it is not stored", problem["code"], "question_only_relation")
    question = {
        "resource": "dataset:ds2",
        "permission": "visible",
        "subject": f"user:{SAM}",
        "contextual_relationships": [f"organization:org_2#chosen_by@user:{GERARDO}"],
    }
    problem = stage.ask("$RELATA/check", bearer=key, body=question, status=400)
    stage.expect("it is not borrowed", problem["code"], "question_only_relation")


def _expand_and_lookup(stage: Stage, key: Named) -> None:
    stage.step("Who, what, and why", "The graph answers in every direction.")
    body: dict[str, object] = {
        "resource_type": "capability",
        "permission": "held",
        "subject": f"user:{GERARDO}",
        "contextual_relationships": _chosen(GERARDO, "org_2", "api_1"),
    }
    answer = stage.ask("$RELATA/lookup/resources", bearer=key, body=body)
    expected = list(ANSWERS[GERARDO, "org_2", "api_1"].permissions)
    stage.expect("what fills a token is one lookup", answer["resource_ids"], expected)
    access: dict[str, object] = {"resource": "organization:org_1", "permission": "access"}
    answer = stage.ask(
        "$RELATA/lookup/subjects", bearer=key, body={**access, "subject_type": "user"}
    )
    stage.expect("who may choose org_1", answer["subject_ids"], [GERARDO, SAM])
    answer = stage.ask("$RELATA/expand", bearer=key, body=access)
    direct = answer["tree"]["children"][0]["subjects"]
    stage.expect("and why", direct, [f"client:{IMPORTER}", f"user:{GERARDO}", f"user:{SAM}"])


def _every_choice(stage: Stage, users: Mapping[str, Named]) -> None:
    stage.step(
        "Every choice, side by side",
        "What a token holds for each user, organization and product; requests as above.",
    )
    table = Table("user", "organization", "product", "permissions", "roles")
    found = {
        (user, organization, product): _answer(stage, users[user], organization, product)
        for user, organization, product in ANSWERS
    }
    for choice, answer in found.items():
        nothing = "" if answer.error else "none"
        permissions = answer.error or " ".join(answer.permissions) or nothing
        table.add_row(*choice, permissions, " ".join(answer.roles) or nothing)
    stage.draw(table)
    stage.expect("each as the schema says", found, ANSWERS)


def _answer(stage: Stage, user: Named, organization: str, product: str) -> Answer:
    form = _exchange(user, organization=organization, audience=product)
    answer = stage.ask(_TOKENS, form=form, status=None, shown=False)
    if "error" in answer:
        return Answer(error=answer["error"])
    return Answer(tuple(answer["permissions"]), tuple(answer["roles"]))


def _issue(stage: Stage, user: Named, choice: tuple[str, str, str], name: str) -> Named:
    """Exchange a user's token, and hold the new one to what it must say."""
    _, organization, product = choice
    form = _exchange(user, organization=organization, audience=product)
    answer = stage.ask(_TOKENS, form=form)
    token = Named(name, answer["access_token"])
    claims = _show_claims(stage, token)
    expected = ANSWERS[choice]
    stage.expect(
        f"for {product} in {organization}",
        (claims["aud"], claims["org_id"]),
        (product, organization),
    )
    stage.expect(
        f"permissions: {', '.join(expected.permissions) or 'none'}",
        (claims["permissions"], answer["permissions"]),
        (list(expected.permissions), list(expected.permissions)),
    )
    stage.expect(
        f"roles: {', '.join(expected.roles) or 'none'}", claims["roles"], list(expected.roles)
    )
    return token


def _exchange(subject: Named, **wishes: str) -> dict[str, str | Named]:
    """The form of a token exchange (RFC 8693 section 2.1)."""
    return {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": subject,
        "subject_token_type": ACCESS_TOKEN,
        "client_id": APP,
        **wishes,
    }


def _update(stage: Stage, operation: str, key: Named) -> str:
    """Write or delete the one relationship that gives sam a role; the write's zed token."""
    update = {"operation": operation, "relationship": PROMOTION}
    answer = stage.ask("$RELATA/relationships", bearer=key, body={"updates": [update]})
    return str(answer["written_at"])


def _chosen(user: str, organization: str, product: str) -> list[str]:
    """The relationships that come with a question about one organization and one product."""
    return [
        f"organization:{organization}#chosen_by@user:{user}",
        f"product:{product}#requested_by@user:{user}",
    ]


def _show_claims(stage: Stage, token: Named) -> JsonObject:
    claims = claims_of(token.value)
    stage.show(claims, f"${token.name} says:")
    return claims
