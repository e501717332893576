"""ADT: one test per mapping row; whole messages stand in tests/corpus. Kinds of cases 05, 06, 11, 25, 26 and 31."""

from typing import Any

import pytest

from adapters.common import Moment, nhs_number, read_time
from adapters.hl7v2 import read
from adapters.hl7v2.events import EVENTS
from exchange.fhir.draft import Draft, Outcome, ReadingProfile, SourceKind, Unreadable

UK = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-"


def segment(name: str, **fields: str) -> str:
    """`segment("PV1", f2="I")`: PV1||I."""
    numbers = {int(key[1:]): value for key, value in fields.items()}
    return name + "".join(f"|{numbers.get(n, '')}" for n in range(1, max(numbers) + 1))


def draft(*segments: str, event: str = "A08", profile: ReadingProfile | None = None, processing: str = "P") -> Draft:
    head = f"MSH|^~\\&|PAS|T1|W|T1|20260714160000||ADT^{event}|C1|{processing}|2.4||||||UNICODE UTF-8"
    pid = () if any(one.startswith("PID") for one in segments) else ("PID|1||9990000018^^^NHS^NH||Testperson^Ada||19380514|F",)
    return read("\r".join((head, *pid, *segments)).encode(), profile or ReadingProfile())


def patient(profile: ReadingProfile | None = None, **fields: str) -> dict[str, Any]:
    return dict(draft(segment("PID", **{"f3": "X1", **fields}), profile=profile).patient)


def outcomes(found: Draft) -> dict[str, tuple[Outcome, str]]:
    return {item.position: (item.outcome, item.reason) for item in found.items}


class TestTimes:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("2026", "2026"),
            ("202607", "2026-07"),
            ("20260714", "2026-07-14"),
            ("2026071415", "2026-07-14"),
            ("202607141530", "2026-07-14T15:30:00+01:00"),
            ("20260114153000", "2026-01-14T15:30:00+00:00"),
            ("20260714153000.1234", "2026-07-14T15:30:00.1234+01:00"),
            ("20260714153000+0100", "2026-07-14T15:30:00+01:00"),
            ("20260714143000+0000", "2026-07-14T14:30:00+00:00"),
            ("202607141530-0500", "2026-07-14T15:30:00-05:00"),
            ("20260329003000", "2026-03-29T00:30:00+00:00"),
            ("20261025003000", "2026-10-25T00:30:00+01:00"),
            ("20261025020000", "2026-10-25T02:00:00+00:00"),
        ],
    )
    def test_keep_their_precision_and_get_the_feeds_offset(self, text: str, expected: str) -> None:
        assert read_time(text, "Europe/London") == Moment(expected)

    @pytest.mark.parametrize("text", ["20261025013000", "202610250100", "20261025015959", "20260329013000"])
    def test_the_hour_that_is_there_twice_or_never_is_not_guessed(self, text: str) -> None:
        moment = read_time(text, "Europe/London")
        assert moment is not None
        assert len(moment.text) == 10
        assert moment.written.startswith(f"{moment.text} 01:")
        assert read_time(f"{text}+0100", "Europe/London") is not None

    @pytest.mark.parametrize(
        "text", ["", "0000", "20261301", "20260230", "20260714250000", "2026-07-14", "20260714153000+9900", "yesterday", "٢٠٢٦", "202"]
    )
    def test_what_is_no_time_is_none(self, text: str) -> None:
        assert read_time(text, "Europe/London") is None

    @pytest.mark.parametrize(
        ("sent", "expected"),
        [
            ("20260720", "2026-07-20"),
            ("202607200000", "2026-07-20"),
            ("20260720000000", "2026-07-20"),
            ("202607202359", "2026-07-20"),
            ("20260720235900", "2026-07-20"),
            ("20260720235959+0100", "2026-07-20"),
            ("202607201400", "2026-07-20T14:00:00+01:00"),
            ("20260720000100", "2026-07-20T00:01:00+01:00"),
            ('""', None),
            ("20269999", ""),
        ],
    )
    def test_a_filler_on_the_expected_day_is_no_time(self, sent: str, expected: str | None) -> None:
        assert draft(segment("PV2", f9=sent)).expected_leaving == expected

    def test_an_unknown_zone_is_the_profiles_fault_by_name(self) -> None:
        with pytest.raises(Unreadable, match="zone_unknown"):
            draft(segment("PV1", f44="202607141530"), profile=ReadingProfile(zone="Mars/Olympus"))


class TestIdentity:
    @pytest.mark.parametrize(
        ("written", "number"),
        [
            ("9990000018", "9990000018"),
            ("999 000 0018", "9990000018"),
            ("999-000-0018", "9990000018"),
            ("9990000019", ""),
            ("999000001", ""),
            ("99900000180", ""),
            ("0000000000", ""),
            ("1111111111", ""),
            ("9999999999", ""),
            ("٩٩٩٠٠٠٠٠١٨", ""),
            ("99900000x8", ""),
            ("", ""),
        ],
    )
    def test_nhs_numbers_pass_the_check_or_are_none(self, written: str, number: str) -> None:
        assert nhs_number(written) == number

    @pytest.mark.parametrize(
        "kind", ["^^^NHS", "^^^NHS^NH", "^^^^NH", "^^^NHS&2.16.840.1.113883.2.1.4.1&ISO", "^^^&2.16.840.1.113883.2.1.4.1"]
    )
    def test_an_nhs_number_by_authority_or_type(self, kind: str) -> None:
        assert patient(f3=f"X1^^^T1^PI~9990000018{kind}")["identifier"][1] == {
            "system": "https://fhir.nhs.uk/Id/nhs-number",
            "value": "9990000018",
        }

    def test_a_wrong_number_is_reported_and_not_published(self) -> None:
        found = draft(segment("PID", f3="9990000019^^^NHS^NH~X1^^^T1^PI"))
        assert found.patient["identifier"] == [
            {"system": "https://fhir.nhs.uk/Id/local-patient-identifier", "value": "X1", "assigner": {"display": "T1"}}
        ]
        assert outcomes(found)["PID-3.1"] == (Outcome.NOT_CARRIED, "is not a valid NHS number")

    def test_number_status_only_from_the_field_of_the_profile_and_its_country(self) -> None:
        def status(profile: ReadingProfile, value: str) -> Any:
            extension = patient(profile, f3="9990000018^^^NHS", f32=value)["identifier"][0].get("extension")
            return extension and extension[0]["valueCodeableConcept"]["coding"][0]["code"]

        assert status(ReadingProfile(), "01") == "01"
        assert status(ReadingProfile(), "US") is None
        assert status(ReadingProfile(number_status_field=""), "01") is None
        assert status(ReadingProfile(number_status_field="ZPD-4"), "01") is None
        assert status(ReadingProfile(country="Atlantis"), "01") is None

    def test_pid_2_counts_where_pid_3_lacks_it(self) -> None:
        assert [one["value"] for one in patient(f2="9990000018^^^NHS", f3="X1")["identifier"]] == ["X1", "9990000018"]

    def test_two_segments_of_one_person_are_one(self) -> None:
        pid = segment("PID", f3="9990000018^^^NHS~X1", f7="19380514")
        found = draft(pid, segment("PID", f3="X1", f7="19380514"))
        assert outcomes(found)["PID[2]-3"] == (Outcome.NOT_CARRIED, "repeats the person")
        for other in (segment("PID", f3="X1", f7="19380515"), segment("PID", f3="9990000026^^^NHS~X1"), segment("PID", f5="Testperson")):
            with pytest.raises(Unreadable, match="two_people"):
                draft(pid, other)

    def test_no_person_no_facts(self) -> None:
        with pytest.raises(Unreadable, match="hl7_no_patient"):
            read(b"MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.4\rEVN|A01", ReadingProfile())


class TestPerson:
    @pytest.mark.parametrize(
        ("code", "gender"),
        [("M", "male"), ("1", "male"), ("F", "female"), ("2", "female"), ("9", "unknown"), ("0", "unknown"), ("O", "other"), ("?", None)],
    )
    def test_gender(self, code: str, gender: str | None) -> None:
        assert patient(f8=code).get("gender") == gender

    @pytest.mark.parametrize(
        ("sent", "born"),
        [
            ("1938", "1938"),
            ("193805", "1938-05"),
            ("19380514", "1938-05-14"),
            ("193805140000+0100", "1938-05-14"),
            ("19380231", None),
            ("unknown", None),
        ],
    )
    def test_birth_date(self, sent: str, born: str | None) -> None:
        assert patient(f7=sent).get("birthDate") == born

    def test_only_current_names_travel(self) -> None:
        found = draft(segment("PID", f3="X1", f5="Now^Ada^^^^^L~Before^Ada^^^^^M~Other^^^^^^A", f6="Mother", f9="Alias"))
        assert found.patient["name"] == [{"use": "official", "family": "Now", "given": ["Ada"]}]
        for position in ("PID-5[2].1", "PID-5[3].1", "PID-6", "PID-9"):
            assert outcomes(found)[position] == (Outcome.WITHHELD, "previous_names")

    @pytest.mark.parametrize(
        ("sent", "expected"),
        [
            ("01632 960001^PRN^PH", {"system": "phone", "value": "01632 960001", "use": "home"}),
            ("07700 900001^PRN^CP", {"system": "phone", "value": "07700 900001", "use": "mobile"}),
            ("^NET^Internet^a@example.org", {"system": "email", "value": "a@example.org", "use": "home"}),
            ("a@example.org", {"system": "email", "value": "a@example.org", "use": "home"}),
            ("^WPN^PH^^44^1632^960001^22", {"system": "phone", "value": "44 1632 960001 22", "use": "work"}),
            ("^PRN^PH^^^^^^^^^01632960001", {"system": "phone", "value": "01632960001", "use": "home"}),
            ("01632 960003^WPN^FX", {"system": "fax", "value": "01632 960003", "use": "work"}),
        ],
    )
    def test_telecom(self, sent: str, expected: dict[str, str]) -> None:
        assert patient(f13=sent)["telecom"] == [expected]

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"f29": "202607130450", "f30": "Y"}, ("2026-07-13T04:50:00+01:00", None, True)),
            ({"f30": "Y"}, (None, True, True)),
            ({"f30": "N"}, (None, False, False)),
            ({"f30": '""'}, (None, None, False)),
        ],
    )
    def test_deceased(self, fields: dict[str, str], expected: tuple[str | None, bool | None, bool]) -> None:
        found = draft(segment("PID", f3="X1", **fields))
        assert (found.patient.get("deceasedDateTime"), found.patient.get("deceasedBoolean"), found.is_dead) == expected

    def test_a_whole_field_of_two_quotation_marks_clears(self) -> None:
        found = patient(f11='""', f13='""', f30='""')
        assert [found[name] for name in ("address", "telecom", "deceasedBoolean")] == [None, None, None]
        assert "maritalStatus" not in found

    def test_a_protected_address_reaches_nobody(self) -> None:
        pid = segment("PID", f3="X1", f11="1 Secret Row^^Testmouth^^NM1 1AA", f13="01632 960001")
        found = draft(pid, segment("PD1", f12="Y"), "NK1|1|Test^Ivy|SPO|1 Secret Row^^Testmouth|07700 900001", segment("PV1", f37="85"))
        assert found.is_sensitive_address
        assert (found.patient["address"], found.patient["telecom"]) == ([], [])
        assert [sign.kind for sign in found.signs] == ["destination_code"]
        assert "Secret" not in str((found.patient, found.encounter, found.entries, found.signs))
        assert outcomes(found)["NK1-4.1"] == (Outcome.WITHHELD, "sensitive_address")

    def test_general_practice(self) -> None:
        found = draft("PD1|||Testfield Surgery^^SIMG01|G1^Gptest^A^^^Dr^^^GMP")
        assert [(entry.role, entry.resource["identifier"]) for entry in found.entries] == [
            ("gp-practice", [{"system": "https://fhir.nhs.uk/Id/ods-organization-code", "value": "SIMG01"}]),
            ("gp", [{"system": "https://fhir.hl7.org.uk/Id/gmp-number", "value": "G1"}]),
        ]


class TestStay:
    def test_ward_and_consultant(self) -> None:
        found = draft(segment("PV1", f2="I", f3="W05^B2^02^T1^^^^^Elderly Care A", f7="C1^Test^Ravi", f19="V1"))
        ward, consultant = found.entries
        assert (ward.role, ward.resource["name"], ward.resource["description"]) == ("ward", "Elderly Care A", "room B2, bed 02")
        assert (consultant.role, consultant.position) == ("consultant", "PV1-7")
        assert consultant.resource["identifier"] == [{"system": "https://fhir.nhs.uk/Id/local-practitioner-identifier", "value": "C1"}]
        assert found.visit_id == "V1"

    @pytest.mark.parametrize(
        ("event", "left", "status"),
        [
            ("A01", "", "in-progress"),
            ("A03", "", "finished"),
            ("A08", "202607141530", "finished"),
            ("A08", "", None),
            ("A04", "", "in-progress"),
            ("A05", "", "planned"),
            ("A21", "", "onleave"),
            ("A22", "", "in-progress"),
            ("A13", "202607141530", "in-progress"),
            ("A11", "", "cancelled"),
        ],
    )
    def test_status(self, event: str, left: str, status: str | None) -> None:
        """Of the event, else finished by PV1-45; an update states none, and the merge takes it from the class."""
        assert draft(segment("PV1", f2="I", f45=left), event=event).encounter.get("status") == status

    def test_what_pv1_36_and_37_mean_is_the_profiles_to_say(self) -> None:
        pv1 = segment("PV1", f2="I", f36="1", f37="85")
        usual = draft(pv1)
        assert usual.encounter["extension"][0]["url"] == f"{UK}DischargeMethod"  # type: ignore[index]
        assert [sign.kind for sign in usual.signs] == ["destination_code"]
        turned = draft(segment("PV1", f2="I", f36="85", f37="1"), profile=ReadingProfile(pv1_36="destination", pv1_37="method"))
        assert [(sign.kind, sign.position) for sign in turned.signs] == [("destination_code", "PV1-36")]
        silent = draft(pv1, profile=ReadingProfile(pv1_36="", pv1_37=""))
        assert silent.signs == ()
        assert outcomes(silent)["PV1-37"] == (Outcome.NOT_CARRIED, "this sender does not use the field")

    def test_nothing_follows_from_code_19(self) -> None:
        assert draft(segment("PV1", f2="I", f37="19")).signs == ()

    def test_a_code_that_the_country_does_not_have_stays_text(self) -> None:
        welsh = ReadingProfile(country="Wales", home_destinations=("20",))
        assert draft(segment("PV1", f37="55")).encounter["hospitalization"] == {"dischargeDisposition": {"text": "55"}}
        found = draft(segment("PV1", f37="20"), profile=welsh)
        assert "UKCore-DischargeDestinationWales" in str(found.encounter)
        assert [sign.value for sign in found.signs] == ["20"]

    def test_a_local_home_code_is_a_sign_and_no_destination(self) -> None:
        found = draft(
            segment("PV1", f2="I", f37="LH01"), profile=ReadingProfile(pv1_37="destination or home code", aliases={"LH01": "SIMH01"})
        )
        assert [(sign.kind, sign.value) for sign in found.signs] == [("local_home_code", "LH01")]
        assert "hospitalization" not in found.encounter

    @pytest.mark.parametrize("fields", [{"f36": "4"}, {"f36": "5"}, {"f37": "79"}])
    def test_death_in_hospital(self, fields: dict[str, str]) -> None:
        assert draft(segment("PV1", **fields), event="A03").is_dead

    def test_left_at_is_pv1_45_else_the_time_of_the_event(self) -> None:
        assert (
            draft(segment("PV1", f45="202607141530"), "EVN|A03|2026|||x|202607141200", event="A03").left_at == "2026-07-14T15:30:00+01:00"
        )
        assert draft("EVN|A03|20260714160000||||202607141200", event="A03").left_at == "2026-07-14T12:00:00+01:00"
        assert draft("EVN|A08|20260714160000||||202607141200").left_at == ""

    def test_a_person_message_has_no_stay(self) -> None:
        found = draft("PV1|1|N|||||||||||||||||V1", event="A31")
        assert (found.encounter, found.visit_id) == ({}, "")


class TestClinical:
    def test_allergies_between_local_segments(self) -> None:
        found = draft("AL1|1|DA|L1^Penicillin^L|SV|Rash", "ZAX|1|local", "AL1|2|DA|L2^Latex^L|SV|Wheeze", 'AL1|3|DA|""')
        assert [entry.resource["code"] for entry in found.entries] == [{"text": "Penicillin"}, {"text": "Latex"}]
        assert found.counts["allergies"] == 2
        assert outcomes(found)["ZAX-2"] == (Outcome.NOT_CARRIED, "not interpreted")

    @pytest.mark.parametrize(
        ("sent", "expected"),
        [
            (
                "91936005^Penicillin^SCT",
                {"coding": [{"system": "http://snomed.info/sct", "code": "91936005", "display": "Penicillin"}], "text": "Penicillin"},
            ),
            (
                "L1^Penicillin^L^91936005^Allergy to penicillin^SCT",
                {
                    "coding": [{"system": "http://snomed.info/sct", "code": "91936005", "display": "Allergy to penicillin"}],
                    "text": "Penicillin",
                },
            ),
            ("322236009^^DM+D", {"coding": [{"system": "https://dmd.nhs.uk", "code": "322236009"}]}),
            ("L1", {"text": "L1"}),
            ("^A & B", {"text": "A & B"}),
            ("^A&B", {"text": "A&B"}),
        ],
    )
    def test_codes_only_under_systems_that_we_know(self, sent: str, expected: dict[str, Any]) -> None:
        (entry,) = draft(f"AL1|1|DA|{sent}").entries
        assert entry.resource["code"] == expected

    def test_diagnosis_and_procedure(self) -> None:
        found = draft(
            "DG1|1||I50.9^Heart failure^ICD10||20260714|A",
            "DG1|2|||Old words",
            segment("DG1", f3="^Wrong", f21="D"),
            "PR1|1||W38.1^Hip^OPCS4||20260711",
        )
        first, second, third, procedure = (entry.resource for entry in found.entries)
        assert first["onsetDateTime"] == "2026-07-14"
        assert len(first["category"]) == 2  # type: ignore[arg-type]
        assert second["code"] == {"text": "Old words"}
        assert third["verificationStatus"]["coding"][0]["code"] == "entered-in-error"  # type: ignore[index]
        assert (procedure["status"], procedure["performedDateTime"]) == ("completed", "2026-07-11")
        assert (found.counts["diagnoses"], found.counts["procedures"]) == (3, 1)


class TestKinds:
    @pytest.mark.parametrize(
        ("event", "kind"),
        [(event.removeprefix("ADT^"), use.kind) for event, use in EVENTS.items() if event.startswith("ADT")]
        + [("A17", SourceKind.NOT_USED), ("A99", SourceKind.NOT_USED)],
    )
    def test_of_event(self, event: str, kind: SourceKind) -> None:
        assert draft(event=event).kind is kind

    @pytest.mark.parametrize(("processing", "expected"), [("P", False), ("T", True), ("D", True), ("T^A", True)])
    def test_test_messages_are_marked(self, processing: str, expected: bool) -> None:
        assert draft(processing=processing).is_test is expected

    def test_merged_identities_are_withheld(self) -> None:
        found = draft("MRG|X0", segment("PID", f3="X1", f4="X00"))
        assert outcomes(found)["MRG-1"] == outcomes(found)["PID-4"] == (Outcome.WITHHELD, "merged_identities")
        assert "X0" not in str(found.patient)
