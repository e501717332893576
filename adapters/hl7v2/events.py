"""What each trigger of HL7 v2 contributes: the one table (docs/mapping-hl7v2.md shows it)."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from exchange.fhir.draft import SourceKind


class Use(NamedTuple):
    """`status`: the Encounter's, which the trigger itself states ("" = it states none); `about`: "person" where no stay is meant."""

    kind: SourceKind
    contributes: str
    status: str = ""
    about: str = "stay"


_FACTS, _LETTER, _RECORDS = SourceKind.FACTS, SourceKind.LETTER, SourceKind.RECORDS
_ORDER = Use(_RECORDS, "orders: add supply to a medicine of the list")
_DISPENSE = Use(_RECORDS, "dispenses: add supply to a medicine of the list")
_DOSE = Use(_RECORDS, "administrations: add the last dose to a medicine of the list")
EVENTS: Final[Mapping[str, Use]] = {
    "ADT^A01": Use(_FACTS, "admitted: person, stay, ward, clinicians, allergies, diagnoses, procedures", "in-progress"),
    "ADT^A02": Use(_FACTS, "moved: the ward", "in-progress"),
    "ADT^A03": Use(_FACTS, "left: when (PV1-45, else EVN-6); keyed late, so it never triggers anything", "finished"),
    "ADT^A04": Use(_FACTS, "registered, as A01", "in-progress"),
    "ADT^A05": Use(_FACTS, "will be admitted, as A01", "planned"),
    "ADT^A06": Use(_FACTS, "now an in-patient, as A01", "in-progress"),
    "ADT^A07": Use(_FACTS, "now an out-patient, as A01", "in-progress"),
    "ADT^A08": Use(_FACTS, "changed, as A01"),
    "ADT^A11": Use(SourceKind.CANCEL_ADMISSION, "the admission is cancelled: withdraws", "cancelled"),
    "ADT^A12": Use(_FACTS, "the move is cancelled: the ward as it is again", "in-progress"),
    "ADT^A13": Use(SourceKind.CANCEL_DISCHARGE, "the discharge is cancelled: withdraws, takes back when the person left", "in-progress"),
    "ADT^A16": Use(_FACTS, "will leave: the expected day (PV2-9, else EVN-3)"),
    "ADT^A21": Use(_FACTS, "on leave: still a patient, has not left", "onleave"),
    "ADT^A22": Use(_FACTS, "back from leave", "in-progress"),
    "ADT^A25": Use(_FACTS, "will not leave yet: takes back the expected day"),
    "ADT^A28": Use(_FACTS, "a person was added: person alone", about="person"),
    "ADT^A31": Use(_FACTS, "a person changed: person alone", about="person"),
    "ADT^A40": Use(_FACTS, "two records are one person: the stay known by MRG-1 now carries the identity of PID", about="person"),
    "ADT^A60": Use(_FACTS, "allergies: the whole list, or single changes (IAM-6 A, U, D)", about="person"),
    "MDM^T02": Use(_LETTER, "a letter"),
    "MDM^T06": Use(_LETTER, "an addendum: stands beside its letter"),
    "MDM^T08": Use(_LETTER, "an edited letter: takes the place of the old one"),
    "MDM^T10": Use(_LETTER, "a replacement: takes the place of TXA-13"),
    "MDM^T11": Use(_LETTER, "the letter is cancelled: it never travels again"),
    "ORU^R01": Use(_RECORDS, "results; a letter where OBR-4 is a kind of discharge letter (profile letter_types, table discharge_letter)"),
    **dict.fromkeys(("ORM^O01", "OMP^O09", "RDE^O01", "RDE^O11", "RDE^O25"), _ORDER),
    **dict.fromkeys(("RDS^O01", "RDS^O13"), _DISPENSE),
    **dict.fromkeys(("RAS^O01", "RAS^O17"), _DOSE),
}
# Never used, with the reason that stands in the record; every other trigger is an "unsupported event".
NOT_USED: Final[Mapping[str, str]] = {
    **dict.fromkeys(("MDM^T01", "MDM^T03", "MDM^T05", "MDM^T07", "MDM^T09"), "carries no content"),
    **dict.fromkeys(("ADT^A17", "ADT^A24", "ADT^A37"), "concerns two people or identities"),
}
