"""The home's pages: list, papers, letters, answers. No script, no page cached."""

import json
import re
from datetime import datetime

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from exchange.app import Exchange
from exchange.directory.links import SignedIn
from exchange.errors import NotFound
from exchange.fhir.pdf_scan import warning
from exchange.fhir.shape import LONDON
from exchange.mailbox.collect import InboxItem, Opened
from exchange.model import AnswerKind, Caller, DeliveryState, Role, Scope
from exchange.ports import UnitOfWork
from exchange.records import Answer, Part, Person
from exchange.transfer.match import read_label
from exchange.web.home import answers
from exchange.web.home.facts import Frame, Given, InboxRow, LetterFacts, Mark, Read, Resident, TransferFacts
from exchange.web.home.heads_up import heads_up
from exchange.web.home.inbox import Past, answer_words, inbox_view
from exchange.web.home.page import TransferView
from exchange.web.home.view import condition_words, transfer_view, withdrawn_words
from exchange.web.session import HEADERS, Pages

FHIR_JSON = "application/fhir+json"


def home_router(exchange: Exchange, pages: Pages) -> APIRouter:
    """The routes under /home."""
    router = APIRouter()

    @router.get("/home")
    @pages.home
    def inbox(request: Request, who: SignedIn) -> Response:
        asked = request.query_params.get("earlier", "")
        earlier = int(asked) if re.fullmatch(r"[0-9]{1,5}", asked) else 0
        found = exchange.home_list(Caller(who.person.org, person=who.person.id), earlier)
        frame = pages.frame(request, who)
        past = Past(inbox_rows(found.past), earlier, found.has_more, found.unread_left)
        view = inbox_view(inbox_rows(found.near), frame, found.now, past)
        return pages.html("inbox.html", frame=frame, view=view)

    @router.get("/home/{transfer}")
    @pages.home
    def papers(request: Request, who: SignedIn, transfer: str) -> Response:
        return show_papers(request, who, transfer, None, None)

    @router.get("/home/{transfer}/version/{number}")
    @pages.home
    def old_papers(request: Request, who: SignedIn, transfer: str, number: str) -> Response:
        return show_papers(request, who, transfer, version_number(number), None)

    def show_papers(request: Request, who: SignedIn, transfer: str, number: int | None, tried: answers.Tried | None) -> Response:
        opened = exchange.open_version(Caller(who.person.org, person=who.person.id), transfer, number)
        now = exchange.store.read(lambda uow: uow.now)
        frame = pages.frame(request, who)
        if opened.item.is_shut and opened.item.delivery.state is not DeliveryState.WITHDRAWN:
            return pages.html("heads_up.html", frame=frame, view=heads_up(inbox_rows([opened.item])[0], now), base=f"/home/{transfer}")
        before = view_of(opened.before, frame, now) if opened.before else None
        view = view_of(opened, frame, now, tried, before)
        status = 410 if opened.item.delivery.state is DeliveryState.WITHDRAWN else 422 if tried else 200
        return pages.html("transfer.html", status, frame=frame, view=view)

    @router.get("/home/{transfer}/letters/{part_id}")
    @pages.home
    def letter(request: Request, who: SignedIn, transfer: str, part_id: str) -> Response:
        """One letter as it came. Shown by the browser's own viewer, in a sandbox."""
        part, content = exchange.collect_part(Caller(who.person.org, person=who.person.id), part_id)
        if part.transfer_id != transfer:
            raise NotFound("part", "There is no such letter here.", next_step="Go back to the papers.")
        headers = {**HEADERS, "Content-Security-Policy": "sandbox; default-src 'none'", "Content-Disposition": "inline"}
        media_type = read_label(part.label).media_type
        media_type += "; charset=utf-8" if media_type == "text/plain" else ""
        return Response(content, 200, headers, media_type)

    @router.post("/home/{transfer}/answer")
    async def answer(request: Request, transfer: str) -> Response:
        posted = await pages.form(request)

        @pages.home
        def give(request: Request, who: SignedIn) -> Response:
            form = pages.checked(request, posted)
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
    @pages.home
    def answered(request: Request, who: SignedIn, transfer: str, answer_id: str) -> Response:
        def look(uow: UnitOfWork) -> tuple[Answer, str]:
            found = uow.get(Answer, answer_id)
            if found is None or found.transfer_id != transfer:
                raise NotFound("answer", "There is no such answer here.", next_step="Go back to the papers.")
            giver = uow.get(Person, found.person_id) if found.person_id else None
            return found, giver.name.text() if giver else found.client_id or ""

        given, by = exchange.store.read(look, Scope(who.person.org, Role.RECIPIENT))
        item = exchange.version_item(Caller(who.person.org), transfer, given.number)
        titles = {AnswerKind.SEEN: "Kept: you have read this", AnswerKind.ASK: "Your question was sent"}
        said = answer_words(_given(given, by), exchange.store.read(lambda uow: uow.now), version=given.number)
        context = {"said": said, "number": given.number, "name": resident_of(item).name, "transfer": transfer}
        title = titles.get(given.kind, "Your answer was sent")
        return pages.html("answered.html", 200, frame=pages.frame(request, who), title=title, **context)

    return router


def version_number(text: str) -> int:
    """The number of a version in a form or an address; what is none is 0, which no version has."""
    return int(text) if re.fullmatch(r"[0-9]{1,5}", text) else 0


def view_of(
    opened: Opened, frame: Frame, now: datetime, tried: answers.Tried | None = None, before: TransferView | None = None
) -> TransferView:
    """A version as its page shows it, compared with the one that was read before."""
    document = next((content for id, content in opened.contents.items() if _part(opened, id).media_type == FHIR_JSON), None)
    bundle = json.loads(document) if document is not None else None
    return transfer_view(bundle, json.loads(opened.gate), transfer_facts(opened, frame, tried), now, before)


def _part(opened: Opened, part_id: str) -> Part:
    return next(part for part in opened.item.parts if part.id == part_id)


def inbox_rows(items: list[InboxItem]) -> list[InboxRow]:
    """The newest version of each transfer, as the list's view wants it."""
    newest: dict[str, InboxItem] = {}
    reads: dict[str, int] = {}
    for item in items:
        numbers = [answer.number for answer in item.answers] + ([item.delivery.number] if item.delivery.opened_at else [])
        reads[item.transfer.id] = max([reads.get(item.transfer.id, 0), *numbers])
        known = newest.get(item.transfer.id)
        if known is None or item.delivery.number > known.delivery.number:
            newest[item.transfer.id] = item
    rows = []
    for item in newest.values():
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
                read_version=reads[item.transfer.id] or None,
                answer=_given(last, "") if last else None,
                withdrawn_at=item.delivery.updated_at if withdrawn else None,
                withdrawn_why=withdrawn_words(item.transfer.withdrawn_reason),
                is_withdrawal_seen=item.delivery.withdrawal_seen_at is not None,
                left_at=item.person.left_at,
                ward_phone=item.person.ward_phone,
            )
        )
    return rows


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
            label.title,
            part.media_type,
            part.size_bytes,
            f"{base}/letters/{part.id}",
            label.text_of(opened.contents[part.id]) if part.id in opened.contents else None,
            warning(label.active),
        )
        for part, label in zip(item.parts, item.labels, strict=True)
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
        withdrawn_at=(item.transfer.withdrawn_at or delivery.updated_at) if withdrawn else None,
        withdrawn_why=withdrawn_words(item.transfer.withdrawn_reason),
        left_at=item.person.left_at,
        ward_phone=item.person.ward_phone,
        tried=tried,
    )


def _given(answer: Answer, who: str) -> Given:
    return Given(answer.kind, answers.given_words(answer), who, answer.answered_at, answer.number)


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
