"""Content: the merged, ordered facts of one version, before ids and references exist. Built by exchange.transfer.assemble."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from exchange.fhir import codes
from exchange.fhir.draft import Entry, Letter, Resource
from exchange.fhir.stated import Contact, Stated

# The words an adapter may put in Entry.role, and the resource type each one holds (without id, subject or references).
# A medicine's change stands in its role; plain `medicine` means that the hospital did not say.
# Orders, dispenses and administrations only add to a medicine of the list; orders that the feed marks for discharge are a list.
# `allergy-added` and `-removed` change the newest whole list.
# `note` is narrative only: {"section": heading code, "title": "", "text": "…"}, and "blocks" where it has a form: {"text"}, {"items"} or
# {"head", "rows"} of plain words.
ROLES: Mapping[str, str] = {
    **dict.fromkeys(("allergy", "allergy-added", "allergy-removed"), "AllergyIntolerance"),
    "diagnosis": "Condition",
    "procedure": "Procedure",
    **{f"medicine-{change}" if change else "medicine": "MedicationStatement" for change in codes.CHANGES},
    **dict.fromkeys(("medicine-order", "medicine-discharge-order"), "MedicationRequest"),
    "medicine-supply": "MedicationDispense",
    "medicine-dose": "MedicationAdministration",
    "result": "Observation",
    "ward": "Location",
    **dict.fromkeys((*codes.PARTICIPANTS, "gp"), "Practitioner"),
    "gp-practice": "Organization",
    **dict.fromkeys(("section", "note"), ""),  # the words of a section of the source, and words from elsewhere
}


@dataclass(frozen=True, slots=True)
class OrganisationFacts:
    """An organisation as the directory knows it. `address` is a FHIR Address; `is_site`: the code is an ODS site code."""

    ods_code: str
    name: str
    is_site: bool = False
    cqc_location: str = ""
    phone: str = ""
    address: Resource = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Statement:
    """Who stated something, and when (`said_at`: a FHIR dateTime). `id` is the Supplement's."""

    person: str = field(repr=False)
    role: str
    said_at: str
    id: str


@dataclass(frozen=True, slots=True)
class Medicine:
    """One medicine in one place: what it is, what happened to it, last dose, next dose, supply.

    `resource` is a MedicationStatement without id, status or references; `change` a key of codes.CHANGES ("" = not said);
    `supply` a key of codes.SUPPLY or ""; `stated` who said it, when a person did; `records` what other systems recorded of it (the last
    dose, and what was dispensed or else ordered).
    """

    position: str
    resource: Resource = field(repr=False)
    change: str = ""
    last_dose: str = ""
    next_due: str = field(default="", repr=False)
    supply: str = ""
    plan: str = field(default="", repr=False)
    classes: tuple[str, ...] = ()
    stated: Statement | None = None
    records: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two sources that disagree, kept as they are. `element` is the row of the ownership table, `rule` the gate rule that it opens
    ("" and element "identity": a Hold, nothing leaves), `detail` plain words without patient data."""

    element: str
    rule: str
    detail: str


@dataclass(frozen=True, slots=True)
class Content:
    """Everything that one version shows. Same Content, same Bundle bytes. Ids are lower-case UUIDs, times FHIR texts.

    `accepted_at` (an instant) is the newest source's; `written_at` the newest moment at which any source or person spoke.
    `stated` holds the newest statement per member and `said` who made each. `allergies_by` maps the position of an allergy that a person
    stated. `has_list`: the medicines are a list of the hospital's own (signed letter, checked table, or
    `is_list_of_orders`: its discharge orders), not only what the ward named. `contact` is the ward's statement,
    else its line in the directory.
    """

    transfer_id: str
    version: int
    accepted_at: str
    written_at: str
    sender: OrganisationFacts
    site: OrganisationFacts
    patient: Resource = field(repr=False)
    encounter: Resource = field(repr=False)
    visit_id: str = field(default="", repr=False)
    expected_leaving: str = ""
    left_at: str = ""
    people: tuple[Entry, ...] = ()
    allergies: tuple[Entry, ...] = ()
    allergies_by: Mapping[str, Statement] = field(default_factory=dict)
    diagnoses: tuple[Entry, ...] = ()
    procedures: tuple[Entry, ...] = ()
    medicines: tuple[Medicine, ...] = ()
    has_list: bool = False
    is_list_of_orders: bool = False
    results: tuple[Entry, ...] = ()
    notes: tuple[Entry, ...] = ()
    letters: tuple[Letter, ...] = ()
    contact: Contact | None = None
    stated: Stated = field(default_factory=Stated)
    said: Mapping[str, Statement] = field(default_factory=dict)
    conflicts: tuple[Contradiction, ...] = ()

    def counts(self) -> dict[str, int]:
        """How many of each clinical resource type the document must hold; the check compares (practice.md 3)."""
        return {
            "AllergyIntolerance": len(self.allergies),
            "MedicationStatement": len(self.medicines),
            "Condition": len(self.diagnoses),
            "Procedure": len(self.procedures),
            "DocumentReference": len(self.letters),
            "Observation": len(self.results),
        }
