"""What one resource says in words: its own narrative, and its line in a section. Every coded value stands here too."""

from exchange.fhir import codes
from exchange.fhir.content import Medicine, OrganisationFacts, Statement
from exchange.fhir.draft import Entry, Letter, Resource
from exchange.fhir.pdf_scan import active_content, warning
from exchange.fhir.shape import concept_text, joined, part, parts, spoken, text, texts


def said_by(statement: Statement | None) -> str:
    """Whose word it is: "Said by …, at …"."""
    return f"Said by {statement.person} ({statement.role}), {spoken(statement.said_at)}" if statement else ""


def medicine_name(medicine: Medicine) -> str:
    return concept_text(medicine.resource.get("medicationCodeableConcept"))


def directions(medicine: Medicine) -> str:
    return joined("; ", *(text(dose, "text") or text(dose, "patientInstruction") for dose in parts(medicine.resource, "dosage")))


def why(medicine: Medicine) -> str:
    reasons = [concept_text(reason) for name in ("statusReason", "reasonCode") for reason in parts(medicine.resource, name)]
    if not any(reasons) and medicine.change not in ("", "unchanged"):
        reasons = [codes.NO_REASON]
    return joined("; ", *reasons, *_notes(medicine.resource))


def medicine_words(medicine: Medicine) -> str:
    """One medicine in one line, for its own narrative."""
    return joined(". ", medicine_name(medicine), codes.CHANGES[medicine.change].words, directions(medicine), why(medicine))


def codes_in_words(concept: object) -> str:
    shown = concept_text(concept)
    found = [joined(" ", text(c, "code"), text(c, "display") if text(c, "display") != shown else "") for c in parts(concept, "coding")]
    return f"{shown} ({'; '.join(found)})" if any(found) else shown


def none_known(allergy: Resource) -> str:
    """For an AllergyIntolerance that says that nothing is known: of what ("any", "drug", "food", "latex"); "" when it names an agent."""
    coded = {text(coding, "code") for coding in parts(allergy, "code", "coding")} - {""}
    by_code = next((kind for kind, (code, _) in codes.NO_KNOWN.items() if code in coded), "")
    return by_code or codes.NO_KNOWN_WORDS.get(concept_text(allergy.get("code")).strip().lower(), "")


def clinical_words(resource: Resource) -> str:
    """A Condition or Procedure: name and code, then every status that is not the plain one, and when it began."""
    kinds = [concept_text(kind) for kind in parts(resource, "category")]
    said = [word for word in (*kinds, *_states(resource)) if word not in ("encounter-diagnosis", "active", "confirmed")]
    since = [spoken(text(resource, name)) for name in ("onsetDateTime", "performedDateTime", "recordedDate")]
    return joined("; ", codes_in_words(resource.get("code")), *said, *since, *_notes(resource))


def allergy_words(resource: Resource) -> str:
    """Agent with its code, kind, reaction, how bad, whether confirmed, and when it was recorded or asked."""
    found = parts(resource, "reaction")
    reactions = [concept_text(m) or text(reaction, "description") for reaction in found for m in parts(reaction, "manifestation") or [{}]]
    severity = [f"severity {text(reaction, 'severity')}" for reaction in found if text(reaction, "severity")]
    risk = f"criticality {text(resource, 'criticality')}" if text(resource, "criticality") else ""
    when, onset = spoken(text(resource, "recordedDate")), spoken(text(resource, "onsetDateTime"))
    recorded = f"{'asked' if none_known(resource) else 'recorded'} {when}" if when else ""
    since = f"since {onset}" if onset else ""
    said = (codes_in_words(resource.get("code")), *texts(resource, "category"), *reactions, *severity, risk, since, recorded)
    return joined("; ", *said, *(state for state in _states(resource) if state != "active"), *_notes(resource))


def amount_words(quantity: object) -> str:
    """A Quantity as written: "<= 4.10 mmol/L"."""
    value = part(quantity).get("value")
    return joined(" ", text(quantity, "comparator"), "" if value is None else str(value), text(quantity, "unit"))


def result_words(resource: Resource) -> str:
    """What was measured, its value, how it is judged, when, and what was noted."""
    values = (
        amount_words(resource.get("valueQuantity")),
        text(resource, "valueString"),
        concept_text(resource.get("valueCodeableConcept")),
    )
    times = (spoken(text(resource, "valueDateTime")), text(resource, "valueTime"))
    said = joined("; ", *values, *times) or concept_text(resource.get("dataAbsentReason"))
    flags = (concept_text(flag) for flag in parts(resource, "interpretation"))
    span = next((f"usual {text(one, 'text')}" for one in parts(resource, "referenceRange")), "")
    report = next((text(based, "display") for based in parts(resource, "basedOn")), "")
    status = text(resource, "status")
    name = joined(": ", joined(", ", codes_in_words(resource.get("code")), report), said)
    more = (*flags, span, spoken(text(resource, "effectiveDateTime")), "" if status == "final" else status)
    return joined("; ", name, *more, *_notes(resource))


def record_words(entry: Entry) -> str:
    """What another system recorded of a medicine: a dose that was given, an amount that was dispensed or ordered."""
    resource = entry.resource
    if entry.role == "medicine-dose":
        dose = joined(", ", amount_words(part(resource, "dosage", "dose")), text(resource, "dosage", "text"))
        return joined(", ", f"Recorded as given {spoken(text(resource, 'effectiveDateTime'))}", dose)
    if entry.role == "medicine-supply":
        amount, given = amount_words(resource.get("quantity")), text(resource, "whenHandedOver")
        said = joined(", ", amount, spoken(given or text(resource, "whenPrepared")))
        return f"Handed over {said}" if given else joined(" ", "Dispensed", said, "(not said to be handed over)")
    return f"Ordered {amount_words(part(resource, 'dispenseRequest', 'quantity'))}"


def _states(resource: Resource) -> list[str]:
    return [concept_text(resource.get(name)) for name in ("clinicalStatus", "verificationStatus")]


def _notes(resource: Resource) -> list[str]:
    return [text(note, "text") for note in parts(resource, "note")]


def person_name(resource: object) -> str:
    """The official name, else the first, as text; a Location or Organization has one string."""
    names = parts(resource, "name")
    name = next((found for found in names if text(found, "use") == "official"), names[0] if names else {})
    built = " ".join((*texts(name, "prefix"), *texts(name, "given"), text(name, "family"), *texts(name, "suffix")))
    return text(resource, "name") or text(name, "text") or " ".join(built.split())


def address_words(address: object) -> str:
    lines = texts(address, "line") or [text(address, "text")]
    return joined(", ", *lines, *(text(address, name) for name in ("city", "district", "postalCode", "country")))


def person_words(resource: Resource) -> str:
    """Name and numbers of a person or place, for its own narrative."""
    numbers = joined("; ", *(text(number, "value") for number in parts(resource, "identifier")))
    return joined(", ", person_name(resource), numbers) or codes.NOT_RECORDED


def organisation_words(organisation: OrganisationFacts) -> str:
    cqc = f"CQC location {organisation.cqc_location}" if organisation.cqc_location else ""
    return joined(", ", organisation.name, organisation.ods_code, cqc, address_words(organisation.address), organisation.phone)


def letter_people(letter: Letter) -> str:
    """Who wrote and who signed a letter, and when."""
    author = f"written by {letter.author}" if letter.author else ""
    signed = f"signed by {letter.signed_by}" if letter.signed_by else "signed, by whom is not recorded"
    return joined(", ", author, signed, spoken(letter.signed_at or letter.written_at))


def letter_words(letter: Letter) -> str:
    """Title, number, kind and size, who wrote and signed it and when."""
    number = f"number {letter.document_id}" if letter.document_id else ""
    size = f"{letter.media_type}, {len(letter.content)} bytes"
    told = joined(", ", letter.title or "Letter", number, size, letter_people(letter))
    return joined(". ", told, warning(active_content(letter.content)))
