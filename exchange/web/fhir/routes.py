"""The FHIR routes: search, read, collect, answer, audit search. Authenticated before anything is parsed; no person in a URL."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from exchange import __version__
from exchange.app import Exchange
from exchange.audit.query import AuditSearch
from exchange.check import Checker, as_outcome
from exchange.check.command import read_resource
from exchange.errors import NotFound, Refused
from exchange.fhir.codes import NHS_NUMBER
from exchange.mailbox.collect import InboxItem
from exchange.model import Caller
from exchange.transfer.match import read_label
from exchange.web.auth.tokens import Bearer, Tokens
from exchange.web.errors import FHIR_JSON, fhir
from exchange.web.fhir import views
from exchange.web.fhir.task import read_answer

READ_SCOPE = "system/DocumentReference.rs"
ANSWER_SCOPE = "system/Task.u"
AUDIT_SCOPE = "system/AuditEvent.s"
VALIDATE_SCOPE = "system/$validate"
MAX_TASK_BYTES = 65_536
MAX_FORM_BYTES = 16_384
MAX_VALIDATE_BYTES = 1_000_000
MAX_COUNT = 200
# Search parameters that would put a person into a URL, and so into logs on the way.
_PATIENT_WORDS = frozenset(("patient", "subject", "identifier", "related", "_has"))
_PREFIX = re.compile(r"(eq|ge|gt|le|lt)?(\d{4}.*)")


def bad_parameter(name: str, why: str) -> Refused:
    return Refused("parameter", f"The parameter {name} {why}.", next_step="See GET /fhir/metadata for what is supported.")


def unknown_parameter(parameters: list[tuple[str, str]], name: str) -> Refused:
    """By its place: what is no name of ours may be anything, a person's too."""
    place = [known for known, _ in parameters].index(name) + 1
    return bad_parameter(f"number {place}", "is not supported here")


def read_moment(name: str, text: str) -> tuple[str, datetime, datetime]:
    """A FHIR date search value: its prefix, its first instant and the first after it. A bare day is a day of UTC, a time a millisecond."""
    found = _PREFIX.fullmatch(text.replace(" ", "+"))
    try:
        if found is None:
            raise ValueError
        moment = datetime.fromisoformat(found[2])
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        return found[1] or "eq", moment, moment + (timedelta(days=1) if len(found[2]) == 10 else timedelta(milliseconds=1))
    except (ValueError, OverflowError):
        raise bad_parameter(name, "is not a date with an optional prefix") from None


def read_number(name: str, text: str) -> int:
    """A whole number in ASCII digits, not longer than the database can count."""
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise bad_parameter(name, "is not a number of ours")
    return int(text)


def read_nhs_number(name: str, text: str) -> str:
    """A token search value with the NHS number, with or without its system."""
    system, bar, value = text.rpartition("|")
    if (bar and system != NHS_NUMBER) or not value:
        raise bad_parameter(name, f"is not {NHS_NUMBER}| and a number")
    return value


def fhir_router(exchange: Exchange, tokens: Tokens, base: str) -> APIRouter:
    """The routes under /fhir. `base` is the public URL without a slash at its end."""
    router = APIRouter(prefix="/fhir")

    def bearer(request: Request, scope: str) -> Bearer:
        found = tokens.check(request.headers.get("authorization", ""))
        found.require(scope)
        return found

    def caller(found: Bearer) -> Caller:
        return Caller(found.org, client=found.client_id)

    @router.get("/metadata")
    async def metadata() -> Response:
        return fhir(views.capability_statement(base, __version__))

    async def search_documents(request: Request, parameters: list[tuple[str, str]]) -> Response:
        who = caller(bearer(request, READ_SCOPE))
        since = before = None
        after_change, count, nhs_number = 0, 50, ""
        for name, value in parameters:
            match name:
                case "_lastUpdated":
                    prefix, moment, end = read_moment(name, value)
                    if prefix in ("ge", "gt", "eq"):
                        # A poller that kept only the day must not lose the rest of it: `gt` starts a millisecond later, never a day.
                        since = moment + timedelta(milliseconds=prefix == "gt")
                    if prefix in ("lt", "le", "eq"):
                        before = moment if prefix == "lt" else end
                case "_count":
                    count = max(1, min(read_number(name, value), MAX_COUNT))
                case "_page":
                    after_change = read_number(name, value)
                case "status" | "_sort" | "_format":
                    pass
                case "patient.identifier" | "patient:identifier" | "subject.identifier" | "subject:identifier":
                    nhs_number = read_nhs_number(name, value)
                case _ if names_a_person(name) or "handling=strict" in request.headers.get("prefer", ""):
                    # Left out in silence it would widen the answer to everybody.
                    raise unknown_parameter(parameters, name)
                case _:
                    pass
        asked = {"after_change": after_change, "since": since, "before": before, "count": count, "nhs_number": nhs_number}
        items, more = await run_in_threadpool(lambda: exchange.poll(who, **asked))  # type: ignore[arg-type]  # names are poll's
        entries = [views.document_reference(item, base) for item in items]
        own = f"{base}/fhir/DocumentReference"
        # Only what was read and understood is written into an address: a form may hold anything.
        kept = [(name, value) for name, value in parameters if name in ("_lastUpdated", "_count")]
        query = [*kept, ("_page", str(items[-1].delivery.change))] if more else []
        if nhs_number and more:  # its next page would name the person in a URL
            raise bad_parameter("_count", "is too small for all papers of this person; nobody has more than 200")
        return fhir(views.searchset(entries, base, own, f"{own}?{urlencode(query)}" if more else ""))

    async def documents(request: Request) -> Response:
        request.scope["route"] = polled
        bearer(request, READ_SCOPE)
        refuse_person_in_url(request)
        return await search_documents(request, list(request.query_params.multi_items()))

    # Without the framework's reading of parameters: this is what every home asks every minute.
    router.add_route("/fhir/DocumentReference", documents, methods=["GET"])
    polled = router.routes[-1]

    @router.post("/DocumentReference/_search")
    async def documents_search(request: Request) -> Response:
        bearer(request, READ_SCOPE)
        refuse_person_in_url(request)
        return await search_documents(request, await read_form(request))

    def one(find: Callable[[InboxItem], dict[str, object]]) -> Callable[[Request, str], Response]:
        def look(request: Request, id: str) -> Response:
            item = exchange.delivery(caller(bearer(request, READ_SCOPE)), id)
            return fhir(find(item), headers={"ETag": f'W/"{views.etag_value(item)}"'})

        return look

    router.add_api_route("/DocumentReference/{id}", one(lambda item: views.document_reference(item, base)), methods=["GET"])
    router.add_api_route("/Task/{id}", one(lambda item: views.task(item, base)), methods=["GET"])

    def collect(request: Request, id: str) -> Response:
        who = caller(bearer(request, READ_SCOPE))
        part, content = exchange.collect_part(who, id)
        if ("/Bundle/" in request.url.path) != (part.media_type == FHIR_JSON):
            raise NotFound("part", "There is no such document here.", next_step="Use the url of DocumentReference.content.")
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        return Response(content, 200, headers, read_label(part.label).media_type)

    router.add_api_route("/Bundle/{id}", collect, methods=["GET"])
    router.add_api_route("/Binary/{id}", collect, methods=["GET"])

    @router.put("/Task/{id}")
    async def answer(request: Request, id: str) -> Response:
        who = caller(bearer(request, ANSWER_SCOPE))
        expected = request.headers.get("if-match", "")
        if not expected:
            raise Refused("if_match_missing", "An answer needs If-Match.", next_step="Read the Task and send its ETag back.")
        body = await read_body(request, MAX_TASK_BYTES)

        def put() -> Response:
            item = exchange.delivery(who, id)
            given = read_answer(body, id)
            tag = expected.strip().removeprefix("W/").strip('"')
            change, _, seen = tag.partition("-")
            if change != str(item.delivery.change) or not seen.isdigit():
                step = "Read it again, look at the newest papers, then answer."
                raise Refused("answered_meanwhile", "The Task has changed since you read it.", next_step=step)
            by = Caller(who.org, client=who.client, person=given.person or None)
            exchange.answer(by, id, given.kind, given.reason_code, given.content, seen=int(seen))
            newest = exchange.delivery(who, id)
            return fhir(views.task(newest, base), headers={"ETag": f'W/"{views.etag_value(newest)}"'})

        return await run_in_threadpool(put)

    @router.post("/{type}/$validate")
    async def validate(request: Request, type: str) -> Response:
        """Judge one resource (Resource-validate): an OperationOutcome, 200 whatever it says. Nothing is kept."""
        bearer(request, VALIDATE_SCOPE)
        body = await read_body(request, MAX_VALIDATE_BYTES)
        wanted = request.query_params.getlist("profile")

        def judge() -> Response:
            resource = read_resource(body)
            if not isinstance(resource, dict) or resource.get("resourceType") != type:
                raise bad_parameter("resource", "is not of the type in the address; send the bare resource")
            return fhir(as_outcome(Checker.load().check(resource, profiles=wanted)))

        return await run_in_threadpool(judge)

    @router.get("/AuditEvent")
    async def audit_by_url(request: Request) -> Response:
        bearer(request, AUDIT_SCOPE)
        step = "Send the same parameters as a form to POST /fhir/AuditEvent/_search."
        raise Refused("parameter", "The audit trail is searched by POST alone, so that no person stands in a URL.", next_step=step)

    @router.post("/AuditEvent/_search")
    async def audit(request: Request) -> Response:
        who = caller(bearer(request, AUDIT_SCOPE))
        refuse_person_in_url(request)
        asked = read_audit_search([*request.query_params.multi_items(), *await read_form(request)])
        page = await run_in_threadpool(exchange.search_audit, who, asked)
        own = f"{base}/fhir/AuditEvent/_search"
        return fhir(views.searchset(list(page.events), base, own, f"{own}?_page={page.next}" if page.next else ""))

    return router


def names_a_person(name: str) -> bool:
    """Whether a search parameter is about a person, in every spelling: chained, with a modifier, in other letters."""
    return bool(_PATIENT_WORDS & set(re.split("[.:]", name.lower())))


def refuse_person_in_url(request: Request) -> None:
    """Raises Refused `parameter`, also for the address of a POST."""
    if any(map(names_a_person, request.query_params)):
        step = "Search the audit trail by a form to POST /fhir/AuditEvent/_search; a mailbox is read by _lastUpdated."
        raise Refused("parameter", "A person may not be named in a URL.", next_step=step)


def read_audit_search(parameters: list[tuple[str, str]]) -> AuditSearch:
    """FHIR search parameters of AuditEvent as a question. Raises Refused `parameter` for what is not supported: never a silent drop."""
    values: dict[str, object] = {}
    for name, value in parameters:
        match name:
            case "patient.identifier" | "patient:identifier" | "entity:identifier":
                values["nhs_number"] = read_nhs_number(name, value)
            case "entity" | "agent" | "agent:identifier":
                values[name.partition(":")[0]] = value.rpartition("/")[2].rpartition("|")[2].removeprefix("urn:uuid:")
            case "type" | "subtype":
                values["type"] = value.rpartition("|")[2]
            case "date" | "_lastUpdated":
                prefix, moment, end = read_moment(name, value)
                if prefix in ("ge", "gt", "eq"):
                    values["since"] = end if prefix == "gt" else moment
                if prefix in ("lt", "le", "eq"):
                    values["before"] = moment if prefix == "lt" else end
            case "_count":
                values["count"] = read_number(name, value)
            case "_page":
                values["after"] = value
            case "_format":
                pass
            case _:
                raise unknown_parameter(parameters, name)
    return AuditSearch(**values)  # type: ignore[arg-type]  # names are AuditSearch's


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """The body, refused as soon as it is larger than the limit."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > limit_bytes:
            raise Refused("too_large", f"The body is larger than {limit_bytes} bytes.", next_step="Send less at once.")
    return bytes(data)


async def read_form(request: Request, limit_bytes: int = MAX_FORM_BYTES, most_fields: int = 50) -> list[tuple[str, str]]:
    """A small urlencoded form."""
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise Refused(
            "media_type", "This address takes an urlencoded form.", next_step="Send Content-Type: application/x-www-form-urlencoded."
        )
    body = await read_body(request, limit_bytes)
    try:
        return parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=most_fields)
    except ValueError:
        raise Refused("parameter", f"The form has more than {most_fields} fields.", next_step="Send fewer.") from None
