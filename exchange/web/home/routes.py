"""The home's pages: a one-time link opens a session for a named person; list, papers, letters, answers. No script, no page cached."""

import json
import os
import re
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from hashlib import sha256
from hmac import compare_digest
from inspect import signature as signature_of
from zoneinfo import ZoneInfo

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import FormData

from exchange.app import Exchange
from exchange.config import Settings
from exchange.directory import links
from exchange.directory.links import SignedIn
from exchange.errors import NotFound, Refused, WardpostError
from exchange.mailbox.collect import InboxItem, Opened
from exchange.model import HOME_ROLES, AnswerKind, Caller, DeliveryState, Environment, Role, Scope
from exchange.records import Answer, Organisation, Part
from exchange.transfer.match import read_label
from exchange.web.auth.secrets import hash_secret, make_secret
from exchange.web.errors import status_of
from exchange.web.fhir.routes import read_form
from exchange.web.home import answers
from exchange.web.home.facts import (
    Done,
    ErrorFacts,
    Frame,
    Given,
    InboxRow,
    Kind,
    LetterFacts,
    LinkFacts,
    Mark,
    Read,
    Resident,
    TransferFacts,
)  # fmt: skip
from exchange.web.home.inbox import inbox_view
from exchange.web.home.render import CONTENT_SECURITY_POLICY, STYLESHEET, Renderer
from exchange.web.home.times import at as spoken_at
from exchange.web.home.view import condition_words, transfer_view

log = structlog.get_logger("wardpost.home")
LONDON = ZoneInfo("Europe/London")
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
}
FHIR_JSON = "application/fhir+json"
# The longest question in a script of four bytes a letter, each written as %XX.
MAX_PAGE_FORM_BYTES = 65_536
_ROLE_WORDS = {"carer": "carer", "home_manager": "manager"}


def home_router(exchange: Exchange, settings: Settings) -> APIRouter:
    """The routes under /home and /in."""
    router = APIRouter()
    renderer = Renderer()
    is_https = settings.public_url.startswith("https://")
    cookie = "__Host-wardpost" if is_https else "wardpost"
    is_trial = settings.environment is Environment.TRIAL
    stylesheet = STYLESHEET.read_bytes()

    def html(template: str, status: int = 200, **context: object) -> Response:
        return Response(renderer.render(template, **context), status, HEADERS, "text/html; charset=utf-8")

    def error_page(error: WardpostError, frame: Frame | None = None) -> Response:
        status, _ = status_of(error)
        title = {401: "You are signed out", 404: "Not found", 410: "This was taken back"}.get(status, "That did not work")
        facts = ErrorFacts(title, error.message, error.next_step, error.code)
        return html("error.html", status, frame=frame or _bare_frame(is_trial), error=facts)

    def page(work: Callable[..., Response]) -> Callable[..., Response]:
        """A page for a signed-in person of a home; every refusal is a page, too."""

        @wraps(work)
        def run(request: Request, **path: object) -> Response:
            try:
                return work(request, signed_in(request), **path)
            except WardpostError as problem:
                log.info("page_refused", code=problem.code)
                return error_page(problem)

        # FastAPI reads the signature: the person is ours to find, not a parameter of the request.
        signature = signature_of(work)
        kept = [parameter for name, parameter in signature.parameters.items() if parameter.annotation is not SignedIn]
        run.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]  # read by inspect
        return run

    def signed_in(request: Request) -> SignedIn:
        secret = request.cookies.get(cookie, "")
        found = exchange.store.read(lambda uow: links.find_session(uow, hash_secret(secret))) if secret else None
        if found is None or found.person.role not in HOME_ROLES:
            raise Refused("token", "You are signed out, or were not active for 30 minutes.", next_step="Ask for a new link.")
        exchange.store.write(lambda uow: links.touch(uow, found.session))
        return found

    def csrf_of(request: Request) -> str:
        return sha256(b"wardpost/csrf/1" + request.cookies.get(cookie, "").encode()).hexdigest()

    def frame_of(request: Request, who: SignedIn) -> Frame:
        home, hospitals = exchange.store.read(
            lambda uow: (uow.get(Organisation, who.person.org), uow.find(Organisation, kind="hospital", phone__ne=""))
        )
        desk = hospitals[0] if len(hospitals) == 1 else None  # with several, nobody can say which one this home wants
        role = _ROLE_WORDS[str(who.person.role)]
        return Frame(
            home.name if home else who.person.org,
            who.person.name.text(),
            role,
            is_trial,
            csrf_of(request),
            "/home",
            "/home/sign-out",
            desk.phone if desk else "",
            desk.name if desk else "",
        )

    async def small_form(request: Request) -> FormData | WardpostError:
        """The posted form, or why it is none; told on a page, after it is known who asks."""
        try:
            return FormData([*await read_form(request, MAX_PAGE_FORM_BYTES)])
        except WardpostError as problem:
            return problem

    def checked_form(request: Request, form: FormData | WardpostError) -> FormData:
        """Refuses a form from elsewhere."""
        if isinstance(form, WardpostError):
            raise form
        site = request.headers.get("sec-fetch-site", "same-origin")
        given = form.get("csrf", "")
        same = compare_digest(str(given).encode("utf-8", "surrogatepass"), csrf_of(request).encode())
        if site not in ("same-origin", "none") or not same:
            raise Refused(
                "form_from_elsewhere", "This form did not come from our page.", next_step="Go back, reload the page and send again."
            )
        return form

    @router.get("/static/wardpost.css")
    async def css() -> Response:
        return Response(stylesheet, 200, {"Cache-Control": "public, max-age=31536000, immutable"}, "text/css")

    @router.get("/")
    def front() -> Response:
        return RedirectResponse("/home", 303)

    @router.get("/in/{secret}")
    def show_link(secret: str) -> Response:
        """GET and HEAD change nothing: mail scanners open links."""

        found = exchange.store.read(lambda uow: links.describe(uow, hash_secret(secret)))
        if found is None:
            return error_page(links.spent())
        name, home, until = found
        now = exchange.store.read(lambda uow: uow.now)
        facts = LinkFacts(name, home, f"/in/{secret}", spoken_at(until, now))
        return html("link.html", frame=_bare_frame(is_trial), link=facts)

    @router.post("/in/{secret}")
    def use_link(secret: str) -> Response:
        session = make_secret(os.urandom)
        try:
            exchange.store.write(lambda uow: links.use_link(uow, hash_secret(secret), hash_secret(session)))
        except WardpostError as problem:
            return error_page(problem)
        answer = RedirectResponse("/home", 303, HEADERS)
        answer.set_cookie(cookie, session, secure=is_https, httponly=True, samesite="lax", path="/")
        return answer

    @router.post("/home/sign-out")
    async def sign_out(request: Request) -> Response:
        posted = await small_form(request)

        @page
        def out(request: Request, who: SignedIn) -> Response:
            checked_form(request, posted)
            exchange.store.write(lambda uow: links.end_session(uow, who.session))
            answer = html("error.html", frame=_bare_frame(is_trial), error=ErrorFacts("You are signed out", "Close this page."))
            answer.delete_cookie(cookie, path="/", secure=is_https, httponly=True, samesite="lax")
            return answer

        return out(request)

    @router.get("/home")
    @page
    def inbox(request: Request, who: SignedIn) -> Response:
        caller = Caller(who.person.org, person=who.person.id)
        items: list[InboxItem] = []
        more, after = True, 0
        while more:
            found, more = exchange.poll(caller, after_change=after, count=200)
            items += found
            after = found[-1].delivery.change if found else after
        now = exchange.store.read(lambda uow: uow.now)
        frame = frame_of(request, who)
        return html("inbox.html", frame=frame, view=inbox_view(inbox_rows(items), frame, now))

    @router.get("/home/{transfer}")
    @page
    def papers(request: Request, who: SignedIn, transfer: str) -> Response:
        return show_papers(request, who, transfer, None, None)

    @router.get("/home/{transfer}/version/{number}")
    @page
    def old_papers(request: Request, who: SignedIn, transfer: str, number: str) -> Response:
        return show_papers(request, who, transfer, version_number(number), None)

    def show_papers(request: Request, who: SignedIn, transfer: str, number: int | None, tried: answers.Tried | None) -> Response:
        opened = exchange.open_version(Caller(who.person.org, person=who.person.id), transfer, number)
        now = exchange.store.read(lambda uow: uow.now)
        frame = frame_of(request, who)
        facts = transfer_facts(opened, frame, tried)
        document = next((content for id, content in opened.contents.items() if _part(opened, id).media_type == FHIR_JSON), None)
        bundle = json.loads(document) if document is not None else None
        view = transfer_view(bundle, json.loads(opened.gate), facts, now)
        return html("transfer.html", 422 if tried else 200, frame=frame, view=view)

    @router.get("/home/{transfer}/letters/{part_id}")
    @page
    def letter(request: Request, who: SignedIn, transfer: str, part_id: str) -> Response:
        """One letter as it came. Shown by the browser's own viewer, in a sandbox."""
        part, content = exchange.collect_part(Caller(who.person.org, person=who.person.id), part_id)
        if part.transfer_id != transfer:
            raise NotFound("part", "There is no such letter here.", next_step="Go back to the papers.")
        headers = {**HEADERS, "Content-Security-Policy": "sandbox; default-src 'none'", "Content-Disposition": "inline"}
        media_type = part.media_type + ("; charset=utf-8" if part.media_type == "text/plain" else "")
        return Response(content, 200, headers, media_type)

    @router.post("/home/{transfer}/answer")
    async def answer(request: Request, transfer: str) -> Response:
        posted = await small_form(request)

        @page
        def give(request: Request, who: SignedIn) -> Response:
            form = checked_form(request, posted)
            kind, number = str(form.get("kind", "")), version_number(str(form.get("version", "")))
            fields = {name: str(value) for name, value in form.items() if name not in ("csrf", "kind", "version", "condition")}
            conditions = tuple(str(value) for value in form.getlist("condition"))
            caller = Caller(who.person.org, person=who.person.id)
            item = exchange.version_item(caller, transfer, number)
            errors = answers.mistakes(kind, fields, planned_known=bool(item.person.expected_leaving))
            if errors:
                return show_papers(request, who, transfer, number, answers.Tried(kind, fields, conditions, errors))
            gate = json.loads(item.version.gate.open())
            reason, content = read_answer(kind, fields, condition_words(gate, conditions), item.person.expected_leaving)
            given = exchange.answer(caller, item.delivery.id, AnswerKind(kind), reason, content)
            return RedirectResponse(f"/home/{transfer}/answered/{given.id}", 303, HEADERS)

        return give(request)

    @router.get("/home/{transfer}/answered/{answer_id}")
    @page
    def answered(request: Request, who: SignedIn, transfer: str, answer_id: str) -> Response:
        given = exchange.store.read(lambda uow: uow.get(Answer, answer_id), Scope(who.person.org, Role.RECIPIENT))
        if given is None or given.transfer_id != transfer:
            raise NotFound("answer", "There is no such answer here.", next_step="Go back to the papers.")
        item = exchange.version_item(Caller(who.person.org), transfer, given.number)
        now = exchange.store.read(lambda uow: uow.now)
        title = {AnswerKind.SEEN: "Kept: you have read this", AnswerKind.ASK: "Your question was sent"}.get(
            given.kind, "Your answer was sent"
        )
        words = given_words(given)
        name = f"{item.person.given} {item.person.family}".strip()
        done = Done(title, words, who.person.name.text(), spoken_at(given.answered_at, now), given.number, name, f"/home/{transfer}")
        return html("answered.html", frame=frame_of(request, who), done=done)

    return router


def version_number(text: str) -> int:
    """The number of a version in a form or an address; what is none is 0, which no version has."""
    return int(text) if re.fullmatch(r"[0-9]{1,5}", text) else 0


def _bare_frame(is_trial: bool) -> Frame:
    """The frame of a page for nobody in particular."""
    return Frame("", "", "", is_trial, "", "", "")


def _part(opened: Opened, part_id: str) -> Part:
    return next(part for part in opened.item.parts if part.id == part_id)


def inbox_rows(items: list[InboxItem]) -> list[InboxRow]:
    """The newest version of each transfer, as the list's view wants it."""
    newest: dict[str, InboxItem] = {}
    for item in items:
        known = newest.get(item.transfer.id)
        if known is None or item.delivery.number > known.delivery.number:
            newest[item.transfer.id] = item
    rows = []
    for item in newest.values():
        reads = [a.number for a in item.answers] + [
            i.delivery.number for i in items if i.transfer.id == item.transfer.id and i.delivery.opened_at
        ]
        last = item.answers[-1] if item.answers else None
        withdrawn = item.delivery.state is DeliveryState.WITHDRAWN
        rows.append(
            InboxRow(
                url=f"/home/{item.transfer.id}",
                resident=resident_of(item),
                mark=Mark.WITHDRAWN if withdrawn else mark_of(item.version.badge),
                version=item.delivery.number,
                published_at=item.version.published_at,
                missing=item.person.missing,
                read_version=max(reads, default=None),
                answer=_given(last, "") if last else None,
                withdrawn_at=item.delivery.updated_at if withdrawn else None,
                withdrawn_why=_WITHDRAWN.get(item.transfer.withdrawn_reason, ""),
                is_withdrawal_seen=item.delivery.withdrawal_seen_at is not None,
                left_at=item.person.left_at,
                ward_phone=item.person.ward_phone,
            )
        )
    return rows


_WITHDRAWN = {
    "discharge_cancelled": "The discharge is off: the person is staying in hospital.",
    "admission_cancelled": "The hospital cancelled the stay.",
    "redirected": "The person goes to another home.",
}


def mark_of(badge: str) -> Mark:
    return {"papers complete": Mark.COMPLETE, "letter only": Mark.LETTER_ONLY}.get(badge, Mark.MISSING)


def resident_of(item: InboxItem) -> Resident:
    person = item.person
    name = f"{person.given} {person.family}".strip()
    return Resident(name, person.birth_date, person.nhs_number, person.ward, person.hospital, person.expected_leaving)


def transfer_facts(opened: Opened, frame: Frame, tried: answers.Tried | None) -> TransferFacts:
    """What the service knows of a version beside its document."""
    item, names = opened.item, opened.names
    delivery = item.delivery
    base = f"/home/{item.transfer.id}"
    letters = tuple(
        LetterFacts(
            read_label(part.label).title,
            part.media_type,
            part.size_bytes,
            f"{base}/letters/{part.id}",
            opened.contents[part.id].decode("utf-8", "replace") if part.id in opened.contents else None,
        )
        for part in item.parts
        if part.media_type != FHIR_JSON
    )
    withdrawn = delivery.state is DeliveryState.WITHDRAWN
    read = tuple(Read(names.get(row.opened_by or "", ""), row.opened_at, row.number) for row in opened.versions if row.opened_at)
    return TransferFacts(
        frame=frame,
        transfer_id=item.transfer.id,
        version=delivery.number,
        newest_version=opened.versions[-1].number,
        published_at=item.version.published_at,
        resident=resident_of(item),
        answer_url=f"{base}/answer",
        newest_url=base,
        delivered_at=delivery.delivered_at,
        opened=read,
        answers=tuple(_given(answer, names.get(answer.person_id or "", answer.client_id or "")) for answer in item.answers),
        letters=letters,
        replaced_at=delivery.updated_at if delivery.state is DeliveryState.REPLACED else None,
        withdrawn_at=delivery.updated_at if withdrawn else None,
        withdrawn_why=_WITHDRAWN.get(item.transfer.withdrawn_reason, ""),
        left_at=item.person.left_at,
        tried=tried,
    )


def _given(answer: Answer, who: str) -> Given:
    return Given(Kind(str(answer.kind)), given_words(answer), who, answer.answered_at, answer.number)


def given_words(answer: Answer) -> str:
    """What an answer says after its kind: time, conditions, reason, question."""
    content = json.loads(answer.content.open())
    words = []
    if content.get("at"):
        words.append(f"from {content.get('at_words') or content['at']}")
    if answer.reason_code:
        words.append({**answers.CANNOT, **answers.ASK}.get(answer.reason_code, answer.reason_code))
    if content.get("conditions"):
        words.append("only if put right first: " + ", ".join(map(str, content["conditions"])))
    if content.get("note"):
        words.append(str(content["note"]))
    return ". ".join(words)


def read_answer(kind: str, fields: dict[str, str], conditions: tuple[str, ...], planned: str) -> tuple[str, dict[str, object]]:
    """(reason code, content) of a checked form. Times are London's; the planned one is kept as the hospital wrote it."""
    content: dict[str, object] = {}
    reason = ""
    if kind == "can_take":
        if fields.get("when") == "planned":
            content |= {"at": planned, "at_words": "the planned time"}
        else:
            moment = datetime.fromisoformat(f"{fields['day']}T{fields['time']}").replace(tzinfo=LONDON)
            content |= {"at": moment.isoformat(), "at_words": moment.strftime("%H:%M on %A %-d %B")}
        if conditions:
            content["conditions"] = list(conditions)
    elif kind == "cannot":
        reason, content["note"] = fields["reason"], fields.get("note", "").strip()
    elif kind == "ask":
        reason, content["note"] = fields["topic"], fields["question"].strip()
    return reason, {name: value for name, value in content.items() if value}
