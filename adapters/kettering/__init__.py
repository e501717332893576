"""The Kettering XML adapter: the file that English hospitals make for the GP, in both dialects. One ReportMsg to one Draft. Pure.

The format has no owner and no schema that holds: ids are read and not customs, payloads by what they are and not by what they claim.
Row names are the elements. There is no visit number; see docs/data-model.md, "Which stay a document belongs to".
"""

import hashlib
import re
from collections.abc import Iterator
from datetime import date
from typing import Final

from adapters.common import LOCAL_PATIENT, nhs_number, put, read_time
from adapters.kettering.count import counted
from adapters.kettering.payload import Payload, blocks, payload
from adapters.kettering.report import Element, Report
from exchange.fhir.codes import NHS_NUMBER, ODS_ORGANISATION
from exchange.fhir.draft import Draft, Entry, Letter, LetterStatus, Outcome, ReadingProfile, Resource, Sign, SourceKind, Unreadable

FORMAT: Final = "kettering"
_ROOT: Final = re.compile(
    rb"\A(?:\xef\xbb\xbf)?\s*(?:<\?xml[^<>]*\?>)?(?:\s|<!--(?:[^-]|-[^-])*-->)*(?:<!DOCTYPE\s+ReportMsg\b|<ReportMsg[\s/>])"
)
_ID: Final = re.compile(rb"<MsgId>([^<]{1,400})</MsgId>")
_NO_NUMBER: Final = "9999999999"
_SEX: Final = {"1": "male", "2": "female", "0": "unknown", "9": "other"}
# ServiceEventType of ours, and the Encounter.class of it (v3-ActCode); a day case has no class that says it.
_OURS: Final = {"IP": ("IMP", "inpatient encounter"), "AE": ("EMER", "emergency"), "DC": ("", "")}
_PRACTICE: Final = frozenset(("PRACTICE", "PRA"))
_NOTES: Final = {"ReportingReason": "Reason for the report", "ReportingReferenceNumber": "Reference number of the report"}
_CHANGED: Final = {
    "Y": "The hospital's file says that medicines were changed (MedicationChanged: Y). Which ones stands in the letter.",
    "N": "The hospital's file says that no medicine was changed (MedicationChanged: N). This is no medicines list.",
}
_PATIENT: Final = "PatientMatchingInfo"


def sniff(raw: bytes) -> bool:
    """Whether the root is ReportMsg, by its DOCTYPE or its start tag."""
    return bool(_ROOT.match(raw))


def source_id(raw: bytes) -> str:
    """MsgId, trimmed."""
    found = _ID.search(raw)
    return found[1].decode("latin-1").strip() if found else ""


def read(raw: bytes, profile: ReadingProfile) -> Draft:
    """The Draft of one file. Every non-empty value of it stands once in `items`. Raises Unreadable and nothing else."""
    return _Reader(raw, profile).draft(raw)


class _Reader:
    """One file on its way to a Draft. `odd`: dates that are none, as they were written, for the note that says so."""

    def __init__(self, raw: bytes, profile: ReadingProfile) -> None:
        self.report = Report(raw)
        self.profile = profile
        self.odd: list[str] = []

    def draft(self, raw: bytes) -> Draft:
        report, counts = self.report, counted(raw)
        patient = self._patient()
        sent = self._moment("MsgIssueDate", "Composition.date")
        encounter = self._encounter()
        people = [*self._practice(), *self._consultant()]
        notes = [*self._facts(), *self._codes(counts["codes"])]
        letters, shown = self._letters(blocks(raw))
        if len(letters) != counts["letters"]:
            raise Unreadable("letter_count", f"The file has {counts['letters']} letters, {len(letters)} could be read.")
        if self.odd:
            notes.append(_note("clinical-summary", self.odd[0], "", "Not possible as dates, shown as sent: " + "; ".join(self.odd)))
        code, reason = report.value(report.first("ClinicalReport/ReportCode")), self._unused(bool(letters))
        written = next((letter.written_at for letter in letters if letter.written_at), "")
        return Draft(
            format=FORMAT,
            event=f"KETTERING^{code}" if re.fullmatch(r"[A-Z0-9]{1,10}", code) else "KETTERING",
            kind=SourceKind.NOT_USED if reason else SourceKind.LETTER,
            source_id=source_id(raw),
            sent_at=sent or written,
            occurred_at=str(_period(encounter).get("end") or _period(encounter).get("start") or ""),
            is_test=report.root.get("MsgStatus", "").strip().upper() == "TEST",
            claimed_sender=report.value(report.first("MsgSender")),
            patient=patient,
            encounter=encounter,
            entries=() if reason else (*people, *notes, *shown),
            letters=() if reason else tuple(letters),
            signs=() if reason else tuple(self._signs()),
            items=report.items(reason),
            counts={"letters": 0 if reason else counts["letters"]},
            reason=reason,
        )

    def _unused(self, has_letters: bool) -> str:
        """ServiceEventType, ReportType, ReportCode: only in-patient, emergency and day-case papers are ours ("": used)."""
        report = self.report
        service = report.value(report.first("ReportedService/ReportedEventItem/ServiceEventType")).upper()
        kinds = {report.value(report.first(f"ClinicalReport/{name}")) for name in ("ReportType", "ReportCode")}
        wanted = set(self.profile.letter_types)
        if (service and service not in _OURS) or (kinds.isdisjoint(wanted) if wanted else "OUTP" in kinds):
            return "not a discharge document"
        return "" if has_letters else "carries no content"

    def _moment(self, path: str, target: str, below: Element | None = None) -> str:
        """yyyymmdd with or without a time, as FHIR; one that is impossible stays text, is said, and is never guessed."""
        element = self.report.first(path, below)
        text = self.report.value(element)
        if element is None or not text:
            return ""
        moment = read_time(text, self.profile.zone) if len(text) >= 8 else None
        if moment is None:
            self.odd.append(f"{element.tag!s} {text}")
            self.report.claim(element, "Composition.section.text", Outcome.NARRATIVE)
            return ""
        self.report.claim(element, target)
        return moment.text

    def _patient(self) -> Resource:
        """PatientMatchingInfo → Patient. Raises Unreadable when it is about two people."""
        report, made = self.report, Resource(resourceType="Patient")
        if len(report.at(_PATIENT)) > 1:
            raise Unreadable("two_people", "The file has more than one PatientMatchingInfo.")
        identifiers = [found for one in report.at(f"{_PATIENT}/PatientId/Id") if (found := self._identifier(one))]
        if len({i["value"] for i in identifiers if i.get("system") == NHS_NUMBER}) > 1:
            raise Unreadable("two_people", "The file names two different NHS numbers.")
        put(made, "identifier", identifiers)
        names = [found for one in report.at(f"{_PATIENT}/PersonName_s") if (found := self._name(one))]
        put(made, "name", names)
        sex = report.first(f"{_PATIENT}//Sex")
        if sex is not None and report.value(sex) in _SEX:
            report.claim(sex, "Patient.gender")
            made["gender"] = _SEX[report.value(sex)]
        put(made, "birthDate", self._birth_date())
        for place in report.at(f"{_PATIENT}/Address_u")[:1]:
            put(made, "address", [address] if (address := self._address(place)) else [])
        return made if len(made) > 1 else {}

    def _identifier(self, one: Element) -> Resource | None:
        """Id: Nhs (9999999999 says that there is none), CHI, Provider = hospital number; the requester's number is the practice's own."""
        report, kind_at, value_at = self.report, self.report.first("IdType", one), self.report.first("IdValue", one)
        kind, value = report.value(kind_at).upper(), report.value(value_at)
        if not value or kind_at is None or value_at is None:
            return None
        if kind == "NHS":
            digits = nhs_number(value)
            if not digits:
                report.refuse(value_at, "says no NHS number" if value == _NO_NUMBER else "is not a valid NHS number")
                return None
            report.take(kind_at, "Patient.identifier.system")
            report.take(value_at, "Patient.identifier.value")
            return {"system": NHS_NUMBER, "value": digits}
        if kind == "CHI":
            return {
                "type": {"text": report.take(kind_at, "Patient.identifier.type.text")},
                "value": report.take(value_at, "Patient.identifier.value"),
            }
        if kind != "PROVIDER":
            report.refuse(value_at, "the practice's own number")
            return None
        report.take(kind_at, "Patient.identifier.system")
        return {"system": LOCAL_PATIENT, "value": report.take(value_at, "Patient.identifier.value")}

    def _name(self, one: Element) -> Resource | None:
        """PersonName_s of type CU, the current name; others are kept back."""
        report, kind = self.report, self.report.first("PersonNameType", one)
        parts = [report.first(f"StructPersonName/{name}", one) for name in ("FamilyName", "GivenName", "Title")]
        if kind is not None and report.value(kind).upper() not in ("CU", ""):
            for part in (part for part in parts if part is not None):
                report.refuse(part, "previous_names", Outcome.WITHHELD)
            return None
        if kind is not None and report.value(kind):
            report.claim(kind, "Patient.name.use")
        made: Resource = {}
        family, given, title = parts
        put(made, "family", report.take(family, "Patient.name.family"))
        put(made, "given", report.take(given, "Patient.name.given").split())
        put(made, "prefix", [title_text] if (title_text := report.take(title, "Patient.name.prefix")) else [])
        return {"use": "official", **made} if made else None

    def _birth_date(self) -> str:
        """BirthDate, where it should stand or inside StructPersonName; two that differ are none."""
        report = self.report
        found = [one for one in report.at(f"{_PATIENT}//BirthDate") if report.value(one)]
        days = {_day(report.value(one)) for one in found}
        day = days.pop() if len(days) == 1 else ""
        for one in found:
            if day:
                report.claim(one, "Patient.birthDate")
            else:
                self.odd.append(f"BirthDate {report.value(one)}")
                report.claim(one, "Composition.section.text", Outcome.NARRATIVE)
        return day

    def _address(self, place: Element) -> Resource:
        report = self.report
        lines = [report.take(line, "Patient.address.line") for line in report.at("UnstructAddress/UnstructAddressLine", place)]
        made: Resource = {}
        put(made, "line", [line for line in lines if line])
        put(made, "postalCode", report.take(report.first("PostCode", place), "Patient.address.postalCode"))
        return made

    def _signs(self) -> Iterator[Sign]:
        """The address as one text, for the directory to compare."""
        report = self.report
        for place in report.at(f"{_PATIENT}/Address_u")[:1]:
            parts = [*report.at("UnstructAddress/UnstructAddressLine", place), *report.at("PostCode", place)]
            if words := ", ".join(filter(None, map(report.value, parts))):
                yield Sign("address", words, report.position(place))

    def _encounter(self) -> Resource:
        """EventDate, EventDateEnd → period; ServiceEventType → class. RelDate with role 82 stands in for a missing EventDate."""
        report, made = self.report, Resource(resourceType="Encounter", status="unknown")
        start = self._moment("ClinicalReport/EventDate", "Encounter.period.start")
        for date_at in report.at("ReportedService/ReportedEventItem/RelDate"):
            if report.value(report.first("RelDateRole/Code", date_at)) == "82":
                again = self._moment("Date", "Encounter.period.start", date_at)
                start = start or again
        end = self._moment("ClinicalReport/EventDateEnd", "Encounter.period.end")
        put(made, "period", {name: moment for name, moment in (("start", start), ("end", end)) if moment})
        service = report.first("ReportedService/ReportedEventItem/ServiceEventType")
        code, display = _OURS.get(report.value(service).upper(), ("", ""))
        if code and service is not None:
            report.claim(service, "Encounter.class.code")
            made["class"] = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": code, "display": display}
        return made

    def _practice(self) -> Iterator[Entry]:
        """Party or AgentInContext with a practice code → the GP practice: the recipient of the file, never the home."""
        report = self.report
        for party in report.at("Parties/Party"):
            code = next((one for one in report.at("OrgCode", party) if one.get("IdType", "").upper() in _PRACTICE), None)
            if code is not None:
                report.claim(code, "Organization.identifier.system", attribute="IdType")
                yield from self._surgery(code, report.first("OrgName", party))
                if name := report.take(report.first("HcpName", party), "Practitioner.name.text"):
                    yield Entry("gp", report.position(party), {"resourceType": "Practitioner", "name": [{"text": name}]})
                return
        agents = report.at("AgentsDirectory/AgentInContext")
        registered = [one for one in agents if report.value(report.first("AgentRel/RelAgentRole", one)).upper() == "PRG"]
        for agent in registered or agents:
            if report.value(report.first("AgentId/IdType", agent)).upper() in _PRACTICE:
                yield from self._surgery(report.first("AgentId/IdValue", agent), None)
                return

    def _surgery(self, code_at: Element | None, name_at: Element | None) -> Iterator[Entry]:
        report, made = self.report, Resource(resourceType="Organization")
        code = report.take(code_at, "Organization.identifier.value")
        put(made, "identifier", [{"system": ODS_ORGANISATION, "value": code}] if code else [])
        put(made, "name", report.take(name_at, "Organization.name"))
        if len(made) > 1 and code_at is not None:
            yield Entry("gp-practice", report.position(code_at), made)

    def _consultant(self) -> Iterator[Entry]:
        """BossName of the party that ServiceProvider names (the trust): the consultant, whoever typed the letter."""
        report, provider = self.report, self._provider()
        if provider is not None and (name := report.take(boss := report.first("BossName", provider), "Practitioner.name.text")):
            assert boss is not None
            yield Entry("consultant", report.position(boss), {"resourceType": "Practitioner", "name": [{"text": name}]})

    def _provider(self) -> Element | None:
        report = self.report
        number = report.value(report.first("ServiceProvider/IdValue"))
        return next((party for party in report.at("Parties/Party") if number and party.get("AgentId", "").strip() == number), None)

    def _facts(self) -> Iterator[Entry]:
        """ReportingInformation: what was asked for, and MedicationChanged, which is a fact to show and no medicines list."""
        report, provider = self.report, self._provider()
        below = "ClinicalReport/ReportingInformation"
        for name, words in _NOTES.items():
            if one := report.at(f"{below}/{name}"):
                yield from self._told("clinical-summary", one[0], f"{words}: ")
        for one_at in report.at(f"{below}/ActionRequested"):
            yield from self._told("plan-and-requested-actions", one_at, "")
        for one_at in report.at(f"{below}/MedicationChanged"):
            flag = report.take(one_at, "Composition.section.text", Outcome.NARRATIVE)
            if flag:
                words = _CHANGED.get(flag.upper(), f"MedicationChanged in the hospital's file: {flag}")
                yield _note("medications-and-medical-devices", report.position(one_at), "", words)
        for one_at in report.at("DepartmentName", provider) if provider is not None else ():
            yield from self._told("admission-details", one_at, "Department: ")

    def _told(self, section: str, element: Element, words: str) -> Iterator[Entry]:
        if value := self.report.take(element, "Composition.section.text", Outcome.NARRATIVE):
            yield _note(section, self.report.position(element), "", words + value)

    def _codes(self, count: int) -> Iterator[Entry]:
        """CodedData/ClinicalCode: every part as sent, in words with its own system; a Read code is mapped by nobody here."""
        report = self.report
        found = report.at(".//ClinicalCode")
        if len(found) != count:
            raise Unreadable("code_count", f"The file has {count} clinical codes, {len(found)} could be read.")
        for one in found:
            for name in ("Type", "Schema"):
                if one.get(name, "").strip():
                    report.claim(one, "Composition.section.text", Outcome.NARRATIVE, attribute=name)
            system = " ".join(filter(None, (one.get("Type", "").strip(), one.get("Schema", "").strip())))
            parts = [part for part in one.iter() if report.value(part)]
            said = "; ".join(f"{part.tag!s}: {report.take(part, 'Composition.section.text', Outcome.NARRATIVE)}" for part in parts)
            if said:
                yield _note("clinical-summary", report.position(one), "", f"Coded by the hospital ({system or 'system not said'}): {said}")

    def _letters(self, inner: list[bytes]) -> tuple[list[Letter], list[Entry]]:
        """TextItem → one Letter each, byte for byte; an HTML letter is shown as a note, too."""
        report, letters, notes = self.report, list[Letter](), list[Entry]()
        every = report.at(".//TextBlock")
        for block, bytes_inside in zip(every, inner, strict=len(every) == len(inner)):
            found = payload(report, block, bytes_inside)
            if found is None:
                continue
            said = f"sha256:{hashlib.sha256(found.content).hexdigest()}"
            report.claim(block, "DocumentReference.content.attachment", Outcome.ATTACHMENT, said)
            letter = self._letter(block, found)
            letters.append(letter)
            title = f"Letter as sent: {letter.title}" + (f", part {len(letters)}" if len(letters) > 1 else "")
            if found.lines:
                notes.append(_note("clinical-summary", letter.position, title, "\n".join(found.lines)))
            elif found.media_type.startswith("text/html"):
                notes.append(
                    _note("clinical-summary", letter.position, title, "Too long to be shown here, or empty: read the letter itself.")
                )
        return letters, notes

    def _letter(self, block: Element, found: Payload) -> Letter:
        report = self.report
        clinical = next((up for up in block.iterancestors("ClinicalReport")), None)
        where = report.root if clinical is None else clinical
        provider = self._provider()
        author = report.take(report.first("ReportContributor", where), "DocumentReference.author.display")
        if not author and provider is not None:
            author = report.take(report.first("HcpName", provider), "DocumentReference.author.display")
        title = report.take(report.first("ReportType", where), "DocumentReference.type.text")
        number = report.take(report.first("ReportID", where), "DocumentReference.identifier.value")
        written = self._moment("DocCreationDate", "DocumentReference.date", where) if clinical is not None else ""
        return Letter(
            report.position(block), found.media_type, found.content, title or "Letter", LetterStatus.FINAL,
            document_id=number, author=author, written_at=written,
        )  # fmt: skip


def _note(section: str, position: str, title: str, text: str) -> Entry:
    return Entry("note", position, {"section": section, "title": title, "text": text})


def _period(encounter: Resource) -> Resource:
    period = encounter.get("period")
    return period if isinstance(period, dict) else {}


def _day(text: str) -> str:
    """yyyymmdd (a time after it is dropped, no zone touches it) as a FHIR date; "" when there is no such day."""
    try:
        return date.fromisoformat(f"{text[:4]}-{text[4:6]}-{text[6:8]}").isoformat() if text[:8].isdecimal() else ""
    except ValueError:
        return ""
