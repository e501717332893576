"""The directory in FHIR: `POST /fhir/Organization/_search` and read, for any registered system. Public facts alone."""

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from exchange.app import Exchange
from exchange.directory.entries import get_organisation
from exchange.directory.imports import postcode
from exchange.errors import Refused
from exchange.model import is_open
from exchange.ports import UnitOfWork
from exchange.records import Organisation
from exchange.web.auth.tokens import Tokens
from exchange.web.errors import fhir
from exchange.web.fhir.routes import bad_parameter, read_form, read_number, unknown_parameter
from exchange.web.fhir.views import organization, searchset

MAX_SITES = 50
_SYSTEMS = {
    "": ("id", "cqc"),
    "https://fhir.nhs.uk/Id/ods-organization-code": ("id",),
    "https://fhir.nhs.uk/Id/ods-site-code": ("id",),
    "https://www.cqc.org.uk/location": ("cqc",),
}


def sites_router(exchange: Exchange, tokens: Tokens, base: str) -> APIRouter:
    """Organisations by identifier (ODS code or CQC location), postcode or name; by POST, as everything here is searched."""
    router = APIRouter(prefix="/fhir/Organization")

    @router.post("/_search")
    async def search(request: Request) -> Response:
        await run_in_threadpool(tokens.check, request.headers.get("authorization", ""))
        parameters = [*request.query_params.multi_items(), *await read_form(request)]
        found = await run_in_threadpool(exchange.store.read, lambda uow: _find(uow, parameters))
        entries = [organization(row, is_on) for row, is_on in found]
        return fhir(searchset(entries, base, f"{base}/fhir/Organization/_search", ""))

    @router.get("/{id}")
    def read(request: Request, id: str) -> Response:
        tokens.check(request.headers.get("authorization", ""))
        row, is_on = exchange.store.read(lambda uow: _with_state(uow, get_organisation(uow, id)))
        return fhir(organization(row, is_on))

    return router


def _with_state(uow: UnitOfWork, row: Organisation) -> tuple[Organisation, bool]:
    return row, is_open(row.opened_on, row.closed_on, uow.now.date())


def _find(uow: UnitOfWork, parameters: list[tuple[str, str]]) -> list[tuple[Organisation, bool]]:
    """Raises Refused `parameter`: for what is not supported, for a question without a filter, and for one that finds too many."""
    rows, count, active, is_asked = uow.find(Organisation, order="name"), MAX_SITES, "", False
    for name, value in parameters:
        match name:
            case "identifier":
                system, _, code = value.rpartition("|")
                columns = _SYSTEMS.get(system, ())
                rows = [row for row in rows if code and any(getattr(row, column).upper() == code.upper() for column in columns)]
            case "address-postalcode":
                rows = [row for row in rows if row.postcode and postcode(row.postcode) == postcode(value)]
            case "name" if len(value.strip()) >= 3:
                rows = [row for row in rows if value.strip().casefold() in row.name.casefold()]
            case "name":
                raise bad_parameter(name, "needs three letters")
            case "active" if value in ("true", "false"):
                active = value
            case "_count":
                count = max(1, min(read_number(name, value), MAX_SITES))
            case "_format" | "_sort":
                pass
            case _:
                raise unknown_parameter(parameters, name)
        is_asked |= name in ("identifier", "address-postalcode", "name")
    if not is_asked:
        step = "Give identifier, address-postalcode or name in the form."
        raise Refused("parameter", "The directory is not listed as a whole.", next_step=step)
    found = [one for one in map(lambda row: _with_state(uow, row), rows) if not active or one[1] is (active == "true")]
    if len(found) > count:
        raise Refused("parameter", f"More than {count} organisations fit.", next_step="Give the postcode or more of the name.")
    return found
