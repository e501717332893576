"""One transfer as its hospital sees it: what the home asks first, then what is missing, what was said, and what happened when. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from exchange.intake.holds import WORDS
from exchange.model import AnswerKind
from exchange.records import Answer
from exchange.transfer.status import Standing
from exchange.web.board.view import Row, row_of
from exchange.web.home import times
from exchange.web.home.answers import given_words
from exchange.web.home.facts import dialled
from exchange.web.home.page import Gap, Notice
from exchange.web.home.values import Value, value
from exchange.web.home.view import read_gaps, spaced, withdrawn_words


@dataclass(frozen=True, slots=True)
class Said:
    """One answer or question of the home."""

    head: str
    words: str = field(repr=False)
    source: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TransferPage:
    title: str
    row: Row
    born: Value
    nhs_number: Value
    home_phone: str
    home_tel: str
    papers: str
    ward_url: str
    pick_url: str
    notices: tuple[Notice, ...]
    gaps: tuple[Gap, ...]
    warnings: tuple[Gap, ...]
    said: tuple[Said, ...]
    timeline: tuple[tuple[str, str], ...]
    made: str


HEADS = {
    AnswerKind.SEEN: "Read",
    AnswerKind.CAN_TAKE: "Can take",
    AnswerKind.CANNOT: "Cannot take",
    AnswerKind.AGREED: "Admission agreed",
    AnswerKind.ASK: "Question",
    AnswerKind.OURS: "Says that this is their resident",
}


def transfer_page(found: Standing, names: Mapping[str, str], now: datetime) -> TransferPage:
    """The page of one transfer. `names` by id, of people at the home and of who picked it."""
    row, person, phone = row_of(found, now), found.person, found.home.phone if found.home else ""
    newest = found.newest
    return TransferPage(
        title=f"{row.name}: {row.badge.words}",
        row=row,
        born=value(times.birth(person.birth_date, now)),
        nhs_number=value(spaced(person.nhs_number)),
        home_phone=phone,
        home_tel=dialled(phone),
        papers=f"Version {newest.number}, sent {times.exact(newest.published_at, now)}" if newest else "Not sent yet",
        ward_url="" if found.is_back else f"/board/{found.transfer.id}/ward",
        pick_url=f"/board/{found.transfer.id}/home" if found.home is None and not found.is_back else "",
        notices=tuple(_notices(found, names, now)),
        gaps=() if found.is_back else read_gaps(found.gate, "gaps", person.ward, now),
        warnings=() if found.is_back else read_gaps(found.gate, "warnings", person.ward, now),
        said=tuple(_said(answer, names, now) for answer in reversed(found.answers)),
        timeline=tuple((times.exact(at, now), words) for at, words in sorted(_events(found, names), reverse=True)),
        made=times.at(now, now),
    )


def _who(answer: Answer, names: Mapping[str, str]) -> str:
    return names.get(answer.person_id or "") or answer.client_id or "somebody at the home"


def _said(answer: Answer, names: Mapping[str, str], now: datetime) -> Said:
    source = f"{_who(answer, names)}, {times.exact(answer.answered_at, now)}, to version {answer.number}"
    return Said(HEADS[answer.kind], given_words(answer), source)


def _notices(found: Standing, names: Mapping[str, str], now: datetime) -> Iterator[Notice]:
    """What somebody at the hospital has to act on before reading on."""
    transfer, said = found.transfer, found.said
    if found.is_back and transfer.withdrawn_at is not None:
        seen = "The home has seen it." if found.is_back_seen else "The home has not seen it yet: call them."
        words = f"Taken back {times.exact(transfer.withdrawn_at, now)}. {withdrawn_words(transfer.withdrawn_reason)} {seen}"
        yield Notice("Not leaving", words, "back")
        return
    if said is not None and said.kind in (AnswerKind.ASK, AnswerKind.CANNOT):
        title = "The home asks" if said.kind is AnswerKind.ASK else "The home cannot take this person"
        yield Notice(f"{title}: {given_words(said)}", f"{_said(said, names, now).source}. {times.apart(said.answered_at, now)}.", "ask")
    for hold in found.holds:
        yield Notice(f"Held: {WORDS[hold.kind]}", f"Who settles it: {hold.owner}, by {times.exact(hold.deadline_at, now)}.", "pause")
    if found.home is None:
        yield Notice("No home picked", "Nothing can be sent before a named person says which home.", "ask")


def _events(found: Standing, names: Mapping[str, str]) -> Iterator[tuple[datetime, str]]:
    """What happened, with the moment; from the rows alone."""
    transfer = found.transfer
    yield transfer.created_at, "The first sign that this person goes to a care home."
    if transfer.confirmed_at and found.home:
        yield (
            transfer.confirmed_at,
            f"{found.home.name} was picked by {names.get(transfer.confirmed_by or '', 'a person of the hospital')}.",
        )
    for version in found.versions:
        yield version.published_at, f"Version {version.number} was sent: {version.badge}."
    for row in found.deliveries:
        yield row.delivered_at, f"Version {row.number} reached the home’s mailbox."
        if row.collected_at:
            yield row.collected_at, f"The home’s system collected version {row.number}."
        if row.opened_at:
            yield row.opened_at, f"{names.get(row.opened_by or '', 'Somebody at the home')} opened version {row.number}."
        if row.withdrawal_seen_at:
            yield row.withdrawal_seen_at, f"The home saw that version {row.number} was taken back."
    for answer in found.answers:
        words = ": ".join(filter(None, (HEADS[answer.kind], given_words(answer))))
        yield answer.answered_at, f"{_who(answer, names)} to version {answer.number}: {words}"
    for hold in found.holds:
        yield hold.raised_at, f"Held: {WORDS[hold.kind]}"
    if transfer.withdrawn_at:
        yield transfer.withdrawn_at, f"Taken back. {withdrawn_words(transfer.withdrawn_reason)}"
