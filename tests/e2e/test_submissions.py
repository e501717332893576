"""`POST /submissions`: bytes of a hospital's system over HTTP; each refusal leaves nothing behind, each yes is in custody."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.cli.demo_story import admission, letter, people
from exchange.directory.entries import add_sender
from exchange.intake.file_part import pack
from exchange.records import Hold, Part, Stay, Submission, Version
from exchange.transfer.match import PartLabel
from exchange.transfer.publish import sealed_type
from exchange.web.submissions import MAX_REQUEST_BYTES, MAX_SUBMISSION_BYTES
from tests.app_kit import HOME, HOSPITAL
from tests.e2e.api_kit import Api, api, code_of

PDF = b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"
ABOUT = {
    "id": "DOC-1",
    "person": {"nhs_number": "999 000 0018", "family": "Testperson", "given": "Ada", "birth_date": "1938-05-14"},
    "stay": {"visit_id": "V77", "admitted_at": "2026-11-20T09:00:00+00:00"},
    "document": {"id": "L-1", "title": "Discharge letter", "status": "final", "signed_by": "Dr Dee Doctor-Test"},
}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Api]:
    with api(tmp_path) as found:
        found.kit.exchange.store.write(lambda uow: add_sender(uow, "HTTP", HOSPITAL, "http", 0, "{}"))
        yield found
        found.kit.drain()
        assert found.kit.findings() == []


def submit(service: Api, status: int, client: str = "hospital", **more):  # type: ignore[no-untyped-def]
    return service.fhir("POST", "/submissions", client, status, **more)


def multipart(about: object = ABOUT, content: bytes = PDF, media_type: str = "application/pdf") -> dict[str, object]:
    text = about if isinstance(about, str | bytes) else json.dumps(about)
    return {"files": {"about": ("about.json", text, "application/json"), "document": ("letter.pdf", content, media_type)}}


def kept(service: Api) -> int:
    return service.kit.exchange.store.read(lambda uow: uow.count(Submission))


def test_messages_of_a_feed_go_the_whole_way(service: Api) -> None:
    person = people(service.kit.clock())[0]
    for raw in (admission(person, service.kit.clock.at), letter(person, service.kit.clock.at)):
        answer = submit(service, 202, content=raw, headers={"content-type": "x-application/hl7-v2+er7"})
        body = answer.json()
        assert body["digest"] == "sha256:" + hashlib.sha256(raw).hexdigest()
        assert answer.headers["location"].endswith(f"/submissions/{body['submission']}")
        assert submit(service, 202, content=raw).json() == body
    service.kit.drain()
    service.kit.exchange.confirm_site(person.visit, HOME, service.kit.worker)
    service.kit.drain()
    assert service.kit.exchange.store.read(lambda uow: uow.count(Version)) == 1


def test_a_pdf_with_its_json_part_reaches_the_home_byte_for_byte(service: Api) -> None:
    first = submit(service, 202, **multipart()).json()
    assert submit(service, 202, **multipart()).json() == first
    service.kit.drain()
    service.kit.exchange.confirm_site("V77", HOME, service.kit.worker)
    service.kit.drain()
    listed = service.fhir("GET", "/fhir/DocumentReference").json()["entry"][0]["resource"]
    urls = [content["attachment"]["url"] for content in listed["content"]]
    assert len(urls) == 2
    answer = service.http.get(urls[1], headers=service.token("home"))
    assert answer.content == PDF
    assert answer.headers["content-type"] == "application/pdf"
    document = service.fhir("GET", urls[0]).json()
    patient = next(e["resource"] for e in document["entry"] if e["resource"]["resourceType"] == "Patient")
    assert patient["identifier"][0]["value"] == "9990000018"
    stays = service.kit.exchange.store.read(lambda uow: uow.count(Stay))
    assert (stays, kept(service)) == (1, 1)


def test_a_pdf_with_a_script_travels_and_the_home_is_told(service: Api) -> None:
    submit(service, 202, **multipart(content=PDF + b"<< /S /JavaScript /JS (x) >>\n"))
    service.kit.drain()
    transfer = service.kit.exchange.confirm_site("V77", HOME, service.kit.worker).id
    service.kit.drain()
    cookie = service.http.post(service.link(service.kit.carer)).headers["set-cookie"].split(";")[0]
    page = service.http.get(f"/home/{transfer}", headers={"cookie": cookie}).text
    listed = service.fhir("GET", "/fhir/DocumentReference").json()["entry"][0]["resource"]
    document = service.fhir("GET", listed["content"][0]["attachment"]["url"]).text
    for place in (page, document):
        assert "This file holds a script." in place


def test_the_same_number_with_other_bytes_is_kept_and_flagged(service: Api) -> None:
    one = submit(service, 202, **multipart()).json()
    two = submit(service, 202, **multipart(content=PDF + b"%\n")).json()
    assert one["submission"] != two["submission"]
    service.kit.drain()
    kinds = service.kit.exchange.store.read(lambda uow: [str(hold.kind) for hold in uow.find(Hold)])
    assert "reused_id" in kinds


def test_a_pdf_alone_is_kept_for_a_person(service: Api) -> None:
    submit(service, 202, content=PDF, headers={"content-type": "application/pdf"})
    service.kit.drain()
    (hold,) = service.kit.exchange.list_holds(HOSPITAL)
    assert (str(hold.kind), hold.code) == ("unreadable", "pdf_alone")
    assert service.kit.exchange.store.read(lambda uow: uow.count(Part)) == 0


BAD_ABOUT: dict[str, tuple[object, str]] = {
    "not JSON": ("{", "json_refused"),
    "a name twice": ('{"id": "1", "id": "2"}', "json_refused"),
    "not UTF-8": (b'{"id": "\xff"}', "json_refused"),
    "a lone surrogate": ('{"id": "\\ud800"}', "json_refused"),
    "deep": ("[" * 5000, "json_refused"),
    "a list": ([], "about_invalid"),
    "nothing said": ({}, "about_invalid"),
    "unknown member": ({**ABOUT, "note": "x"}, "about_invalid"),
    "a day that does not exist": ({**ABOUT, "person": {**ABOUT["person"], "birth_date": "1938-02-30"}}, "about_invalid"),  # type: ignore[dict-item]
}


@pytest.mark.parametrize("name", BAD_ABOUT)
def test_a_bad_json_part_is_refused_and_leaves_nothing(service: Api, name: str) -> None:
    about, code = BAD_ABOUT[name]
    answer = service.http.post("/submissions", headers=service.token("hospital"), **multipart(about))
    assert answer.status_code in (400, 422)
    assert code_of(answer) == code, answer.text
    assert "Testperson" not in answer.text
    assert kept(service) == 0


REFUSED: dict[str, tuple[dict[str, object], int, str]] = {
    "nothing": ({"content": b""}, 400, "empty_body"),
    "no format of ours": ({"content": b"<html/>"}, 422, "unknown_format"),
    "a damaged message": ({"content": b"MSH|^~\\&|A|B|C|D|20261127||ADT^A01|1|T|2.4\rPID|1||\x00\r"}, 422, "control_character"),
    "gzip": ({"content": gzip.compress(b"0" * 10_000_000), "headers": {"content-encoding": "gzip"}}, 415, "content_encoding"),
    "no JSON part": ({"files": {"document": ("letter.pdf", PDF, "application/pdf")}}, 400, "multipart"),
    "no file": ({"files": {"about": ("about.json", json.dumps(ABOUT), "application/json")}}, 400, "multipart"),
    "an empty file": (multipart(content=b""), 400, "empty_body"),
    "three files": ({"files": [("document", ("a", PDF)), ("document", ("b", PDF)), ("about", ("c", "{}"))]}, 400, "multipart"),
    "no boundary": ({"content": PDF, "headers": {"content-type": "multipart/form-data"}}, 400, "multipart"),
    "cut off": (
        {
            "content": b'--b\r\nContent-Disposition: form-data; name="about"\r\n\r\n{',
            "headers": {"content-type": "multipart/form-data; boundary=b"},
        },
        400,
        "multipart",
    ),
    "too large": ({"content": b"x" * (MAX_SUBMISSION_BYTES + 1)}, 413, "too_large"),
    "far too large": ({"content": b"x" * (MAX_REQUEST_BYTES + 1)}, 413, "too_large"),
    "another's feed": ({"content": PDF, "params": {"sender": "PAS"}}, 404, "sender"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_taken_is_refused_and_leaves_nothing(service: Api, name: str) -> None:
    more, status, code = REFUSED[name]
    answer = submit(service, status, **more)
    assert code_of(answer) == code, answer.text
    assert kept(service) == 0


def test_nobody_else_sends(service: Api) -> None:
    assert code_of(submit(service, 401, "", content=PDF)) == "token"
    assert code_of(submit(service, 403, "home", content=PDF)) == "scope"
    service.register("elsewhere", "RZZ02", "hospital")
    assert code_of(submit(service, 404, "elsewhere", content=PDF)) == "sender"
    assert kept(service) == 0


def test_several_feeds_have_to_be_named(service: Api) -> None:
    service.kit.exchange.store.write(lambda uow: add_sender(uow, "EPR", HOSPITAL, "http", 0, "{}"))
    assert code_of(submit(service, 422, content=PDF)) == "which_sender"
    submit(service, 202, content=PDF, params={"sender": "EPR"})


def test_the_same_parts_are_the_same_bytes() -> None:
    assert pack(b"{}", "Application/PDF; x=y", PDF) == b"wardpost-file-1 2 application/pdf\n{}" + PDF
    assert pack(b"{}", "a b\nc", b"x").startswith(b"wardpost-file-1 2 application/octet-stream\n")


def test_a_named_person_picks_the_home_by_the_hospitals_system(service: Api) -> None:
    submit(service, 202, **multipart())
    service.kit.drain()
    pick = {"stay": "V77", "site": HOME, "by": service.kit.worker}

    def confirm(status: int, client: str = "hospital", **changes: object):  # type: ignore[no-untyped-def]
        return service.fhir("POST", "/transfers/confirm", client, status, json={**pick, **changes})

    assert code_of(confirm(404, stay="V78")) == "stay"
    assert code_of(confirm(404, by=service.kit.carer[:-1] + "x")) == "person"
    assert code_of(confirm(422, site="VZZ09")) == "site_closed"
    assert code_of(confirm(422, by="")) == "confirm_invalid"
    assert code_of(confirm(403, "home")) == "scope"
    service.register("elsewhere", "RZZ02", "hospital")
    assert code_of(confirm(404, "elsewhere")) == "person"
    service.kit.drain()
    assert service.kit.exchange.store.read(lambda uow: uow.count(Part)) == 0
    answer = confirm(200)
    assert answer.json()["state"] == "confirmed"
    assert confirm(200).json()["transfer"] == answer.json()["transfer"]


def test_a_media_type_with_parameters_is_sealed_bare_and_read_by_its_character_set() -> None:
    """A manifest has no parameters; the part's label keeps them for whoever reads it."""
    words = "Café au lait, 37,5 °C"
    assert sealed_type('Text/HTML; charset="iso-8859-1"') == "text/html"
    assert sealed_type("nonsense") == sealed_type("x/y z") == "application/octet-stream"
    assert PartLabel("", "", 'text/plain; charset="iso-8859-1"').text_of(words.encode("latin-1")) == words
    assert PartLabel("", "", "text/plain; charset=klingon").text_of(words.encode()) == words
