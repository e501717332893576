"""Every page of the home in every state: whole, readable without colour or script, and inert whatever a hospital writes."""

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise

import pytest
from lxml import html

from exchange.fhir import codes
from exchange.fhir.draft import Entry
from exchange.fhir.stated import Contact
from exchange.web.home import Renderer, inbox_view, transfer_view
from exchange.web.home.render import STYLESHEET, inert
from tests import board_kit
from tests import page_kit as kit

PAGES = kit.pages()
RENDERER = Renderer()
HOSTILE = "<script>alert(1)</script> \"'><img src=x onerror=alert(2)> \u202e\u0007{{ 7*7 }} & é 😀"
SHOWN = HOSTILE.replace("\u202e", "[U+202E]").replace("\u0007", "\u2407")


def page(document: Mapping[str, object] | None = None, result: dict[str, object] | None = None, **changes: object) -> bytes:
    facts = kit.facts(**changes)
    view = transfer_view(document, result or kit.gate(), facts, kit.NOW)
    return RENDERER.render("transfer.html", view=view, frame=facts.frame)


def words(page: bytes, *, folds: bool = True) -> str:
    """The text of a page as a reader meets it, spaces made single; without `folds` only what stands open."""
    tree = html.fromstring(page.decode())
    for fold in [] if folds else tree.xpath("//details"):
        fold.drop_tree()
    return " ".join(tree.text_content().split())


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole(name: str) -> None:
    tree = html.fromstring(PAGES[name].decode())
    assert len(tree.xpath("//h1")) == 1
    assert tree.xpath("//html/@lang") == ["en-GB"]
    assert tree.xpath("//title/text()")[0].endswith(" - Wardpost")
    marks = tree.xpath("//body//*[self::header or self::main or self::footer]")
    assert [mark.tag for mark in marks] == ["header", "main", "footer"]
    assert tree.xpath("//a[@class='nhsuk-skip-link']/@href") == ["#main"]
    assert tree.xpath("//section[@aria-label='Trial']")
    levels = [int(heading.tag[1]) for heading in tree.xpath("//h1|//h2|//h3|//h4")]
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels


@pytest.mark.parametrize("name", PAGES)
def test_every_field_has_a_label_and_every_id_is_one(name: str) -> None:
    tree = html.fromstring(PAGES[name].decode())
    ids = [str(found) for found in tree.xpath("//@id")]
    assert len(ids) == len(set(ids))
    labels = set(tree.xpath("//label/@for"))
    fields = tree.xpath("//input[not(@type='hidden')]|//select|//textarea")
    assert {field.get("id") for field in fields} <= labels
    for reference in tree.xpath("//@aria-labelledby|//@aria-describedby"):
        assert set(str(reference).split()) <= set(ids)
    for anchor in tree.xpath("//a/@href[starts-with(., '#')]"):
        assert str(anchor)[1:] in ids
    assert all(link.text_content().strip() for link in tree.xpath("//a|//button"))


@pytest.mark.parametrize("name", PAGES)
def test_nothing_that_a_strict_policy_refuses(name: str) -> None:
    tree = html.fromstring(PAGES[name].decode())
    assert not tree.xpath("//script|//style|//iframe|//object|//@style|//base")
    assert not [attribute for element in tree.iter() for attribute in element.attrib if str(attribute).startswith("on")]
    assert all(not str(target).startswith(("http", "//", "javascript")) for target in tree.xpath("//@href|//@src|//@action"))
    assert "NHS England" not in PAGES[name].decode()
    assert len(tree.xpath("//link[@rel='stylesheet']")) == 1


@pytest.mark.parametrize("name", PAGES)
def test_every_form_posts_with_its_token(name: str) -> None:
    for form in html.fromstring(PAGES[name].decode()).forms:
        assert form.method == "POST"
        assert form.action
        assert form.fields.get("csrf") or name == "link"
        assert form.xpath(".//button[@type='submit']")


def test_the_answer_forms_post_what_the_service_reads() -> None:
    forms = {form.fields.get("kind"): form for form in html.fromstring(PAGES["transfer"].decode()).forms if form.fields.get("kind")}
    assert {kind: set(form.fields.keys()) - {"csrf", "kind", "version"} for kind, form in forms.items()} == {
        "seen": set(),
        "can_take": {"when", "day", "time", "condition"},
        "cannot": {"reason", "note"},
        "ask": {"topic", "question"},
    }
    assert {form.action for form in forms.values()} == {"/home/transfers/6f3c2b1e/answer"}
    assert not html.fromstring(PAGES["transfer"].decode()).xpath("//form//input[@checked]")


def test_the_link_page_only_shows_one_button() -> None:
    render = RENDERER.render("link.html", frame=None, who="Priya Testworth", home="Sample Meadow", action="/link", until="03:00 today")
    tree = html.fromstring(render.decode())
    (form,) = tree.forms
    assert (form.method, form.action) == ("POST", "/link")
    assert len(tree.xpath("//button")) == 1


def leaves(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    match value:
        case dict():
            for name, item in value.items():
                yield from leaves(item, f"{path}.{name}")
        case list():
            for item in value:
                yield from leaves(item, path)
        case str():
            yield path, value


# What stands in a Bundle for machines: ids, references, systems, codes, instants (the page words them in London time), markup.
MACHINE = re.compile(
    r"\.(id|fullUrl|reference|system|url|profile|div|status|docStatus|timestamp|resourceType|use|mode|type\.coding\.code|resource\.gender)$"
    r"|\.meta\.|^\.type|^\.identifier|masterIdentifier|resource\.identifier\.value|relatesTo|category|clinicalStatus|verificationStatus"
    r"|\.coding\.(code|display)$|section\.code|resource\.date$|recordedDate|dateAsserted|effectiveDateTime|period\.|valueDateTime|birthDate"
    r"|valueString|attachment|resource\.title$|managingOrganization|section\.title$|flag\.text|additionalInstruction\.text|List\.note|emptyReason"
    r"|resource\.class\."
)

PREFIX = re.compile(f"^({'|'.join(('Was', 'Restart', *codes.CRITICAL.values()))}): ")  # words that the page says as a label


@pytest.mark.parametrize("changes", [{}, {"medicines": kit.many_medicines()}], ids=["edith", "25 medicines"])
def test_every_value_of_the_document_stands_open_on_the_page(changes: dict[str, object]) -> None:
    document = kit.bundle(**changes)
    shown = words(page(document), folds=False)
    missing = []
    for path, value in leaves(document):
        if not MACHINE.search(path):
            bare = PREFIX.sub("", " ".join(value.split()))
            if bare not in shown:
                missing.append((path, value))
    assert missing == []


def test_each_section_of_the_document_is_on_the_page_word_for_word() -> None:
    document = kit.bundle()
    shown = words(page(document))
    (composition,) = [entry["resource"] for entry in document["entry"] if entry["resource"]["resourceType"] == "Composition"]  # type: ignore[attr-defined, index]  # a known Bundle
    lost = []
    for section in composition["section"]:
        if section["code"]["coding"][0]["code"] == "contact-for-further-information":
            continue  # shown as the call box, in its own order
        cells = html.fromstring(section["text"]["div"]).xpath("//text()")
        lost += [str(cell) for cell in cells if " ".join(str(cell).split()) not in shown]
    assert lost == []


def test_times_and_codes_of_the_document_are_worded() -> None:
    shown = words(page(kit.bundle()))
    for said in (
        "Fri 27 Nov, 19:05",
        "Sat 28 Nov, 07:00",
        "Tue 24 Nov, time not known",
        "14 March 1942",
        "999 314 2077",
        "Penicillin: rash",
        "None known (asked Monday 23 November)",
        "01632 960146",
        "NOT in the bag. No plan yet.",
        "Must be on time",
        "The hospital says a DNACPR form exists.",
    ):
        assert said in shown


def test_medicines_stand_in_the_order_that_matters_at_two_in_the_morning() -> None:
    tree = html.fromstring(page(kit.bundle()).decode())
    titles = [" ".join(heading.text_content().split()) for heading in tree.xpath("//h2")]
    assert titles[:4] == ["3 things are missing", "Call now", "Alerts", "Medicines"]
    assert titles[-1] == "Your answer"
    groups = [heading.text_content() for heading in tree.xpath("//section[@id='medicines']/h3")]
    assert groups == [
        "Do not give: stopped",
        "Do not give for now: held",
        "New",
        "Changed",
        "The hospital did not say if this changed",
        "Unchanged",
    ]
    assert not tree.xpath("//details//h4|//details//dl[@class='alerts']")


def test_a_print_is_a_check_list_and_has_no_place_for_a_dose() -> None:
    """A second chart beside the home's own means double doses (practice.md 3): words and no grid."""
    (section,) = html.fromstring(page(kit.bundle()).decode()).xpath("//section[@id='medicines']")
    assert [note.text_content() for note in section.xpath("p[@class='print-only']")] == [
        "A check list, not a medicines chart. Do not record doses here."
    ]
    assert section.xpath(".//table|.//input|.//td") == []


def test_a_blank_never_looks_like_none() -> None:
    tree = html.fromstring(page(kit.bundle(allergies=())).decode())
    box = tree.xpath("//dl[@class='alerts']/div[dt='Allergy']")[0]
    assert box.xpath("./dd/b[@class='blank']/text()") == ["Not recorded"]
    assert "None" not in box.text_content()
    never = html.fromstring(PAGES["transfer-letter-only"].decode()).xpath(
        "//dl[@class='alerts']/div[dt='Allergy']/dd/i[@class='never']/text()"
    )
    assert never == ["This hospital does not send this"]
    told = html.fromstring(page(kit.bundle()).decode()).xpath("//dl[@class='alerts']/div[dt='Resuscitation']/dd")[0]
    assert "Original in the bag: Not recorded." in told.text_content()
    assert told.xpath(".//b[@class='blank']/text()") == ["Not recorded"]


def test_hostile_words_come_out_as_words_everywhere() -> None:
    patient = {**kit.content().patient, "name": [{"text": HOSTILE, "given": [HOSTILE]}]}
    document = kit.bundle(
        patient=patient,
        medicines=(
            kit.medicine("1", HOSTILE, HOSTILE, "changed", why=HOSTILE, notes=(f"Was: {HOSTILE}", HOSTILE), due=HOSTILE, plan=HOSTILE),
        ),
        allergies=(Entry("allergy", "1", {"code": {"text": HOSTILE}, "note": [{"text": HOSTILE}]}),),
        diagnoses=(Entry("diagnosis", "1", {"code": {"text": HOSTILE}}),),
        notes=(kit.note("clinical-summary", HOSTILE, HOSTILE),),
        contact=Contact(HOSTILE, HOSTILE, HOSTILE),
    )
    result = kit.gate()
    result["gaps"] = [{name: HOSTILE for name in ("rule", "what", "why", "owner", "due", "closes", "detail")}]
    letters = tuple(kit.LetterFacts(HOSTILE, HOSTILE, 1, "/l", text) for text in (HOSTILE, None))
    frame = kit.replace(kit.FRAME, who=HOSTILE, home=HOSTILE, role=HOSTILE, desk_phone=HOSTILE, desk_who=HOSTILE, csrf=HOSTILE)
    answer = kit.Given(kit.AnswerKind.ASK, HOSTILE, HOSTILE, kit.NOW, 1)
    tried = kit.Tried("ask", {"topic": HOSTILE, "question": HOSTILE}, (HOSTILE,), {"question": HOSTILE})
    made = page(document, result, frame=frame, letters=letters, answers=(answer,), tried=tried, override=HOSTILE, withdrawn_why=HOSTILE)
    row = kit.replace(
        kit.rows()[0], resident=kit.Resident(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE), missing=(HOSTILE,), answer=answer
    )
    view = inbox_view((row,), frame, kit.NOW)
    listed = RENDERER.render("inbox.html", view=view, frame=frame)
    for found in (made, listed):
        tree = html.fromstring(found.decode())
        assert not tree.xpath("//script|//img|//@onerror")
        assert "\u202e" not in found.decode()
        assert "\u0007" not in found.decode()
        assert "49" not in tree.xpath("//h1")[0].text_content()
    assert html.fromstring(made.decode()).xpath("//h1")[0].text_content() == SHOWN
    assert words(made).count(" ".join(SHOWN.split())) >= 20
    assert words(listed).count(" ".join(SHOWN.split())) >= 5
    (field,) = html.fromstring(made.decode()).xpath("//textarea[@name='question']")
    assert field.value.strip() == SHOWN


def test_the_letter_keeps_every_line_and_space() -> None:
    tree = html.fromstring(page(kit.bundle()).decode())
    assert tree.xpath("//div[@class='letter']")[0].text_content() == kit.LETTER_TEXT
    (link,) = tree.xpath("//a[@class='letter-link']")
    assert link.get("href") == "/home/letters/1"
    assert "PDF, 96 KB" in link.text_content()


def test_withdrawn_and_replaced_pages_take_no_answer_and_say_what_to_do() -> None:
    for name in ("transfer-withdrawn", "transfer-replaced"):
        tree = html.fromstring(PAGES[name].decode())
        assert not [form for form in tree.forms if form.fields.get("kind")]
        assert "Throw away any print" in words(PAGES[name])
    assert html.fromstring(PAGES["transfer-withdrawn"].decode()).xpath("//strong[contains(@class, 'badge--withdrawn')]")


def test_an_error_is_said_first_and_what_was_typed_is_kept() -> None:
    tree = html.fromstring(PAGES["transfer-error"].decode())
    assert tree.xpath("//title/text()")[0].startswith("Error: ")
    assert tree.xpath("//div[contains(@class, 'nhsuk-error-summary')]//a/@href") == ["#day"]
    (fold,) = tree.xpath("//details[@open]")
    assert "We can take Edith" in fold.text_content()
    assert fold.xpath(".//input[@type='radio'][@checked]/@value") == ["other"]
    assert fold.xpath(".//input[@type='checkbox'][@checked]/@value") == ["27-skin"]


def test_live_pages_have_no_trial_strip() -> None:
    live = kit.replace(kit.FRAME, is_trial=False)
    assert b"made up" not in page(kit.bundle(), frame=live)


def test_the_stylesheet_is_small_and_asks_nothing_of_others() -> None:
    sheet = STYLESHEET.read_text(encoding="utf-8")
    assert len(sheet) < 30_000
    assert "url(" not in sheet
    assert "@import" not in sheet
    assert "Frutiger" not in sheet
    for wanted in ("prefers-color-scheme: dark", "forced-colors: active", "@media print"):
        assert wanted in sheet
    used = set(re.findall(r"\.([a-z][\w-]*)", re.sub(r"/\*.*?\*/", "", sheet)))
    classes = {
        name
        for found in (*PAGES.values(), *board_kit.pages().values())
        for group in html.fromstring(found.decode()).xpath("//@class")
        for name in str(group).split()
    }
    assert not {name for name in used - classes if not name.startswith(("nhsuk-", "medicine--"))} - {
        "875rem",
        "8125rem",
        "never",
        "danger",
        "present",
    }


def test_pages_stay_small() -> None:
    assert max(map(len, PAGES.values())) < 100_000


def test_only_text_is_changed_and_only_where_it_hides() -> None:
    assert inert("a\tb\nc é 😀 \u200d") == "a\tb\nc é 😀 \u200d"
    assert inert("x\u202ey") == "x[U+202E]y"
    assert inert(5) == 5
