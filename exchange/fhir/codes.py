"""Every code the document uses, one table each. UK Core, SNOMED and ITK codes as in standards.md 1–2; ours under OURS."""

from typing import NamedTuple

SCT = "http://snomed.info/sct"
LOINC = "http://loinc.org"
HEADINGS = "https://fhir.hl7.org.uk/CodeSystem/UKCore-RecordStandardHeadings"
PROFILE = "https://fhir.hl7.org.uk/StructureDefinition/UKCore-"
VERSION_NUMBER = "http://hl7.org/fhir/StructureDefinition/composition-clinicaldocument-versionNumber"
NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"
NHS_NUMBER_STATUS = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-NHSNumberVerificationStatus"
ODS_ORGANISATION = "https://fhir.nhs.uk/Id/ods-organization-code"
ODS_SITE = "https://fhir.nhs.uk/Id/ods-site-code"
URI = "urn:ietf:rfc:3986"
RENDERED = "http://hl7.org/fhir/StructureDefinition/rendered-value"

HL7 = "http://terminology.hl7.org/CodeSystem/"
OURS = "https://fhir.wardpost.example/CodeSystem/"
EXPECTED_LEAVING = "https://fhir.wardpost.example/StructureDefinition/expected-leaving"
CONTENT_DIGEST = "https://fhir.wardpost.example/StructureDefinition/content-digest"
DIGEST = "https://fhir.wardpost.example/Id/digest"
CQC_LOCATION = "https://fhir.wardpost.example/Id/cqc-location"
DOCUMENT_NUMBER = "https://fhir.wardpost.example/Id/document-number"
VISIT_NUMBER = "https://fhir.wardpost.example/Id/visit-number"

DOCUMENT_TYPE = (
    {"system": SCT, "code": "373942005", "display": "Discharge summary"},
    {"system": LOINC, "code": "34105-7", "display": "Hospital Discharge summary"},
)


def concept(system: str, code: str, display: str = "", text: str = "") -> dict[str, object]:
    """A CodeableConcept with one coding; what is empty here, `build_document` leaves out."""
    return {"coding": [{"system": system, "code": code, "display": display}], "text": text}


class Heading(NamedTuple):
    """One section: record-standard heading (code and display of UK Core 2.2.0) and its EU HDR or IPS LOINC code, if there is one."""

    code: str
    title: str
    loinc: str = ""

    def concept(self) -> dict[str, object]:
        """The section's CodeableConcept: UK Core first, LOINC second."""
        loinc = [{"system": LOINC, "code": self.loinc}] if self.loinc else []
        return {"coding": [{"system": HEADINGS, "code": self.code, "display": self.title}, *loinc]}


# The order of the document (docs/data-model.md, "The document"). LOINC: standards.md 8; the header-like ones have none.
SECTIONS = (
    Heading("safety-alerts", "Safety alerts", "104605-1"),
    Heading("contact-for-further-information", "Contact for further information"),
    Heading("allergies-and-adverse-reaction", "Allergies and adverse reaction", "48765-2"),
    Heading("medications-and-medical-devices", "Medications and medical devices", "75311-1"),
    Heading("discharge-details", "Discharge details", "8650-4"),
    Heading("admission-details", "Admission details", "67851-6"),
    Heading("diagnoses", "Diagnoses", "11535-2"),
    Heading("procedures", "Procedures", "10185-7"),
    Heading("investigation-results", "Investigation results", "30954-2"),
    Heading("clinical-summary", "Clinical summary", "8648-8"),
    Heading("plan-and-requested-actions", "Plan and requested actions", "18776-5"),
    Heading("individual-requirements", "Individual requirements", "47420-5"),
    Heading("legal-information", "Legal information", "42348-3"),
    Heading("patient-demographics", "Patient demographics"),
    Heading("general-practitioner-practice", "General practitioner practice"),
    Heading("person-completing-record", "Person completing record"),
    Heading("distribution-list", "Distribution list"),
    Heading("documents-including-correspondence-audio-and-images", "Documents (including correspondence, audio and images)", "77599-9"),
)


class ListCode(NamedTuple):
    """A List: SNOMED code of the STU3 pattern (standards.md 1.3), its display, and our title."""

    code: str
    display: str
    title: str


ALLERGY_LIST = ListCode("886921000000105", "Allergies and adverse reactions", "Allergies and adverse reactions")
DIAGNOSIS_LIST = ListCode("887161000000102", "Diagnoses", "Diagnoses")
PROCEDURE_LIST = ListCode("887171000000109", "Procedures", "Procedures")
ACTIVE_LIST = ListCode("1102411000000102", "Active medications", "Medicines to give")
STOPPED_LIST = ListCode("1102191000000100", "Discontinued medications", "Do not give: stopped or held")


class Change(NamedTuple):
    """What happened to a medicine: ITK change type (List.entry.flag), its display, MedicationStatement.status, our words."""

    itk: str
    display: str
    status: str
    words: str


CHANGE_SYSTEM = "https://fhir.nhs.uk/STU3/CodeSystem/ITK-PatientMedicationChangeType-1"
CHANGES = {
    "stopped": Change("5", "Discontinued", "stopped", "Stopped: do not give"),
    "held": Change("6", "Suspended", "on-hold", "Held: do not give for now"),
    "new": Change("4", "Addition", "active", "New"),
    "changed": Change("2", "Amendment", "active", "Changed"),
    "tapering": Change("2", "Amendment", "active", "Dose goes down in steps"),
    "": Change("", "", "active", "The hospital did not say if this changed"),
    "unchanged": Change("1", "Continued", "active", "Unchanged"),
}
# ITK has no type for a dose that goes down in steps: beside its "amendment" stands our own code.
TAPERING = {"system": OURS + "medicine-change", "code": "tapering", "display": "Dose goes down in steps"}
NOT_TO_GIVE = ("stopped", "held")
# What a MedicationStatement.status says of a change by itself: a course that is over, an entry made in error are not to be given.
STATUS_MEANS = {"stopped": "stopped", "on-hold": "held", "completed": "stopped", "entered-in-error": "stopped", "not-taken": "stopped"}

CRITICAL_CLASS = OURS + "critical-class"
CRITICAL = {
    "insulin": "Insulin",
    "anticoagulant": "Blood thinner",
    "opioid": "Opioid",
    "controlled": "Controlled drug",
    "time-critical": "Must be on time",
    "weekly-or-patch": "Weekly medicine or patch",
}

# Who comes, by the Supplement's `person.kind`; why papers go with gaps, by its `override.code` (dataset.md 6).
PERSONS = {"returner": "Returns to this home", "new resident": "New to this home", "emergency return": "Returns from A&E, was not admitted"}
OVERRIDES = {
    "O1": "Safety in the hospital",
    "O2": "Agreed with the home by phone",
    "O3": "The information does not exist",
    "O4": "The rest will follow",
    "O5": "A system is down",
    "O6": "End of life: the person wishes to be home",
}

ALERT = OURS + "alert"
ALERTS = {"infection": "Infection", "resuscitation": "Resuscitation form"}

SUPPLY_SYSTEM = OURS + "supply"
SUPPLY = {
    "in-bag": "In the bag",
    "home-stock": "The home's own stock",
    "collected": "To be collected",
    "delivered": "To be delivered",
    "not-supplied": "NOT in the bag",
    "not-needed": "Not needed",
}

PARTICIPATION = HL7 + "v3-ParticipationType"
PARTICIPANTS = {
    "consultant": ("ATND", "attender"),
    "referrer": ("REF", "referrer"),
    "consulting": ("CON", "consultant"),
    "admitter": ("ADM", "admitter"),
}

DISCHARGE = {"system": "https://fhir.hl7.org.uk/CodeSystem/UKCore-MedicationStatementCategory", "code": "discharge", "display": "Discharge"}
DOSAGE_NOTE = OURS + "dosage-note"
NEXT_DUE = {"system": DOSAGE_NOTE, "code": "next-due", "display": "Next dose, as the hospital says"}
CONTACT_KIND = OURS + "contact-kind"
CONTACTS = {"ward": "Ward", "medicines": "Medicines", "out-of-hours": "Out of hours"}

NO_KNOWN = {
    "any": ("716186003", "No known allergy"),
    "drug": ("409137002", "No known drug allergy"),
    "food": ("429625007", "No known food allergy"),
    "latex": ("", "No known latex allergy"),
}
# What a feed without SNOMED writes in AL1-3 for "none known": exact words, lower case (practice.md 3: NKDA says nothing of food and latex).
NO_KNOWN_WORDS = {
    "nkda": "drug", "no known drug allergies": "drug", "no known drug allergy": "drug", "nka": "any", "no known allergies": "any",
    "no known allergy": "any", "no known food allergies": "food", "no known food allergy": "food", "no known latex allergy": "latex",
}  # fmt: skip
NOT_ASKED = "1631000175102"

EMPTY_REASON_UK = "https://fhir.hl7.org.uk/CodeSystem/UKCore-ListEmptyReasonCode"
NO_CONTENT = concept(EMPTY_REASON_UK, "no-content-recorded", "No Content Recorded", "Not recorded")
UNAVAILABLE = concept(HL7 + "list-empty-reason", "unavailable", "Unavailable", "Stands in the signed letter")

# Five answers, five looks (pages.md 1).
NOT_RECORDED = "Not recorded"
NOT_KNOWN_YET = "Not known yet"
NOT_SENT = "This hospital does not send this"
NO_REASON = "The hospital gave no reason"
