"""The hospital's JSON routes: add a Supplement to a transfer, pick the home, see how a transfer stands and what became of a submission."""

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from exchange.app import Exchange
from exchange.errors import Refused
from exchange.fhir.json import load_strict
from exchange.fhir.shape import text
from exchange.intake.accept import instant
from exchange.transfer.candidates import Pick
from exchange.web.auth.tokens import Tokens
from exchange.web.fhir.routes import read_body

MAX_SUPPLEMENT_BYTES = 262_144
MAX_CONFIRM_BYTES = 4_096


def transfers_router(exchange: Exchange, tokens: Tokens) -> APIRouter:
    """For clients of the sending hospital; another's ids are not found."""
    router = APIRouter()

    @router.post("/transfers/{id}/supplements", status_code=201)
    async def supplement(request: Request, id: str) -> Response:
        """Body: a Supplement with one more member, `by`: the id of the person who states it."""
        bearer = tokens.check(request.headers.get("authorization", ""))
        bearer.require("system/Supplement.c")
        content = load_strict(await read_body(request, MAX_SUPPLEMENT_BYTES))
        if not isinstance(content, dict) or not isinstance(content.get("by"), str):
            raise Refused(
                "supplement_by", "A Supplement is an object that names who states it.", next_step='Add "by": the id of the person.'
            )
        stated = {name: value for name, value in content.items() if name != "by"}
        row = await run_in_threadpool(exchange.add_supplement, id, content["by"], stated, bearer.org)
        return JSONResponse({"id": row.id, "transfer": row.transfer_id, "received_at": instant(row.received_at)}, 201)

    @router.post("/transfers/confirm")
    async def confirm(request: Request) -> Response:
        """Body: `stay` (visit number, or the id of stay or transfer), `site` (ODS code), `by` (id of the person who picks); with `postcode`
        (typed from the person's papers) and `spoke_to` the checks of the page are made."""
        bearer = await run_in_threadpool(tokens.check, request.headers.get("authorization", ""))
        bearer.require("system/Transfer.u")
        asked = load_strict(await read_body(request, MAX_CONFIRM_BYTES))
        stay, site, by = text(asked, "stay"), text(asked, "site"), text(asked, "by")
        if not (stay and site and by):
            step = 'Send {"stay": …, "site": …, "by": …}, each a text.'
            raise Refused("confirm_invalid", "A pick names the stay, the site and the person who picks.", next_step=step)
        pick = Pick(typed, text(asked, "spoke_to")) if (typed := text(asked, "postcode")) else None
        found = await run_in_threadpool(exchange.confirm_site, stay, site, by, bearer.org, pick)
        waits = {"waits_for": "second_person"} if found.proposed_site else {}
        return _status({"transfer": found.id, "site": found.recipient_org, "state": str(found.state), **waits})

    @router.get("/holds")
    def list_holds(request: Request) -> Response:
        """Open holds of this hospital, the most urgent first, each with the acts that fit."""
        return _status({"holds": exchange.holds_json(reader(request))})

    @router.post("/holds/{id}/{act}")
    async def settle(request: Request, id: str, act: str) -> Response:
        """Body: `by` (id of the person who settles it) and `site` (address), `stay` (link) or `as` (release, refuse)."""
        bearer = await run_in_threadpool(tokens.check, request.headers.get("authorization", ""))
        bearer.require("system/Transfer.u")
        asked = load_strict(await read_body(request, MAX_CONFIRM_BYTES))
        value = text(asked, {"address": "site", "link": "stay"}.get(act, "as"))
        count = await run_in_threadpool(exchange.settle_hold, id, act, text(asked, "by"), value, bearer.org)
        return _status({"hold": id, "act": act, "count": count})

    @router.get("/transfers/{id}")
    def transfer(request: Request, id: str) -> Response:
        return _status(exchange.transfer_status(id, reader(request)))

    @router.get("/submissions/{id}")
    def submission(request: Request, id: str) -> Response:
        return _status(exchange.submission_status(id, reader(request)))

    def reader(request: Request) -> str:
        bearer = tokens.check(request.headers.get("authorization", ""))
        bearer.require("system/Transfer.r")
        return bearer.org

    return router


def _status(body: dict[str, object]) -> Response:
    return JSONResponse(body, headers={"Cache-Control": "no-store"})
