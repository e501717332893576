"""Patient, Encounter and the people and places around them. UK rules of disclosure as in every other way in (practice.md 5)."""

from collections.abc import Iterator

from adapters.fhir.carry import Carrier
from adapters.fhir.source import Claim, Found, Node, Source, first_identifier, table
from exchange.fhir.codes import NHS_NUMBER
from exchange.fhir.draft import Entry, Outcome, ReadingProfile, Sign, Unreadable
from exchange.fhir.shape import is_nhs_number, part, parts, text
from exchange.fhir.words import address_words

_DETAILS = ("managingOrganization", "partOf", "endpoint", "qualification", "photo", "type", "status", "mode")
_WITHHELD = {"link": "merged_identities"}
# PDS marks a person whose address must reach nobody so (FHIR-PDS-04).
_PROTECTED = ("R", "V")


def subject(source: Source, composition: Found) -> Found:
    """The one person the document is about. Raises Unreadable when it is nobody in it, or when it is about two."""
    patients = [found for found in source.of("Patient") if found.holder is None or found.holder.type == "Composition"]
    said = composition.node.get("subject")
    found = source.target(said, composition) if part(said) else next(iter(patients), None)
    if found is None or found.type != "Patient":
        raise Unreadable("fhir_no_patient", "Composition.subject leads to no Patient in the document.", position="Composition.subject")
    for other in source.found:
        about = next((other.node[name] for name in ("subject", "patient") if isinstance(other.node.get(name), dict)), None)
        whose = source.target(about, other) if about else None
        if other.type != "RelatedPerson" and whose and whose.type == "Patient" and _differ(whose, found):
            raise Unreadable("two_people", "The document is about two different people.", position=other.position)
    return found


def _differ(one: Found, other: Found) -> bool:
    return one is not other and (not first_identifier(one.node) or first_identifier(one.node) != first_identifier(other.node))


def is_sensitive(patient: Found) -> bool:
    """Patient.meta.security says restricted."""
    return any(text(label, "code") in _PROTECTED for label in parts(patient.node, "meta", "security"))


def read_patient(carrier: Carrier, found: Found) -> Node:
    """The Patient: only current names, only valid NHS numbers, no address that must not leak."""
    source, node = carrier.source, found.node
    hidden = ("address", "telecom") if is_sensitive(found) else ()
    for name, rule in (_WITHHELD | dict.fromkeys(hidden, "sensitive_address")).items():
        source.settle(node.get(name), Claim(Outcome.WITHHELD, "", rule))
    for one in parts(node, "contact") if hidden else ():
        source.settle(one.get("address"), Claim(Outcome.WITHHELD, "", "sensitive_address"))
    for one in parts(node, "name"):
        if not _is_current(one):
            source.settle(one, Claim(Outcome.WITHHELD, "", "previous_names"))
    for one in parts(node, "identifier"):
        if text(one, "system") == NHS_NUMBER and not is_nhs_number(_digits(one)):
            source.settle(one, Claim(Outcome.NOT_CARRIED, "", "is not a valid NHS number"))
    made = carrier.resource(found, without=("generalPractitioner", *_WITHHELD, *hidden))
    made["name"] = [one for one in parts(made, "name") if _is_current(one)]
    numbers = [{**one, "value": _digits(one)} if text(one, "system") == NHS_NUMBER else one for one in parts(made, "identifier")]
    made["identifier"] = [one for one in numbers if text(one, "system") != NHS_NUMBER or is_nhs_number(text(one, "value"))]
    if hidden:  # also what other messages of this person said before
        contacts = [{name: value for name, value in one.items() if name != "address"} for one in parts(made, "contact")]
        made |= {"address": [], "telecom": [], "contact": contacts}
    return {name: value for name, value in made.items() if value or name in hidden or value is False}


def _is_current(name: object) -> bool:
    return text(name, "use") not in ("old", "maiden")


def _digits(identifier: object) -> str:
    return text(identifier, "value").replace(" ", "").replace("-", "")


class Stay:
    """The Encounter of the document: visit number, the stay as data, ward and doctors, signs of a care home."""

    def __init__(self, carrier: Carrier, composition: Found, profile: ReadingProfile) -> None:
        self.carrier, self.source, self.profile = carrier, carrier.source, profile
        known = self.source.of("Encounter")
        named = self.source.target(composition.node.get("encounter"), composition)
        self.found = named if named in known else known[0] if len(known) == 1 else None
        self.visit_id = first_identifier(self.found.node) if self.found else ""
        self.node: Node = {}
        if self.found:
            self.source.settle(self.found.node.get("identifier"), Claim(Outcome.MAPPED, "Encounter.identifier"))
            self.node = carrier.resource(
                self.found, without=("identifier", "participant", "location", "diagnosis", "serviceProvider", "account", "episodeOfCare",
                                     "statusHistory", "classHistory", "appointment", "reasonReference"),
            )  # fmt: skip
            hospital = {name: value for name, value in part(self.node, "hospitalization").items() if name not in ("destination", "origin")}
            self.node |= {"hospitalization": hospital}
            self.node = {name: value for name, value in self.node.items() if value}

    def entries(self) -> Iterator[Entry]:
        """Doctors by the kind of participation; the ward is the place that is current, else the last."""
        if self.found is None:
            return
        seen: set[str] = set()
        for one in parts(self.found.node, "participant"):
            kinds = [table("participant").get(text(code, "code"), "") for kind in parts(one, "type") for code in parts(kind, "coding")]
            role, target = next(filter(None, kinds), ""), self.source.target(one.get("individual"), self.found)
            if target and role and f"{role}{target.position}" not in seen:
                seen.add(f"{role}{target.position}")
                yield from self._practitioner(role, target)
        places = parts(self.found.node, "location")
        now = [one for one in places if text(one, "status") == "active" or not text(one, "period", "end")]
        target = self.source.target((now or places)[-1].get("location"), self.found) if places else None
        if target and target.type == "Location":
            yield self._entry("ward", target)

    def practice(self, patient: Found) -> Iterator[Entry]:
        """Patient.generalPractitioner → the practice and the doctor."""
        for reference in parts(patient.node, "generalPractitioner"):
            if target := self.source.target(reference, patient):
                yield from self._practitioner("gp", target)
                name = "organization" if target.type == "PractitionerRole" else ""
                home = self.source.target(target.node.get(name), target) if name else target
                if home and home.type == "Organization":
                    yield self._entry("gp-practice", home)

    def _practitioner(self, role: str, found: Found) -> Iterator[Entry]:
        person = self.source.target(found.node.get("practitioner"), found) if found.type == "PractitionerRole" else found
        if person and person.type == "Practitioner":
            yield self._entry(role, person)

    def _entry(self, role: str, found: Found) -> Entry:
        return Entry(role, found.position, self.carrier.resource(found, without=_DETAILS))

    def signs(self, patient: Found) -> Iterator[Sign]:
        """The destination code, the address of the destination, and the person's own; an address that must not leak is no sign."""
        if self.found:
            stay = part(self.found.node, "hospitalization")
            for coding in parts(stay, "dischargeDisposition", "coding"):
                if text(coding, "code") in self.profile.home_destinations:
                    yield Sign("destination_code", text(coding, "code"), f"{self.found.position}.hospitalization.dischargeDisposition")
            if target := self.source.target(stay.get("destination"), self.found):
                places = [part(target.node, "address"), *parts(target.node, "address")]
                yield from (Sign("address", words, target.position) for place in places if (words := address_words(place)))
        if not is_sensitive(patient):
            for number, place in enumerate(parts(patient.node, "address")):
                if (words := address_words(place)) and text(place, "use") != "old":
                    yield Sign("address", words, f"{patient.position}.address[{number}]")
