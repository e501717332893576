"""What one resource says in words: its own narrative, and its line in a section. Every coded value stands here too."""

from exchange.fhir import codes
from exchange.fhir.content import Content, Medicine, OrganisationFacts, Statement
from exchange.fhir.draft import Letter, Resource
from exchange.fhir.shape import concept_text, joined, part, parts, spoken, text, texts


def said_by(statement: Statement | None) -> str:
    """Whose word it is: "Said by …, at …"."""
    return f"Said by {statement.person} ({statement.role}), {spoken(statement.said_at)}" if statement else ""


def medicine_name(medicine: Medicine) -> str:
    return concept_text(part(medicine.resource, "medicationCodeableConcept"))


def directions(medicine: Medicine) -> str:
    return joined("; ", *(text(dose, "text") or text(dose, "patientInstruction") for dose in parts(medicine.resource, "dosage")))


def why(medicine: Medicine) -> str:
    reasons = [concept_text(reason) for name in ("statusReason", "reasonCode") for reason in parts(medicine.resource, name)]
    notes = [text(note, "text") for note in parts(medicine.resource, "note")]
    if not any(reasons) and medicine.change in ("stopped", "held", "new", "changed"):
        reasons = [codes.NO_REASON]
    return joined("; ", *reasons, *notes)


def medicine_words(medicine: Medicine) -> str:
    """One medicine in one line, for its own narrative."""
    return joined(". ", medicine_name(medicine), codes.CHANGES[medicine.change].words, directions(medicine), why(medicine))


def codes_in_words(concept: object) -> str:
    shown = concept_text(concept)
    found = [joined(" ", text(c, "code"), text(c, "display") if text(c, "display") != shown else "") for c in parts(concept, "coding")]
    return f"{shown} ({'; '.join(found)})" if any(found) else shown


def none_known(allergy: object) -> str:
    """For an AllergyIntolerance that says that nothing is known: of what ("any", "drug", "food", "latex"); "" when it names an agent."""
    coded = {text(coding, "code") for coding in parts(part(allergy, "code"), "coding")} - {""}
    by_code = next((kind for kind, (code, _) in codes.NO_KNOWN.items() if code in coded), "")
    return by_code or codes.NO_KNOWN_WORDS.get(concept_text(part(allergy, "code")).strip().lower(), "")


def clinical_words(resource: Resource) -> str:
    """A Condition or Procedure: name and code, then every status that is not the plain one, and when it began."""
    kinds = [concept_text(kind) for kind in parts(resource, "category")]
    states = [concept_text(part(resource, name)) for name in ("clinicalStatus", "verificationStatus")]
    plain = ("encounter-diagnosis", "active", "confirmed")
    since = [spoken(text(resource, name)) for name in ("onsetDateTime", "performedDateTime", "recordedDate")]
    said = (codes_in_words(part(resource, "code")), *(word for word in (*kinds, *states) if word not in plain), *since, *_notes(resource))
    return joined("; ", *said)


def allergy_words(resource: Resource) -> str:
    """Agent with its code, kind, reaction, how bad, whether confirmed, and when it was recorded or asked."""
    reactions = [
        concept_text(manifestation) or text(reaction, "description")
        for reaction in parts(resource, "reaction")
        for manifestation in parts(reaction, "manifestation") or ({},)
    ]
    severity = [f"severity {text(reaction, 'severity')}" for reaction in parts(resource, "reaction") if text(reaction, "severity")]
    risk = f"criticality {text(resource, 'criticality')}" if text(resource, "criticality") else ""
    when, onset = spoken(text(resource, "recordedDate")), spoken(text(resource, "onsetDateTime"))
    recorded = f"{'asked' if none_known(resource) else 'recorded'} {when}" if when else ""
    since = f"since {onset}" if onset else ""
    states = [concept_text(part(resource, name)) for name in ("clinicalStatus", "verificationStatus")]
    said = (codes_in_words(part(resource, "code")), *texts(resource, "category"), *reactions, *severity, risk, since, recorded)
    return joined("; ", *said, *(state for state in states if state != "active"), *_notes(resource))


def _notes(resource: object) -> list[str]:
    return [text(note, "text") for note in parts(resource, "note")]


def person_name(resource: object) -> str:
    """The official name, else the first, as text; a Location or Organization has one string."""
    whole = text(resource, "name")
    names = parts(resource, "name")
    name = next((found for found in names if text(found, "use") == "official"), names[0] if names else {})
    built = " ".join((*texts(name, "prefix"), *texts(name, "given"), text(name, "family"), *texts(name, "suffix")))
    return whole or text(name, "text") or " ".join(built.split())


def address_words(address: object) -> str:
    lines = texts(address, "line") or [text(address, "text")]
    return joined(", ", *lines, *(text(address, name) for name in ("city", "district", "postalCode", "country")))


def numbers(resource: object) -> str:
    return "; ".join(text(number, "value") for number in parts(resource, "identifier") if text(number, "value"))


def person_words(resource: Resource) -> str:
    """Name and numbers of a person or place, for its own narrative."""
    return joined(", ", person_name(resource), numbers(resource)) or codes.NOT_RECORDED


def organisation_words(organisation: OrganisationFacts) -> str:
    cqc = f"CQC location {organisation.cqc_location}" if organisation.cqc_location else ""
    return joined(", ", organisation.name, organisation.ods_code, cqc, address_words(organisation.address), organisation.phone)


def stay_words(content: Content) -> str:
    started = text(content.encounter, "period", "start")
    return f"Hospital stay from {spoken(started)}" if started else "Hospital stay"


def letter_people(letter: Letter) -> str:
    """Who wrote and who signed a letter, and when."""
    author = f"written by {letter.author}" if letter.author else ""
    signed = f"signed by {letter.signed_by}" if letter.signed_by else "signed, by whom is not recorded"
    return joined(", ", author, signed, spoken(letter.signed_at or letter.written_at))


def letter_words(letter: Letter) -> str:
    """Title, number, kind and size, who wrote and signed it and when."""
    number = f"number {letter.document_id}" if letter.document_id else ""
    size = f"{letter.media_type}, {len(letter.content)} bytes"
    return joined(", ", letter.title or "Letter", number, size, letter_people(letter))
