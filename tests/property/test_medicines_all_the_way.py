"""A list of medicines by each way in: every row in the polled Bundle, in its narrative, on the page and on its print, to the character."""

import csv
import io
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import lxml.html
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.fhir.narrative import visible
from tests import cda_kit, fhir_kit
from tests.app_kit import HOME
from tests.e2e.api_kit import Api, api
from tests.kettering_kit import kettering

# What every one of these formats can hold on one line; doses as people write them, and worse.
WORDS = st.text(
    st.one_of(st.sampled_from("½µ°–<>&\"'|^~\\;,/%() 0123456789"), st.characters(codec="utf-8", categories=["L", "N", "P", "S"])),
    min_size=1,
    max_size=25,
).filter(lambda text: text == " ".join(text.split()) and text != '""')
DOSES = st.one_of(
    WORDS, st.sampled_from(["0.10 mg", ".5 ml", "1.50 g", "1,000 units", "½ tablet (7.5 mg)", "007", "1e3 mg", "<1", "1-2 puffs"])
)
LISTS = st.lists(st.tuples(WORDS, DOSES), min_size=1, max_size=60)
Rows = list[tuple[str, str]]
_HL7 = {"|": "\\F\\", "^": "\\S\\", "~": "\\R\\", "&": "\\T\\", "\\": "\\E\\"}
_VISITS = itertools.count(1)


def nhs_number(count: int) -> str:
    """The count-th valid number of the test range 999."""
    checked = (
        (body, 11 - sum((10 - at) * int(digit) for at, digit in enumerate(body)) % 11) for body in map("999{:06}".format, itertools.count())
    )
    valid = (f"{body}{check % 11}" for body, check in checked if check != 10)
    return next(itertools.islice(valid, count, None))


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def hl7(event: str, visit: str, *segments: str) -> bytes:
    head = f"MSH|^~\\&|PAS|RZZ01|W|RZZ01|20261127150000||{event}|{visit}-{event[:3]}|T|2.4|||||GBR|UNICODE UTF-8"
    person = "PID|1||9990000018^^^NHS^NH||Testperson^Ada||19380514|F"
    stay = f"PV1|1|I|W6^^^RZZ01||||||||||||||||{visit}|||||||||||||||||54|||||||20261120090000"
    return "\r".join([head, person, stay, *segments]).encode()


def letter(visit: str) -> bytes:
    return hl7("MDM^T02", visit, f"TXA|1|DS|TX|20261127150000|||||Doctor-Test^Dee|||L{visit}|||||AU", "OBX|1|TX|1^L||See the list||||||F")


def fhir_json(visit: str, rows: Rows) -> list[bytes]:
    made = fhir_kit.as_json(fhir_kit.document([fhir_kit.medicine(*row) for row in rows]))
    return [made.replace(b"V0001", visit.encode()).replace(b"0e6f9a52", f"{int(visit[1:]):08x}".encode())]


def fhir_xml(visit: str, rows: Rows) -> list[bytes]:
    return [fhir_kit.as_xml(json.loads(fhir_json(visit, rows)[0]))]


def cda(visit: str, rows: Rows) -> list[bytes]:
    text = "".join(f'<paragraph ID="m{n}">{escaped(dose)}</paragraph>' for n, (_, dose) in enumerate(rows))
    drugs = [cda_kit.drug(escaped(name), "39732311000001104", more=cda_kit.directions(f"#m{n}")) for n, (name, _) in enumerate(rows)]
    made = cda_kit.document(cda_kit.medicines(*drugs, text=text), legal=cda_kit.SIGNED)
    return [made.replace("V0001", visit).replace("6B1F3C52", f"{int(visit[1:]):08X}").encode()]


def table(visit: str, rows: Rows) -> list[bytes]:
    columns = ("list_id", "nhs_number", "birth_date", "visit_number", "checked_by", "checked_at", "medicine", "directions", "status")
    shared = (visit, "9990000018", "1938-05-14", visit, "Priya Pharmacist-Test", "2026-11-27T15:10")
    out = io.StringIO()
    csv.writer(out).writerows([columns, *((*shared, *row, "") for row in rows)])
    return [out.getvalue().encode(), letter(visit)]


def discharge_orders(visit: str, rows: Rows) -> list[bytes]:
    segments = []
    for number, (name, dose) in enumerate(rows):
        drug, words = ("".join(_HL7.get(c, c) for c in text) for text in (name, dose))
        segments += [f"ORC|NW|{visit}-{number}||||||||||||||TTO", f"RXO|^{drug}||||||^{words}"]
    return [hl7("ORM^O01", visit, *segments), letter(visit)]


def kettering_letter(visit: str, rows: Rows) -> list[bytes]:
    body = "".join(f"<tr><td>{escaped(name)}</td><td>{escaped(dose)}</td></tr>" for name, dose in rows)
    page = f"<html><body><table>{body}</table></body></html>"
    return [kettering(page, message=f"K{visit}", report=f"R{visit}", event="20261120", issued="202611271500", born="19380514")]


WAYS: dict[str, Callable[[str, Rows], list[bytes]]] = {
    way.__name__: way for way in (fhir_json, fhir_xml, cda, table, discharge_orders, kettering_letter)
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Api, dict[str, str]]]:
    folder: Path = tmp_path_factory.mktemp("ways")
    with api(folder, profile=json.dumps({"reading": {"discharge_orders": ["TTO"]}})) as found:
        answer = found.http.post(found.link(found.kit.carer))
        found.http.cookies.clear()
        yield found, {"cookie": answer.headers["set-cookie"].split(";")[0]}


def words_of(page: str, *, printed: bool) -> str:
    """The text of a page, or of its print: what a style sheet hides on paper is taken out."""
    tree = lxml.html.fromstring(page)
    for hidden in tree.xpath("//script|//style" + ("|//*[contains(concat(' ', @class, ' '), ' no-print ')]" if printed else "")):
        hidden.drop_tree()
    return "\n".join(tree.itertext())


@pytest.mark.parametrize("way", WAYS)
@given(rows=LISTS)
@settings(max_examples=6, deadline=None)
def test_every_row_comes_through(service: tuple[Api, dict[str, str]], way: str, rows: Rows) -> None:
    found, cookie = service
    visit, kit = f"V{next(_VISITS)}", found.kit
    for raw in (hl7("ADT^A01", visit), *WAYS[way](visit, rows)):
        # Each example is a person: a Kettering file names no visit, and finds the one stay of its person.
        mine = raw.replace(b"9990000018", nhs_number(int(visit[1:])).encode())
        kit.exchange.accept(kit.sender, mine, "http", "application/octet-stream").result()
    kit.drain()
    transfer = kit.exchange.confirm_site(visit, HOME, kit.worker).id
    kit.drain()
    token = found.token("home")
    papers = found.http.get("/fhir/DocumentReference?_count=200", headers=token).json()["entry"]
    paper = next(e["resource"] for e in papers if transfer in e["resource"]["identifier"][0]["value"])
    document = found.http.get(paper["content"][0]["attachment"]["url"], headers=token).json()
    resources = [entry["resource"] for entry in document["entry"]]
    narrative = "\n".join("\n".join(lxml.html.fromstring(s["text"]["div"]).itertext()) for s in resources[0]["section"])
    page = found.http.get(f"/home/{transfer}", headers=cookie)
    assert page.status_code == 200
    if way != "kettering_letter":  # a letter: its lines are words, never a list
        listed = [r for r in resources if r["resourceType"] == "MedicationStatement"]
        drugs = [r["medicationCodeableConcept"] for r in listed]
        names = [drug.get("text") or drug["coding"][0]["display"] for drug in drugs]
        assert Counter(zip(names, (r["dosage"][0]["text"] for r in listed), strict=True)) == Counter(rows)
    for place in (narrative, words_of(page.text, printed=False), words_of(page.text, printed=True)):
        flat = " ".join(place.split())
        lost = [words for row in rows for words in row if " ".join(visible(words).split()) not in flat]
        assert not lost
