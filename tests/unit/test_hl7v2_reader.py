"""The reader: delimiters, escapes, character sets, segment ends, batches. Kinds of cases 01–04, 06, 31 and 32."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from adapters.hl7v2 import read, sniff
from adapters.hl7v2.reader import MAX_VALUES, Message, parse
from adapters.hl7v2.types import quantity
from exchange.fhir.draft import Outcome, ReadingProfile, Unreadable

HEAD = "MSH|^~\\&|EPR|TEST1|W|TEST1|20260114163000||ADT^A08^ADT_A01|R1|P|2.4"


def message(*segments: str, charset: str = "UNICODE UTF-8", end: str = "\r", codec: str = "utf-8") -> bytes:
    head = HEAD + (f"||||||{charset}" if charset else "")
    return end.join((head, *segments, "")).encode(codec)


def parsed(*segments: str) -> Message:
    return parse(message(*segments), "ASCII")


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(Unreadable) as caught:
        call()
    return caught.value.code


class TestEscapes:
    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("A\\T\\E", "A&E"),
            ("120\\F\\80", "120|80"),
            ("A\\S\\B", "A^B"),
            ("a\\R\\b", "a~b"),
            ("C:\\E\\temp", "C:\\temp"),
            ("\\E\\T\\E\\", "\\T\\"),
            ("\\X41\\", "A"),
            ("\\XC2B5\\g", "µg"),
            ("\\X5C\\T\\X5C\\", "\\T\\"),
            ("a\\.br\\b", "a\nb"),
            ("a\\.BR\\b", "a\nb"),
            ("a\\.sp2\\b", "a\n\nb"),
            ("a\\.sk3\\b", "a   b"),
            ("\\H\\bold\\N\\", "bold"),
            ("a\\.in+4\\b", "ab"),
            ("\\Zlocal\\", "\\Zlocal\\"),
            ("C:\\temp\\new", "C:\\temp\\new"),
            ("5\\foo\\T\\6", "5\\foo&6"),
            ("end\\", "end\\"),
            ("\\\\", "\\\\"),
            ("\\P\\", "\\P\\"),
            ("\\XF\\", "\\XF\\"),
        ],
    )
    def test_are_read_once(self, written: str, meant: str) -> None:
        assert parsed(f"NTE|1||{written}").first("NTE").cell(3).value() == meant.strip()

    def test_the_fifth_encoding_character_has_its_own(self) -> None:
        raw = message("NTE|1||ward \\P\\4").replace(b"^~\\&", b"^~\\&#")
        assert parse(raw, "ASCII").first("NTE").cell(3).value() == "ward #4"

    def test_hexadecimal_is_in_the_character_set_of_the_message(self) -> None:
        raw = message("NTE|1||\\XB5\\g", charset="8859/1")
        assert parse(raw, "ASCII").first("NTE").cell(3).value() == "µg"
        assert code_of(lambda: read(message("PID|1||1", "NTE|1||\\XB5\\g"), ReadingProfile())) == "character_set"

    def test_no_control_character_comes_in_by_the_back_door(self) -> None:
        assert code_of(lambda: read(message("PID|1||1", "NTE|1||a\\X00\\b"), ReadingProfile())) == "control_character"


class TestDelimiters:
    def test_of_the_senders_choice(self) -> None:
        raw = b"MSH$:*@+$EPR$T$W$T$20260114163000$$ADT:A08:ADT_A01$R1$P$2.4\rPID$1$$9990000018:::NHS*X1:::T$$Test@S@er:Ada\r"
        draft = read(raw, ReadingProfile())
        assert draft.patient["name"] == [{"family": "Test:er", "given": ["Ada"]}]
        assert [item.value for item in draft.items[:2]] == ["$", ":*@+"]

    @pytest.mark.parametrize("encoding", ["^~\\", "^~\\&#!", "^^\\&", "^~\\|", "a~\\&", "^~ &", ""])
    def test_that_make_no_sense_are_refused(self, encoding: str) -> None:
        assert code_of(lambda: parse(message("PID|1").replace(b"^~\\&", encoding.encode(), 1), "ASCII")) == "hl7_delimiters"


class TestCharacterSets:
    @pytest.mark.parametrize(
        ("name", "codec", "text"),
        [
            ("8859/1", "latin-1", "½ µg Zoë"),
            ("8859/15", "iso8859-15", "5 € Zoë"),
            ("UNICODE UTF-8", "utf-8", "≥ 5 µg"),
            ("UNICODE", "utf-8", "Siân"),
            ("ASCII", "ascii", "plain"),
            ("WINDOWS-1252", "cp1252", "Test’s “own” – 5 µg"),
            ("8859/1", "cp1252", "Test’s “own”"),
            ("utf-8", "utf-8", "Ŵ"),
            ("8859/1~UNICODE UTF-8", "latin-1", "é"),
        ],
    )
    def test_of_msh_18(self, name: str, codec: str, text: str) -> None:
        raw = message(f"NTE|1||{text}", charset=name, codec=codec)
        assert parse(raw, "ASCII").first("NTE").cell(3).value() == text

    def test_the_profile_speaks_where_the_message_does_not(self) -> None:
        raw = message("NTE|1||é", charset="", codec="latin-1")
        assert parse(raw, "8859/1").first("NTE").cell(3).value() == "é"
        assert code_of(lambda: parse(raw, "UNICODE UTF-8")) == "character_set"
        assert code_of(lambda: parse(raw, "KLINGON")) == "character_set_unknown"

    @pytest.mark.parametrize("name", ["UNICODE UTF-16", "KLINGON", "idna", "rot13", "zlib"])
    def test_that_we_do_not_read_are_refused_by_name(self, name: str) -> None:
        assert code_of(lambda: parse(message("PID|1", charset=name), "ASCII")) == "character_set_unknown"

    def test_a_byte_order_mark_is_no_text(self) -> None:
        assert sniff(b"\xef\xbb\xbf" + message("PID|1"))
        assert parse(b"\xef\xbb\xbf" + message("PID|1"), "ASCII").header.value(10) == "R1"

    @pytest.mark.parametrize("character", ["\0", "\x01", "\x0b", "\x1b", "\x1c", "\x7f", "\x85", "\x9f"])
    def test_control_characters_are_refused(self, character: str) -> None:
        assert code_of(lambda: parsed(f"NTE|1||a{character}b")) == "control_character"

    def test_a_tab_is_text(self) -> None:
        assert parsed("NTE|1||a\tb").first("NTE").cell(3).value() == "a\tb"


class TestSegments:
    @pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\n\n", "\r\n\r\n"])
    def test_end_with_cr_lf_or_both(self, end: str) -> None:
        found = parse(message("PID|1||X1", "OBX|1", "OBX|2", end=end), "ASCII")
        assert [segment.label for segment in found.segments] == ["MSH", "PID", "OBX", "OBX[2]"]

    def test_a_line_feed_within_a_value_is_part_of_it(self) -> None:
        assert parsed("NTE|1||first\nsecond", "NTE|2||x").first("NTE").cell(3).value() == "first\nsecond"

    @pytest.mark.parametrize("line", ["PI", "pid|1", "PID^1", "words of a letter", "123|x"])
    def test_a_line_that_is_none_means_damage(self, line: str) -> None:
        assert code_of(lambda: parsed("PID|1", line)) == "hl7_segment"

    def test_the_frame_of_mllp_is_taken_off_a_saved_file(self) -> None:
        assert parse(b"\x0b" + message("PID|1") + b"\x1c\r", "ASCII").header.value(10) == "R1"

    def test_absent_fields_are_empty(self) -> None:
        pid = parsed("PID|1").first("PID")
        assert (pid.value(30), pid.cells(3), pid.cell(5).raw(9, 9)) == ("", [], "")
        assert parsed("PID|1").first("PV1").value(19) == ""

    def test_a_batch_of_one_and_not_of_two(self) -> None:
        one = b"FHS|^~\\&|X\rBHS|^~\\&|X\r" + message("PID|1||X1") + b"BTS|1\rFTS|1\r"
        assert sniff(one)
        assert [segment.name for segment in parse(one, "ASCII").segments] == ["FHS", "BHS", "MSH", "PID", "BTS", "FTS"]
        assert code_of(lambda: parse(one + message("PID|1"), "ASCII")) == "several_messages"

    def test_too_many_values_are_refused(self) -> None:
        assert code_of(lambda: parsed("ZZZ" + "|x" * (MAX_VALUES + 1))) == "too_many_values"

    @pytest.mark.parametrize("raw", [b"", b"MSH", b"MSH|^~", b"PID|1||X", b"xMSH|^~\\&|A|B"])
    def test_without_a_header_it_is_no_message(self, raw: bytes) -> None:
        assert code_of(lambda: parse(raw, "ASCII")) in ("hl7_no_header", "hl7_delimiters")


class TestItems:
    def test_positions(self) -> None:
        draft = read(message("PID|1||X1^^^T&1.2&ISO~X2||Test^Ada", "ZZ1|a&b", "NTE|1", "NTE|2||late"), ReadingProfile())
        by_position = {item.position: (item.value, item.outcome, item.path or item.reason) for item in draft.items}
        assert by_position["PID-3.1"] == ("X1", Outcome.MAPPED, "Patient.identifier.value")
        assert by_position["PID-3.4.1"] == ("T", Outcome.MAPPED, "Patient.identifier.assigner.display")
        assert by_position["PID-3.4.2"] == ("1.2", Outcome.NOT_CARRIED, "has no place in the document")
        assert by_position["PID-3[2]"] == ("X2", Outcome.MAPPED, "Patient.identifier.value")
        assert by_position["ZZ1-1.1.2"] == ("b", Outcome.NOT_CARRIED, "not interpreted")
        assert by_position["NTE[2]-3"] == ("late", Outcome.NOT_CARRIED, "has no place in the document")
        assert by_position["MSH-9.1"] == ("ADT", Outcome.NOT_CARRIED, "transport")

    def test_the_delete_value_is_listed_and_is_nothing_else(self) -> None:
        draft = read(message('PID|1||""^^^T~9990000018^^^NHS||Test^""'), ReadingProfile())
        deleted = [item for item in draft.items if item.value == '""']
        assert [(item.position, item.outcome, item.reason) for item in deleted] == [
            ("PID-3.1", Outcome.NOT_CARRIED, "deletes the value"),
            ("PID-5.2", Outcome.NOT_CARRIED, "deletes the value"),
        ]
        assert '""' not in str(draft.patient)


def test_the_event_is_a_code_or_unknown() -> None:
    """It reaches logs: a name in the wrong field must not."""
    raw = message("PID|1||X1").replace(b"ADT^A08^ADT_A01", b"Testperson^Ada")
    assert read(raw, ReadingProfile()).event == "unknown"


@pytest.mark.parametrize(("unit", "code"), [("mmol/L^^UCUM", "mmol/L"), ("milligram^^UCUM", None), ("mmol/L^^L", None), ("", None)])
def test_a_unit_that_says_to_be_of_ucum_has_to_be(unit: str, code: str | None) -> None:
    """Words stay words: a code that is none would stop the document before it leaves."""
    found = quantity(Decimal(1), parsed(f"OBX|1|NM|||1|{unit}").first("OBX").cell(6), "valueQuantity")
    assert found.get("unit", "") == unit.partition("^")[0]
    assert (found.get("code"), found.get("system")) == (code, code and "http://unitsofmeasure.org")
