"""A product's API, as its own team would write it: of Relata it uses `relata.client` alone.

Each request is judged twice. The token is verified here, without asking anybody about it: by the
keys and the status list that its issuer publishes. What it says in `permissions` decides most
requests. What is too fine or too fresh for a token, such as whether one dataset may be seen, is
asked of `/check`, with this API's own key.
"""

from typing import Annotated

import httpx
from fastapi import Depends, FastAPI, HTTPException

from relata.client import VerifiedToken, Verifier
from relata.client.fastapi import protect, requires


def create_product_api(product: str, issuer: str, checks: httpx.Client) -> FastAPI:
    """Make the API of a product; the product's name is its audience, `issuer` is Relata's URL.

    `checks` reaches Relata with this API's own key, which needs the scope `check`.
    """
    app = FastAPI(title=product, docs_url=None, redoc_url=None, openapi_url=None)
    protect(app, Verifier(issuer, product))

    @app.get("/reports")
    def read_reports(
        token: Annotated[VerifiedToken, Depends(requires(f"{product}/read"))],
    ) -> dict[str, object]:
        return {"organization": token.organization, "reports": ["spring", "summer"]}

    @app.post("/reports", status_code=201)
    def write_report(
        token: Annotated[VerifiedToken, Depends(requires(f"{product}/write"))],
    ) -> dict[str, object]:
        return {"organization": token.organization, "written_by": _subject(token)}

    @app.get("/datasets/{dataset}")
    def read_dataset(
        dataset: str, token: Annotated[VerifiedToken, Depends(requires())]
    ) -> dict[str, object]:
        if not _may_see(checks, token, dataset):
            raise HTTPException(403, f"{dataset} is not visible in {token.organization}")
        return {"organization": token.organization, "dataset": dataset, "rows": 42}

    return app


def _may_see(checks: httpx.Client, token: VerifiedToken, dataset: str) -> bool:
    """Ask Relata, within the organization that the token was issued for."""
    subject = _subject(token)
    question = {
        "resource": f"dataset:{dataset}",
        "permission": "visible",
        "subject": subject,
        "contextual_relationships": [f"organization:{token.organization}#chosen_by@{subject}"],
    }
    response = checks.post("/check", json=question)
    if response.status_code != httpx.codes.OK:
        raise HTTPException(502, "the permission could not be checked")
    return response.json()["allowed"] is True


def _subject(token: VerifiedToken) -> str:
    """Who the token is about; a token whose client is its subject is a machine's."""
    kind = "client" if token.is_machine else "user"
    return f"{kind}:{token.subject}"
