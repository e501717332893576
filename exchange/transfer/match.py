"""Match: which Stay a Draft belongs to. NHS number and date of birth must agree; they never choose between two."""

from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import msgspec

from exchange.fhir.draft import Draft, SourceKind
from exchange.fhir.json import dump
from exchange.model import HoldKind, SubmissionState
from exchange.ports import UnitOfWork
from exchange.records import Sealed, Stay, Submission

NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"
LOCAL_PATIENT = "https://fhir.nhs.uk/Id/local-patient-identifier"


class Identity(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who and when, as texts from the source; the sealed `stay.identity`. `local_id` as `system|value`."""

    nhs_number: str = ""
    local_id: str = ""
    birth_date: str = ""
    family: str = ""
    given: str = ""
    visit_id: str = ""
    start: str = ""
    end: str = ""
    died: bool = False


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Why a Draft could not be put to a stay; `stay` when one is in doubt."""

    kind: HoldKind
    code: str
    stay: Stay | None = None


def identity_of(draft: Draft) -> Identity:
    """What a Draft says of identity and period."""
    names = [n for n in _dicts(draft.patient.get("name")) if n.get("use") in (None, "official", "usual")] or _dicts(
        draft.patient.get("name")
    )
    name = names[0] if names else {}
    given = name.get("given")
    period = draft.encounter.get("period")
    period = period if isinstance(period, dict) else {}
    numbers = _dicts(draft.patient.get("identifier"))
    return Identity(
        nhs_number=next((str(i["value"]) for i in numbers if i.get("system") == NHS_NUMBER), ""),
        local_id=next((f"{LOCAL_PATIENT}|{i['value']}" for i in numbers if i.get("system") == LOCAL_PATIENT), ""),
        birth_date=str(draft.patient.get("birthDate", "")),
        family=str(name.get("family", "")),
        given=" ".join(map(str, given)) if isinstance(given, list) else "",
        visit_id=draft.visit_id,
        start=str(period.get("start") or ""),
        end=str(period.get("end") or ""),
        died=draft.is_dead,
    )


def _dicts(value: object) -> list[dict[str, object]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


class Summary(Identity, frozen=True, omit_defaults=True):
    """What a list shows of a version without opening its document; the sealed `version.person`. Texts as the document has them."""

    ward: str = ""
    ward_phone: str = ""
    hospital: str = ""
    expected_leaving: str = ""
    left_at: str = ""
    missing: tuple[str, ...] = ()


class PartLabel(msgspec.Struct, frozen=True):
    """What a list shows of one part: its title, `sha256:<hex>` of its content, its media type with parameters, and what
    a PDF could do besides being read; the sealed `part.label`."""

    title: str
    digest: str
    media_type: str
    active: tuple[str, ...] = ()

    def text_of(self, content: bytes) -> str:
        """The words of a text part in the character set that its media type names, else UTF-8; what does not fit is marked."""
        charset = self.media_type.partition("charset=")[2].partition(";")[0].strip(' "') or "utf-8"
        try:
            return content.decode(charset, "replace")
        except LookupError:
            return content.decode("utf-8", "replace")


def read_label(sealed: Sealed) -> PartLabel:
    """From `part.label`."""
    return msgspec.json.decode(sealed.open(), type=PartLabel)


def read_identity(sealed: Sealed) -> Identity:
    """From `stay.identity`."""
    return msgspec.json.decode(sealed.open(), type=Identity)


def read_summary(sealed: Sealed) -> Summary:
    """From `version.person`."""
    return msgspec.json.decode(sealed.open(), type=Summary)


def match(uow: UnitOfWork, sender_org: str, draft: Draft, linked: str | None = None) -> Stay | Mismatch:
    """The Stay of a Draft, found or made, with what the Draft adds to its identity; or why a person must look.

    A Stay is (sender, visit id). Without a visit id: the one that a person named (`linked`), else the one Stay of the sender that is of
    the same person (`_of_person`) and whose period covers the Draft's days, one with a visit id before one without; none: a Stay of its
    own; several: a person links it.
    """
    said = identity_of(draft)
    if said.visit_id:
        found = uow.find(Stay, sender_org=sender_org, visit_id=uow.indexes("visit_id", sender_org, said.visit_id))
        if not found:
            return _new_stay(uow, sender_org, said)
        known = read_identity(found[0].identity)
        if code := _conflict(known, said):
            if not draft.event.startswith("ADT") or _has_feed(uow, found[0]):
                return Mismatch(HoldKind.IDENTITY, code, found[0])
            set_aside_all(uow, found[0], code)
            return _learn(uow, uow.replace(found[0], nhs_number=None, local_id=None), Identity(), said)
        return _learn(uow, found[0], known, said, draft.kind is SourceKind.CANCEL_DISCHARGE)
    named = uow.get(Stay, linked) if linked else None
    if named is not None:
        known = read_identity(named.identity)
        code = _conflict(known, said)
        return Mismatch(HoldKind.IDENTITY, code, named) if code else _learn(uow, named, known, _blanks(known, said))
    days = (said.start, said.end) if said.start or said.end else (draft.occurred_at or draft.sent_at,)
    covering = [one for one in _of_person(uow, sender_org, said) if all(_covers(one.known, day) for day in days)]
    visits = [one for one in covering if one.known.visit_id]
    candidates = [one for one in visits if not one.conflict] or [one for one in covering if not one.conflict]
    if visits and not candidates:
        return Mismatch(HoldKind.IDENTITY, visits[-1].conflict, visits[-1].stay)
    if len(candidates) > 1:
        return Mismatch(HoldKind.SEVERAL_STAYS, "several_stays")
    if candidates:
        # The feed of the visit owns name and period, whichever comes first: a document fills only what is blank.
        return _learn(uow, candidates[0].stay, candidates[0].known, _blanks(candidates[0].known, said))
    return _new_stay(uow, sender_org, said)


def _has_feed(uow: UnitOfWork, stay: Stay) -> bool:
    """Whether an ADT message says who this is: until one does, documents alone founded the stay, and none of them owns the identity."""
    return any(row.event.startswith("ADT") for row in uow.find(Submission, stay_id=stay.id, state=SubmissionState.READ))


def set_aside_all(uow: UnitOfWork, stay: Stay, code: str) -> None:
    """What was read of a stay whose visit says another person: kept beside it, part of nothing until somebody has looked."""
    uow.update(Submission, {"state": SubmissionState.HELD, "reason": code}, stay_id=stay.id, state=SubmissionState.READ)


class OfPerson(NamedTuple):
    """A stay of the person that somebody speaks of. `conflict`: the NHS number is the same and the birth date is not; else ""."""

    stay: Stay
    known: Identity
    conflict: str


def _of_person(uow: UnitOfWork, sender_org: str, said: Identity) -> list[OfPerson]:
    """The sender's stays with this NHS number or, where it or the stay has none, this hospital number; birth dates are said and agree."""
    if not said.birth_date:
        return []
    by_number = uow.find(Stay, sender_org=sender_org, nhs_number=uow.indexes("nhs_number", "", said.nhs_number)) if said.nhs_number else []
    by_local = uow.find(Stay, sender_org=sender_org, local_id=uow.indexes("local_id", sender_org, said.local_id)) if said.local_id else []
    stays = sorted({stay.id: stay for stay in (*by_number, *by_local)}.values(), key=lambda stay: stay.created_at)
    found = [OfPerson(stay, known, _conflict(known, said)) for stay in stays for known in [read_identity(stay.identity)]]
    numbers = {said.nhs_number} - {""}
    return [one for one in found if (one.known.nhs_number in numbers if one.conflict else one.known.birth_date == said.birth_date)]


def _blanks(known: Identity, said: Identity) -> Identity:
    """Of what is said only what is not known."""
    return Identity(**{name: getattr(said, name) for name in Identity.__struct_fields__ if not getattr(known, name)})


def earlier_documents(uow: UnitOfWork, stay: Stay) -> list[OfPerson]:
    """The stays that documents made for themselves before this visit was heard of, and that its period covers."""
    visit = read_identity(stay.identity)
    found = _of_person(uow, stay.sender_org, visit) if visit.visit_id else []
    return [one for one in found if not one.known.visit_id and all(_covers(visit, day) for day in (one.known.start, one.known.end))]


def match_person(uow: UnitOfWork, sender_org: str, draft: Draft) -> Stay | Mismatch | None:
    """The newest Stay of the sender for a message about a person (A28, A31, A40, A60); None without one.

    A stay known by the sender's local id, or by a local id that the message merges (A40), is this person's: what it lacks of identity is
    learned, what it contradicts is a Mismatch, never settled. Otherwise NHS number and birth date must agree.
    """
    said = identity_of(draft)
    ids = {found: None for local in (*draft.merged_ids, said.local_id) if local for found in uow.indexes("local_id", sender_org, local)}
    by_local = uow.find(Stay, order="-created_at", sender_org=sender_org, local_id=[*ids]) if ids else []
    by_local = by_local if draft.merged_ids else by_local[:1]
    for stay in by_local:
        if code := _conflict(read_identity(stay.identity), said):
            return Mismatch(HoldKind.IDENTITY, code, stay)
    learned = msgspec.structs.replace(said, visit_id="", start="", end="")
    for stay in by_local:
        _learn(uow, stay, read_identity(stay.identity), learned)
    if by_local:
        return uow.get(Stay, by_local[0].id)
    if not said.nhs_number:
        return None
    stays = uow.find(Stay, order="-created_at", sender_org=sender_org, nhs_number=uow.indexes("nhs_number", "", said.nhs_number))
    for stay in stays:
        known = read_identity(stay.identity)
        if not _conflict(known, said):
            return _learn(uow, stay, known, Identity(died=said.died))
    return None


def _conflict(known: Identity, said: Identity) -> str:
    """The code of a contradiction; "" when there is none. A blank contradicts nothing."""
    if known.nhs_number and said.nhs_number and known.nhs_number != said.nhs_number:
        return "nhs_number_differs"
    if known.birth_date and said.birth_date and not _same_date(known.birth_date, said.birth_date):
        return "birth_date_differs"
    return ""


def _same_date(one: str, other: str) -> bool:
    """A year or month alone agrees with a day inside it."""
    shorter, longer = sorted((one, other), key=len)
    return longer.startswith(shorter)


def _covers(known: Identity, moment: str) -> bool:
    """Whether the stay was under way that day, with a day's grace after it (letters are typed late)."""
    day, start, end = moment[:10], known.start[:10], known.end[:10]
    if not day or (start and day[: len(start)] < start[: len(day)]):
        return not day
    if len(day) < 10 or len(end) < 10:  # a month or year alone covers its days
        return not end or day[: len(end)] <= end[: len(day)]
    return date.fromisoformat(day).toordinal() <= date.fromisoformat(end).toordinal() + 1


def _new_stay(uow: UnitOfWork, sender_org: str, said: Identity) -> Stay:
    stay = Stay(
        id=uow.new_id(),
        sender_org=sender_org,
        created_at=uow.now,
        visit_id=uow.index("visit_id", sender_org, said.visit_id) if said.visit_id else None,
        nhs_number=uow.index("nhs_number", "", said.nhs_number) if said.nhs_number else None,
        local_id=uow.index("local_id", sender_org, said.local_id) if said.local_id else None,
        identity=Sealed.of(dump(msgspec.to_builtins(said))),
    )
    uow.insert(stay)
    return stay


def _learn(uow: UnitOfWork, stay: Stay, known: Identity, said: Identity, stays_on: bool = False) -> Stay:
    """A later value replaces an earlier one where they may differ (name, period); a blank replaces nothing.

    `stays_on`: the discharge was cancelled, so the stay has no end.
    """
    if stays_on:
        known = msgspec.structs.replace(known, end="")
    merged = Identity(**{name: getattr(said, name) or getattr(known, name) for name in Identity.__struct_fields__})
    if merged == known and not stays_on:
        return stay
    index = stay.nhs_number or (uow.index("nhs_number", "", merged.nhs_number) if merged.nhs_number else None)
    local = stay.local_id if merged.local_id == known.local_id else uow.index("local_id", stay.sender_org, merged.local_id)
    return uow.replace(stay, identity=Sealed.of(dump(msgspec.to_builtins(merged))), nhs_number=index, local_id=local)
