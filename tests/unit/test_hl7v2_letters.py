"""MDM: letters byte for byte, signed or not, replaced or cancelled. Kinds of cases 01, 07 and 08."""

import base64
import hashlib

import pytest

from adapters.hl7v2 import read
from exchange.fhir.draft import Draft, LetterStatus, Outcome, ReadingProfile, SourceKind, Unreadable

TXA = "TXA|1|DS^Discharge summary|TX|20260714160000|C1^Mockham^Ivy|20260714155500||||||DOC1|||||AU"


def draft(*segments: str, event: str = "T02", txa: str = TXA, profile: ReadingProfile | None = None) -> Draft:
    head = f"MSH|^~\\&|EPR|T1|W|T1|20260714160000+0100||MDM^{event}|C1|P|2.5.1||||||UNICODE UTF-8"
    return read("\r".join((head, "PID|1||9990000018^^^NHS^NH||Testperson^Ada", txa, *segments)).encode(), profile or ReadingProfile())


def text(*segments: str) -> str:
    (letter,) = draft(*segments).letters
    assert letter.media_type == "text/plain"
    return letter.content.decode()


class TestText:
    def test_lines_stay_in_the_order_sent_with_their_blanks(self) -> None:
        lines = [
            "DISCHARGE MEDICINES",
            "Stopped:",
            "aspirin 75 mg",
            "",
            "Started:",
            "apixaban",
            "",
            "Continued:",
            "amlodipine",
            "bisoprolol 2.5 mg",
            "END",
        ]
        assert text(*(f"OBX|{n}|TX|||{line}" for n, line in enumerate(lines, 1))) == "\n".join(lines)

    @pytest.mark.parametrize("kind", ["TX", "FT", "ST"])
    def test_one_obx_with_line_ends_is_the_same_letter_as_many(self, kind: str) -> None:
        many = text(f"OBX|1|{kind}|||one", f"OBX|2|{kind}|||", f"OBX|3|{kind}|||two")
        assert text(f"OBX|1|{kind}|||one\\.br\\\\.br\\two") == text(f"OBX|1|{kind}|||one~~two") == many == "one\n\ntwo"

    def test_spaces_at_the_edges_of_a_line_are_part_of_the_layout(self) -> None:
        assert text("OBX|1|TX|||  indented  ", "OBX|2|TX|||end") == "  indented  \nend"

    def test_delimiters_that_nobody_escaped_are_text(self) -> None:
        assert text("OBX|1|TX|||seen in A&E, pH ^ high") == "seen in A&E, pH ^ high"

    def test_a_line_that_the_sender_took_back_is_left_out_and_listed(self) -> None:
        found = draft("OBX|1|TX|||kept||||||F", "OBX|2|TX|||wrong||||||W", "OBX|3|TX|||gone||||||D")
        assert found.letters[0].content == b"kept"
        assert {item.position: item.reason for item in found.items}["OBX[2]-5"] == "the sender took this line back"

    def test_only_blank_lines_are_no_letter(self) -> None:
        found = draft("OBX|1|TX|||", 'OBX|2|TX|||""')
        assert (found.kind, found.reason, found.letters) == (SourceKind.NOT_USED, "carries no content", ())


class TestFiles:
    CONTENT = b"%PDF-1.4\n" + bytes(range(256)) * 400

    @pytest.mark.parametrize("form", ["^AP^PDF^Base64^", "^application^pdf^Base64^", "X^AP^pdf^BASE64^", "^application/pdf^^Base64^"])
    def test_are_carried_byte_for_byte(self, form: str) -> None:
        (letter,) = draft(f"OBX|1|ED|||{form}{base64.b64encode(self.CONTENT).decode()}").letters
        assert (letter.content, letter.media_type, letter.position) == (self.CONTENT, "application/pdf", "OBX-5")

    def test_line_ends_and_lost_padding_in_base64_are_no_damage(self) -> None:
        wrapped = "\\.br\\".join(base64.b64encode(b"%PDF-1.4 made up").decode().rstrip("=")[n : n + 8] for n in range(0, 24, 8))
        assert draft(f"OBX|1|ED|||^AP^PDF^Base64^{wrapped}").letters[0].content == b"%PDF-1.4 made up"

    @pytest.mark.parametrize(("encoding", "data", "content"), [("A", "plain \\T\\ text", b"plain & text"), ("Hex", "25504446", b"%PDF")])
    def test_other_encodings(self, encoding: str, data: str, content: bytes) -> None:
        assert draft(f"OBX|1|ED|||^TEXT^PLAIN^{encoding}^{data}").letters[0].content == content

    @pytest.mark.parametrize("form", ["^AP^PDF^Base64^%%%", "^AP^PDF^Base64^A", "^AP^PDF^Base64^AA=A", "^AP^PDF^Hex^zz"])
    def test_damage_is_refused(self, form: str) -> None:
        with pytest.raises(Unreadable, match="attachment_damaged"):
            draft(f"OBX|1|ED|||{form}")

    def test_the_report_names_the_digest(self) -> None:
        found = draft(f"OBX|1|ED|||^AP^PDF^Base64^{base64.b64encode(self.CONTENT).decode()}")
        (item,) = [item for item in found.items if item.outcome is Outcome.ATTACHMENT]
        assert (item.position, item.value) == ("OBX-5.5", "sha256:" + hashlib.sha256(self.CONTENT).hexdigest())

    def test_text_and_two_files_are_three_letters(self) -> None:
        found = draft("OBX|1|ED|||^AP^PDF^Base64^JVBERg==", "OBX|2|TX|||words", "OBX|3|ED|||^IM^JPEG^Base64^/9j/")
        assert [(letter.position, letter.media_type) for letter in found.letters] == [
            ("OBX[2]-5", "text/plain"),
            ("OBX-5", "application/pdf"),
            ("OBX[3]-5", "image/jpeg"),
        ]
        assert found.counts["letters"] == 3


class TestHeader:
    @pytest.mark.parametrize(
        ("status", "expected"), [("AU", "final"), ("LA", "final"), ("IP", "draft"), ("DO", "draft"), ("", "draft"), ("PA", "draft")]
    )
    def test_signed_or_not(self, status: str, expected: str) -> None:
        assert draft("OBX|1|TX|||x", txa=TXA.replace("|AU", f"|{status}")).letters[0].status == expected

    def test_who_and_when(self) -> None:
        txa = TXA.replace("||||||DOC1", "|||C2^Author^Ann^^^Dr|||DOC1") + "|||||C3^Signer^Sam^^^^^^^^^^^^20260714161500"
        (letter,) = draft("OBX|1|TX|||x", txa=txa).letters
        assert (letter.title, letter.author, letter.signed_by) == ("Discharge summary", "Dr Ann Author", "Sam Signer")
        assert (letter.written_at, letter.signed_at) == ("2026-07-14T15:55:00+01:00", "2026-07-14T16:15:00+01:00")

    def test_nobody_signed_a_draft(self) -> None:
        (letter,) = draft("OBX|1|TX|||x", txa=TXA.replace("|AU", "|IP") + "|||||C3^Signer^Sam").letters
        assert (letter.signed_by, letter.signed_at) == ("", "")

    @pytest.mark.parametrize(("event", "replaces"), [("T02", ""), ("T06", ""), ("T08", "DOC0"), ("T10", "DOC0")])
    def test_what_it_replaces(self, event: str, replaces: str) -> None:
        assert draft("OBX|1|TX|||x", event=event, txa=TXA.replace("DOC1||", "DOC1|DOC0|")).letters[0].replaces == replaces

    def test_a_cancelled_document_has_a_number_and_no_content(self) -> None:
        (letter,) = draft(event="T11").letters
        assert (letter.status, letter.document_id, letter.content) == (LetterStatus.CANCELLED, "DOC1", b"")

    @pytest.mark.parametrize("event", ["T01", "T05", "T07", "T09"])
    def test_notifications_are_not_used(self, event: str) -> None:
        assert (draft(event=event).kind, draft(event=event).reason) == (SourceKind.NOT_USED, "carries no content")

    def test_other_letters_are_not_used_and_nothing_of_them_is_carried(self) -> None:
        found = draft("OBX|1|TX|||clinic", txa=TXA.replace("DS^Discharge summary", "OPL"), profile=ReadingProfile(letter_types=("DS",)))
        assert (found.kind, found.reason, found.letters) == (SourceKind.NOT_USED, "not a discharge document", ())
        assert found.patient["name"]
        assert {item.outcome for item in found.items} == {Outcome.NOT_CARRIED}
