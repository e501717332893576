"""CDA by kind of fault: what others lost, moved or invented, and what hostile bytes get. Kinds of cases 12 and 17 to 23, and more."""

import base64
import gzip
from collections.abc import Callable
from typing import Any

import pytest

from adapters.cda import counter, read, sniff, source_id
from adapters.cda.source import MAX_VALUES
from exchange.fhir.document import build_document
from exchange.fhir.draft import Draft, LetterStatus, Outcome, ReadingProfile, SourceKind, Unreadable
from exchange.fhir.json import dump
from tests import cda_kit as kit
from tests.draft_kit import HOME, SENDER, assemble, source

DRUG = "39732311000001104"


def draft(text: str | bytes, profile: ReadingProfile | None = None) -> Draft:
    return read(text.encode() if isinstance(text, str) else text, profile or ReadingProfile())


def built(found: Draft) -> str:
    content = assemble(transfer_id="11111111-1111-4111-8111-111111111111", version=1, sender=SENDER, site=HOME, sources=[source(found)])
    return dump(build_document(content)).decode()


def of(found: Draft, role: str) -> list[Any]:
    return [entry.resource for entry in found.entries if entry.role.split("-")[0] == role]


def medicine(*args: str, **more: str) -> Any:
    (found,) = of(draft(kit.document(kit.medicines(kit.drug(*args, **more)))), "medicine")
    return found


class TestHeader:
    def test_a_birth_date_passes_through_no_zone(self) -> None:
        assert draft(kit.document()).patient["birthDate"] == "1938-05-14"

    @pytest.mark.parametrize(("sent", "read_as"), [("1938", "1938"), ("193805", "1938-05"), ("1938-05-14", None)])
    def test_a_partial_birth_date_stays_partial(self, sent: str, read_as: str | None) -> None:
        assert draft(kit.document(person=kit.PERSON.replace("193805140000+0100", sent))).patient.get("birthDate") == read_as

    def test_times_without_a_zone_are_the_senders(self) -> None:
        found = draft(kit.document(stay=kit.STAY.replace("202601", "202607")), ReadingProfile())
        assert found.encounter["period"] == {"start": "2026-07-10T09:30:00+01:00"}
        assert draft(kit.document(), ReadingProfile(zone="Europe/Paris")).sent_at == "2026-01-14T16:30:00+01:00"

    def test_an_offset_of_hours_alone_is_kept(self) -> None:
        assert draft(kit.document().replace('"202601141630"/><rec', '"20260114163000+01"/><rec')).sent_at == "2026-01-14T16:30:00+01:00"

    def test_an_end_after_the_document_is_only_expected(self) -> None:
        found = draft(kit.document(stay=kit.STAY.replace("202601141630", "20260116")))
        assert (found.expected_leaving, found.left_at, found.encounter["status"]) == ("2026-01-16", "", "in-progress")

    def test_null_flavour_is_absence(self) -> None:
        person = kit.PERSON.replace("<postalCode>ZZ99 3CZ</postalCode>", '<postalCode nullFlavor="UNK"/>')
        found = draft(kit.document(person=person.replace("<city>Testtown</city>", '<city nullFlavor="NI">Nowhere</city>')))
        assert found.patient["address"] == [{"use": "home", "line": ["1 Example Row"]}]

    def test_an_nhs_number_is_verified_only_where_the_oid_says_so_in_nhs_cda(self) -> None:
        assert "extension" not in draft(kit.document()).patient["identifier"][0]  # type: ignore[index]  # JSON
        (number,) = draft(kit.document(head=kit.nhs("POCD_MT150001UK06"))).patient["identifier"]  # type: ignore[misc,attr-defined]  # JSON
        assert number["extension"][0]["valueCodeableConcept"]["coding"][0]["code"] == "01"
        assert "identifier" not in draft(kit.document(person=kit.PERSON.replace("9990000018", "9990000019"))).patient

    def test_previous_names_are_withheld(self) -> None:
        person = kit.PERSON.replace("<administr", '<name use="PREVIOUS-MAIDEN"><family>Formerly</family></name><administr')
        found = draft(kit.document(person=person))
        assert [name["family"] for name in found.patient["name"]] == ["Testperson"]  # type: ignore[attr-defined]  # JSON
        assert {item.reason for item in found.items if item.value == "Formerly"} == {"previous_names"}

    def test_a_masked_address_reaches_nobody(self) -> None:
        found = draft(kit.document(person=kit.PERSON.replace('<addr use="H">', '<addr nullFlavor="MSK">')))
        assert found.is_sensitive_address
        assert (found.patient["address"], found.patient["telecom"], found.signs) == ([], [], ())
        assert {item.outcome for item in found.items if item.value in ("Example Row", "tel:01632 960999")} == {Outcome.WITHHELD}

    def test_a_setid_is_the_number_of_all_versions(self) -> None:
        before = '<relatedDocument typeCode="RPLC"><parentDocument><id root="1.2.3" extension="A"/></parentDocument></relatedDocument>'
        (letter,) = draft(kit.document(head='<setId root="1.2.3" extension="SET1"/>' + before)).letters
        assert (letter.document_id, letter.replaces) == ("SET1", "A")

    @pytest.mark.parametrize(("code", "status", "signer"), [("S", LetterStatus.FINAL, "Dr Ivy Mockham"), ("I", LetterStatus.DRAFT, "")])
    def test_meant_to_be_signed_is_not_signed(self, code: str, status: LetterStatus, signer: str) -> None:
        (letter,) = draft(kit.document(legal=kit.SIGNED.replace('"S"', f'"{code}"'))).letters
        assert (letter.status, letter.signed_by, letter.author) == (status, signer, "Dr Erin Example")

    def test_a_nullification_cancels(self) -> None:
        assert draft(kit.document(head=kit.nhs("POCD_MT130001UK05"))).letters[0].status is LetterStatus.CANCELLED

    def test_a_document_that_is_no_discharge_letter_is_not_used(self) -> None:
        found = draft(kit.document(), ReadingProfile(letter_types=("POCD_MT150001UK06",)))
        assert (found.kind, found.reason, found.letters, found.entries) == (SourceKind.NOT_USED, "not a discharge document", (), ())
        assert not any(item.path for item in found.items)

    def test_a_dead_person(self) -> None:
        dead = kit.PERSON.replace("</patient>", '<s:deceasedInd xmlns:s="urn:hl7-org:sdtc" value="true"/></patient>')
        assert draft(kit.document(person=dead)).is_dead


class TestMedicines:
    def test_every_six_hours_is_not_six_times(self) -> None:
        found = medicine("Amoxicillin", DRUG, times=kit.during("20260114") + kit.every("6", "h"), dose='<doseQuantity value="1"/>')
        repeat = found["dosage"][0]["timing"]["repeat"]
        assert {key: str(value) for key, value in repeat.items()} == {"frequency": "1", "period": "6", "periodUnit": "h"}
        assert found["dosage"][0]["text"] == "1, every 6 hours"

    def test_ranges_of_dose_and_time(self) -> None:
        dose = '<doseQuantity><low value="0.50" unit="mg"/><high value="1.0" unit="mg"/></doseQuantity>'
        found = medicine("Lorazepam", times=kit.every("4", "h", "6"), dose=dose)["dosage"][0]
        assert found["text"] == "0.50 to 1.0 mg, every 4 to 6 hours"
        assert [str(found["doseAndRate"][0]["doseRange"][end]["value"]) for end in ("low", "high")] == ["0.50", "1.0"]
        assert str(found["timing"]["repeat"]["periodMax"]) == "6"

    @pytest.mark.parametrize("value", ["1.50", "0.10", ".5", "065.88", "1e3", "1,5", "½", "5-10", "1000000000000000000000.0"])
    def test_a_dose_is_kept_to_the_character(self, value: str) -> None:
        found = draft(kit.document(kit.medicines(kit.drug("Warfarin", dose=f'<doseQuantity value="{value}" unit="mg"/>'))))
        assert of(found, "medicine")[0]["dosage"][0]["text"] == f"{value} mg"
        assert f'"text":"{value} mg"' in built(found)

    def test_directions_by_reference_are_the_words_of_the_narrative(self) -> None:
        row = '<td>Clarithromycin</td><td><content ID="sig1">Take ONE tablet\n twice a day</content></td>'
        text = f"<table><tbody><tr>{row}</tr></tbody></table>"
        found = draft(kit.document(kit.medicines(kit.drug("Clarithromycin", more=kit.directions("#sig1")), text=text)))
        assert of(found, "medicine")[0]["dosage"] == [{"text": "Take ONE tablet twice a day"}]

    def test_an_id_that_stands_twice_with_other_words_points_nowhere(self) -> None:
        text = '<paragraph ID="sig1">one a day</paragraph><paragraph ID="sig1">ten a day</paragraph>'
        found = draft(kit.document(kit.medicines(kit.drug("Digoxin", more=kit.directions("#sig1")), text=text)))
        assert "dosage" not in of(found, "medicine")[0]
        assert "ten a day" in built(found)

    @pytest.mark.parametrize(
        ("more", "change"),
        [
            ({"status": "aborted"}, "stopped"),
            ({"status": "suspended"}, "held"),
            ({"attributes": 'negationInd="true"'}, "stopped"),
            ({"times": kit.during("20250101", "20251231")}, "stopped"),
            ({"times": kit.during("20250101", "20260114")}, ""),
            ({"times": kit.during("20250101", "2026")}, ""),
            ({"status": "completed"}, ""),
        ],
    )
    def test_what_is_not_to_be_given_says_so(self, more: dict[str, str], change: str) -> None:
        (entry,) = [e for e in draft(kit.document(kit.medicines(kit.drug("Aspirin", **more)))).entries if e.role.startswith("medicine")]
        assert entry.role.removeprefix("medicine").removeprefix("-") == change

    def test_the_end_of_a_course_is_said(self) -> None:
        assert medicine("Amoxicillin", times=kit.during("20260114", "20260121"))["note"] == [
            {"text": "Until 21 January 2026, as the source says"}
        ]

    def test_dmd_by_namespace(self) -> None:
        systems = [medicine("X", code)["medicationCodeableConcept"]["coding"][0]["system"] for code in (DRUG, "387207008")]
        assert systems == ["https://dmd.nhs.uk", "http://snomed.info/sct"]

    def test_as_needed_and_at_bedtime(self) -> None:
        need = '<precondition><criterion><value xsi:type="CD" nullFlavor="NI"/></criterion></precondition>'
        bed = '<effectiveTime xsi:type="EIVL_TS" operator="A"><event code="HS"/></effectiveTime>'
        dosage = medicine("Zopiclone", times=bed, more=need)["dosage"][0]
        assert (dosage["asNeededBoolean"], dosage["timing"], dosage["text"]) == (
            True,
            {"repeat": {"when": ["HS"]}},
            "at bedtime, as needed",
        )

    def test_a_discharge_list_stands_alone(self) -> None:
        home = kit.section("10160-0", "Medicines at home", "Ramipril", kit.drug("Ramipril"))
        given = kit.section("29549-3", "Given in hospital", "Heparin", kit.drug("Heparin"))
        found = draft(kit.document(home, given, kit.medicines(kit.drug("Aspirin"))))
        assert [m["medicationCodeableConcept"]["text"] for m in of(found, "medicine")] == ["Aspirin"]
        assert found.counts["medicines"] == 1
        assert len(of(draft(kit.document(home)), "medicine")) == 1

    def test_a_dose_given_in_the_ambulance_is_no_medicine_to_give(self) -> None:
        entry = kit.drug("Streptokinase").replace(f'"{kit.CCDA}16"', '"2.1" extension="COCD_TP146029UK04#MedicationAdministrationDose"')
        found = draft(kit.document(kit.medicines(entry)))
        assert (of(found, "medicine"), found.counts["medicines"]) == ([], 0)
        assert "Streptokinase" in built(found)


class TestProblemsAndAllergies:
    def test_a_refuted_problem_is_never_an_active_one(self) -> None:
        found = draft(
            kit.document(kit.section("11450-4", "Problems", "None", kit.problem("Asthma", "195967001", attributes='negationInd="true"')))
        )
        (condition,) = of(found, "diagnosis")
        assert "clinicalStatus" not in condition
        assert condition["verificationStatus"]["coding"][0]["code"] == "refuted"
        assert "Ruled out: the person does not have it" in built(found)

    @pytest.mark.parametrize("end", ['<high value="20260112"/>', '<high nullFlavor="UNK"/>'])
    def test_a_problem_with_an_end_is_over(self, end: str) -> None:
        entry = kit.problem("Pneumonia", "233604007", time='<low value="2026"/>' + end)
        (condition,) = of(draft(kit.document(kit.section("11535-2", "Diagnosis", "x", entry))), "diagnosis")
        assert condition["clinicalStatus"]["coding"][0]["code"] == "resolved"
        assert condition["onsetDateTime"] == "2026"
        assert condition.get("abatementDateTime", "2026-01-12") == "2026-01-12"

    def test_past_and_admission_diagnoses_are_words_alone(self) -> None:
        past = kit.section("11348-0", "History", "x", kit.problem("Mumps", "36989005"))
        found = draft(kit.document(past))
        assert (of(found, "diagnosis"), found.counts["diagnoses"]) == ([], 0)
        assert "Mumps" in built(found)

    def test_an_allergy_with_its_reaction(self) -> None:
        entry = kit.allergy("Penicillin", "764146007", more=kit.reaction("Rash", "271807003", "6736007"))
        (found,) = of(draft(kit.document(kit.section("48765-2", "Allergies", "x", entry))), "allergy")
        assert found["code"]["coding"][0]["code"] == "764146007"
        assert (found["category"], found["onsetDateTime"], found["reaction"][0]["severity"]) == (["medication"], "1998", "moderate")

    @pytest.mark.parametrize(("kind", "code"), [("419511003", "409137002"), ("414285001", "429625007"), ("420134006", "716186003")])
    def test_nothing_known_says_of_what(self, kind: str, code: str) -> None:
        entry = kit.allergy("", "", kind, attributes='negationInd="true"')
        (found,) = of(draft(kit.document(kit.section("48765-2", "Allergies", "x", entry))), "allergy")
        assert found["code"]["coding"][0]["code"] == code

    def test_no_allergy_to_one_agent_is_not_no_allergy(self) -> None:
        entry = kit.allergy("Latex", "111088007", attributes='negationInd="true"')
        (found,) = of(draft(kit.document(kit.section("48765-2", "Allergies", "x", entry))), "allergy")
        assert found["verificationStatus"]["coding"][0]["code"] == "refuted"

    def test_planned_and_refused_procedures(self) -> None:
        planned = kit.procedure("Colonoscopy", "73761001", mood="RQO")
        refused = kit.procedure("Dialysis", "108241001", attributes='negationInd="true"')
        found = draft(kit.document(kit.section("47519-4", "Procedures", "", planned, refused)))
        assert [each["status"] for each in of(found, "procedure")] == ["not-done"]
        assert found.counts["procedures"] == 1
        assert "Colonoscopy" in built(found)

    OBSERVED = (
        '<organizer><code code="24320-4" codeSystem="2.16.840.1.113883.6.1" displayName="Basic panel"/><component><observation>'
        '<code code="2951-2" codeSystem="2.16.840.1.113883.6.1" displayName="Sodium"/><statusCode code="completed"/>'
        '<effectiveTime value="20260113"/><value xsi:type="PQ" value="131.0" unit="mmol/L"/>'
        '<interpretationCode code="L" codeSystem="2.16.840.1.113883.5.83"/><referenceRange><observationRange>'
        '<value xsi:type="IVL_PQ"><low value="133" unit="mmol/L"/><high value="146" unit="mmol/L"/></value>'
        "</observationRange></referenceRange>"
        "</observation></component></organizer>"
    )

    def test_statements_without_a_resource_are_in_words_where_the_text_is_silent(self) -> None:
        document = kit.document(kit.section("47420-5", "Function", "See below.", self.OBSERVED))
        assert "Sodium: 131.0 mmol/L (20260113)" in built(draft(document))
        assert "131.0 mmol/L (" not in built(draft(document.replace("See below.", "Sodium 131.0 mmol/L")))

    def test_results_are_data(self) -> None:
        found = draft(kit.document(kit.section("30954-2", "Results", "See below.", self.OBSERVED)))
        (result,) = of(found, "result")
        assert result["status"] == "final"
        assert result["code"]["coding"] == [{"system": "http://loinc.org", "code": "2951-2", "display": "Sodium"}]
        assert result["effectiveDateTime"] == "2026-01-13"
        assert (str(result["valueQuantity"]["value"]), result["valueQuantity"]["code"]) == ("131.0", "mmol/L")
        assert result["interpretation"][0]["coding"][0]["code"] == "L"
        assert result["referenceRange"] == [{"text": "133 to 146 mmol/L"}]
        assert result["note"] == [{"text": "Part of: Basic panel"}]
        assert {item.outcome for item in found.items if "/observation" in item.position and item.value in ("131.0", "133", "L")} == {
            Outcome.MAPPED
        }
        assert '"value":131.0' in built(found)

    @pytest.mark.parametrize(
        ("value", "made"),
        [
            ('<value xsi:type="ST">no growth</value>', {"valueString": "no growth"}),
            ('<value xsi:type="PQ" value="&lt;5" unit="mg/L"/>', {"valueString": "<5 mg/L"}),
            ('<value xsi:type="INT" value="12"/>', {"valueQuantity": {"value": 12}}),
            ('<value xsi:type="TS" value="202601"/>', {"valueDateTime": "2026-01"}),
            ('<value xsi:type="IVL_PQ"><high value="5" unit="mg/L"/></value>', {"valueString": "up to 5 mg/L"}),
            ('<value xsi:type="CD" displayName="Negative"/>', {"valueCodeableConcept": {"text": "Negative"}}),
            ('<value xsi:type="ST">a</value><value xsi:type="PQ" value="1.50" unit="g"/>', {"valueString": "a\n1.50 g"}),
            ('<value xsi:type="PQ" nullFlavor="UNK"/>', {"dataAbsentReason": {"text": "no value was sent"}}),
        ],
    )  # fmt: skip
    def test_values_of_results(self, value: str, made: dict[str, Any]) -> None:
        one = f'<observation><code code="1" codeSystem="1.2" displayName="Test"/>{value}</observation>'
        (result,) = of(draft(kit.document(kit.section("30954-2", "Results", "", one))), "result")
        assert {key: part for key, part in result.items() if key.startswith(("value", "dataAbsent"))} == made

    def test_a_result_that_is_none_stays_in_words(self) -> None:
        never = '<observation negationInd="true"><code code="1" codeSystem="1.2" displayName="Growth"/></observation>'
        found = draft(kit.document(kit.section("30954-2", "Results", "", never)))
        assert of(found, "result") == []
        assert "Not: Growth" in built(found)


class TestNarrative:
    TEXT = (
        "Before<br/>after <content styleCode='Bold Underline'>do not stop</content> x<sub>2</sub>"
        "<list listType='ordered'><caption>Do</caption><item>one</item><item><content>two</content></item></list>"
        "<table><caption>Doses</caption><thead><tr><th>Drug</th><th>Dose</th></tr></thead><tfoot><tr><td>foot</td></tr></tfoot>"
        "<tbody><tr><td onmouseover='x()' style='background:url(https://evil.example/p)'>aspirin</td><td>75 mg<br/>daily</td></tr></tbody>"
        "</table>"
        "<paragraph>see <linkHtml href='javascript:x()'>here</linkHtml></paragraph>&lt;b&gt;tail <content revised='delete'>10 mg</content>"
    )

    def test_every_word_stays_in_its_order_and_nothing_active(self) -> None:
        found = draft(kit.document(kit.section("18776-5", "Plan", self.TEXT)))
        (note,) = of(found, "section")
        assert note["text"].split("\n") == [
            "Before", "after do not stop x2", "Do", "1. one", "2. two", "Doses", "Drug | Dose", "foot", "aspirin | 75 mg", "daily",
            "see here", "<b>tail [deleted: 10 mg]",
        ]  # fmt: skip
        shown = built(found)
        assert "<td>aspirin</td><td>75 mg<br/>daily</td>" in shown
        for word in ("onmouseover", "evil.example", "javascript", "styleCode", "<b>"):
            assert word not in shown

    def test_titles_place_sections_without_code_and_nothing_is_lost(self) -> None:
        inner = tuple(kit.section("", title, f"words of {title}") for title in ("Allergies", "Mental Capacity", "Something else"))
        found = draft(kit.document(kit.section("", "Clinical Information", "", inner=inner)))
        assert [(note["section"], note["title"]) for note in of(found, "section")] == [
            ("allergies-and-adverse-reaction", "Clinical Information: Allergies"),
            ("legal-information", "Clinical Information: Mental Capacity"),
            ("clinical-summary", "Clinical Information: Something else"),
        ]
        assert all(f"words of {title}" in built(found) for title in ("Allergies", "Mental Capacity", "Something else"))

    def test_plain_text_keeps_its_lines(self) -> None:
        (note,) = of(draft(kit.document(kit.section("18776-5", "Plan", "first line\n  second line"))), "section")
        assert note["text"] == "first line\nsecond line"

    def test_an_empty_section_says_so(self) -> None:
        (note,) = of(draft(kit.document(kit.section("18776-5", "Plan", ""))), "note")
        assert note["text"] == "Nothing is written in this section."


class TestLetters:
    def test_the_documents_own_bytes_travel(self) -> None:
        raw = ("\ufeff<?xml version='1.0'?>\n<!-- kept -->\n" + kit.document()).encode()
        assert draft(raw).letters[-1].content == raw

    @pytest.mark.parametrize("wrap", [lambda x: x, lambda x: base64.b64encode(x.encode()).decode()])
    def test_unwrapped_from_its_envelopes_byte_for_byte(self, wrap: Callable[[str], str]) -> None:
        inner = kit.document(kit.medicines(kit.drug("Aspirin")))
        found = draft(kit.distribution_envelope(wrap(inner)))
        assert found.letters[-1].content == inner.encode()
        assert found.counts["medicines"] == len(of(found, "medicine")) == 1
        alone = draft(inner)
        assert [entry.position for entry in found.entries] == [entry.position for entry in alone.entries]
        assert {item.reason for item in found.items if item.position.endswith("@trackingid")} == {"belongs to the transport"}

    def test_a_document_that_needs_its_envelope_travels_with_it(self) -> None:
        inner = kit.document().replace("<title>", '<itk:x xmlns="" value="1"/><title>')
        raw = kit.distribution_envelope(inner).encode()
        assert draft(raw).letters[-1].content == raw

    def test_an_unstructured_body_is_a_letter_and_nothing_is_made_of_it(self) -> None:
        pdf = b"%PDF-1.4 synthetic"
        body = f'<nonXMLBody><text mediaType="application/pdf" representation="B64">{base64.b64encode(pdf).decode()}</text></nonXMLBody>'
        found = draft(kit.document(body=body))
        assert (found.letters[0].media_type, found.letters[0].content) == ("application/pdf", pdf)
        assert {letter.document_id for letter in found.letters} == {"6B1F3C52-8A54-4C0B-9E0D-0B7C1C7E5A01"}
        assert found.counts == {"allergies": 0, "medicines": 0, "diagnoses": 0, "procedures": 0, "sections": 0, "letters": 2}
        text = draft(kit.document(body='<nonXMLBody><text mediaType="text/plain">Seen &amp; treated</text></nonXMLBody>'))
        assert text.letters[0].content == b"Seen & treated"

    def test_half_a_file_is_refused(self) -> None:
        body = '<nonXMLBody><text mediaType="application/pdf" representation="B64">JVBERi0x!</text></nonXMLBody>'
        with pytest.raises(Unreadable) as caught:
            draft(kit.document(body=body))
        assert caught.value.code == "attachment_damaged"


class TestNhsEntries:
    def test_method_source_and_estimated_day_of_leaving(self) -> None:
        def coded(code: str, system: str, value: str = "") -> str:
            made = f'<code code="{code}" codeSystem="2.16.840.1.113883.2.1.3.2.4.{system}"/>{value}'
            return f"<entryRelationship><observation>{made}</observation></entryRelationship>"

        inner = coded("21", "16.51") + coded("19", "16.56") + coded("EDD", "17.220", '<value xsi:type="TS" value="20260119"/>')
        entry = kit.procedure("Admission", "305056002", template="COCD_TP146057UK02#AdmissionProcedure", more=inner)
        found = draft(kit.document(kit.section("", "", "", entry)))
        stay: Any = found.encounter["hospitalization"]
        assert stay["extension"][0]["valueCodeableConcept"]["coding"][0]["code"] == "21"
        assert stay["admitSource"]["coding"][0]["code"] == "19"
        assert found.expected_leaving == "2026-01-19"

    def test_templates_speak_where_the_section_does_not(self) -> None:
        diagnosis = (
            '<observation classCode="OBS" moodCode="EVN"><templateId root="2.1" extension="COCD_TP146011UK04#Diagnosis"/>'
            '<code code="73795002" codeSystem="2.16.840.1.113883.2.1.3.2.4.15" displayName="Acute inferior myocardial infarction"/>'
            "</observation>"
        )
        treated = kit.procedure("Thrombolysis", "32912007", template="COCD_TP146027UK04#Treatment")
        found = draft(kit.document(kit.section("", "", "", diagnosis, treated)))
        assert of(found, "diagnosis")[0]["code"]["coding"][0]["system"] == "http://snomed.info/sct"
        assert (
            [found.counts[kind] for kind in ("diagnoses", "procedures")]
            == [1, 1]
            == [len(of(found, r)) for r in ("diagnosis", "procedure")]
        )


@pytest.mark.parametrize("place", ["entry[2]/substanceAdministration", "/section"], ids=["medicine", "section"])
def test_the_counter_sees_what_the_reader_lost(place: str) -> None:
    """A defect that drops one medicine, or the words of a section: the counts no longer agree, and the structured version waits."""
    whole = draft(kit.document(kit.medicines(kit.drug("A"), kit.drug("B"))))
    lost = [entry for entry in whole.entries if not entry.position.endswith(place)]
    assert len(lost) == len(whole.entries) - 1
    found = assemble(
        transfer_id="11111111-1111-4111-8111-111111111111", version=1, sender=SENDER, site=HOME,
        sources=[source(Draft(**{**{f: getattr(whole, f) for f in whole.__slots__}, "entries": tuple(lost)}))],
    )  # fmt: skip
    assert [conflict.element for conflict in found.conflicts] == ["count"]
    assert counter.count(kit.document(kit.medicines("<!--" + kit.drug("A") + "-->", kit.drug("B &gt; C"))).encode())["medicines"] == 1


def test_source_id_and_sniff() -> None:
    assert source_id(kit.document().encode()) == "6B1F3C52-8A54-4C0B-9E0D-0B7C1C7E5A01"
    assert source_id(kit.distribution_envelope("QUJD").encode()) == "217D1168-7F0B-4F31-A0A9-5B030E545FAE"
    assert sniff(kit.document().encode("utf-16"))
    assert not sniff(b"MSH|^~\\&|<ClinicalDocument >")
    assert not sniff(b'<Bundle xmlns="http://hl7.org/fhir"><x value="&lt;ClinicalDocument&gt;"/></Bundle>')


HOSTILE: dict[str, tuple[str | bytes, str]] = {
    "doctype": ("<!DOCTYPE ClinicalDocument>" + kit.document(), "xml_refused"),
    "external entity": ('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + kit.document().replace("Row", "&e;"), "xml_refused"),
    "entity expansion": (
        f'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "{"&a;" * 99}"><!ENTITY c "{"&b;" * 99}"><!ENTITY d "{"&c;" * 99}">]>'
        + kit.document().replace("Row", "&d;"),
        "xml_refused",
    ),
    "cut": (kit.document()[:-40], "xml_refused"),
    "mixed encodings": (
        b"<?xml version='1.0' encoding='UTF-8'?>" + kit.document().replace("Row", "R\u00e9w").encode("latin-1"),
        "xml_refused",
    ),
    "attributes": (
        kit.document().replace("<title>", "<x " + " ".join(f"a{n}='1'" for n in range(200_000)) + "/><title>"),
        "too_many_values",
    ),
    "values": (kit.document().replace("<title>", f"{'<x/>' * MAX_VALUES}<title>"), "too_many_values"),
    "text of ten million": (kit.document().replace("Row", "x" * 10_000_001), "xml_refused"),
    "oversized base64": (kit.distribution_envelope("QUJD" * 2_600_000), "xml_refused"),
    "depth": (kit.document().replace("<title>", f"{'<x>' * 300}{'</x>' * 300}<title>"), "xml_refused"),
    "nested base64": (
        kit.distribution_envelope(base64.b64encode(kit.distribution_envelope(base64.b64encode(b"<a/>").decode()).encode()).decode()),
        "cda_no_document",
    ),
    "payload no base64": (kit.distribution_envelope("not base64"), "attachment_damaged"),
    "compressed": (kit.distribution_envelope(base64.b64encode(gzip.compress(b"x")).decode()), "cda_compressed"),
    "two documents": (kit.distribution_envelope(kit.document() * 2), "cda_several_documents"),
    "nobody": (kit.document(person=""), "cda_no_patient"),
    "two people": (kit.document(person=kit.PERSON * 2), "two_people"),
    "a section alone": (kit.medicines(kit.drug("A")), "cda_no_document"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_documents_are_refused_by_name(name: str) -> None:
    text, code = HOSTILE[name]
    with pytest.raises(Unreadable) as caught:
        draft(text)
    assert caught.value.code == code
    assert "Testperson" not in str(caught.value)
    assert "root:" not in str(caught.value)


class TestAgents:
    """What an allergy is to, wherever the sender says it."""

    def agent(self, entry: str, text: str = "x") -> Any:
        (found,) = of(draft(kit.document(kit.section("48765-2", "Allergies", text, entry))), "allergy")
        return found["code"]

    def test_in_the_value_in_the_own_code_in_the_text_or_nowhere(self) -> None:
        coded = f'code="91936005" codeSystem="{kit.SNOMED}" displayName="Allergy to penicillin"'
        assert self.agent(f'<observation><value xsi:type="CD" {coded}/></observation>')["coding"][0]["code"] == "91936005"
        assert self.agent(f"<observation><code {coded}/></observation>")["coding"][0]["code"] == "91936005"
        pointed = '<observation><text><reference value="#a"/></text></observation>'
        assert self.agent(pointed, "<paragraph ID='a'>Latex gloves</paragraph>") == {"text": "Latex gloves"}
        assert self.agent("<observation/>") == {"text": "Allergy: the source names no agent"}

    def test_a_kind_alone_is_no_agent(self) -> None:
        kind = f'<observation><value xsi:type="CD" code="416098002" codeSystem="{kit.SNOMED}" displayName="Drug allergy"/></observation>'
        assert self.agent(kind) == {"text": "Allergy: the source names no agent"}
