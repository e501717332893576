"""The counters' second opinion on sections: whatever a narrative is made of, bytes and reader agree on which sections have words."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from adapters import cda, fhir
from exchange.fhir.draft import Draft, ReadingProfile
from tests import cda_kit, fhir_kit

WORDS = st.sampled_from(["", " ", "\n\t", "&#160;", "&#xA0;", "\u00a0", "x", "5 &lt; 6", "\u00e9", "0", "&amp;"])
ASIDE = st.sampled_from(["<!-- <text>words</text> -->", "<![CDATA[ ]]>", "<br/>", ""])
CDA_TEXT = st.recursive(
    WORDS | ASIDE | st.sampled_from(["<![CDATA[words]]>", '<content ID="a"/>']),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        inner.map("<paragraph>{}</paragraph>".format),
        inner.map("<list><item>{}</item></list>".format),
        inner.map('<list listType="ordered"><item>{}</item></list>'.format),
        inner.map("<table><thead><tr><th></th></tr></thead><tbody><tr><td>{}</td><td/></tr></tbody></table>".format),
        inner.map('<content revised="delete">{}</content>'.format),
    ),
    max_leaves=6,
)
XHTML = st.recursive(
    WORDS | st.sampled_from(["<!-- words -->", "<br/>", '<img src="#a" alt="words"/>', '<img src="#a"/>', '<img alt=" " src="#a"/>', ""]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        inner.map("<p>{}</p>".format),
        inner.map("<table><tr><th>{}</th><td></td></tr></table>".format),
        inner.map("<ul><li><b>{}</b></li></ul>".format),
    ),
    max_leaves=6,
)


def sections(draft: Draft) -> int:
    return sum(entry.role == "section" for entry in draft.entries)


@given(texts=st.lists(CDA_TEXT, min_size=1, max_size=4), is_nested=st.booleans())
def test_sections_of_cda(texts: list[str], is_nested: bool) -> None:
    made = [cda_kit.section("18776-5", "Plan", text) for text in texts]
    raw = cda_kit.document(*([cda_kit.section("", "Outer", texts[0], inner=tuple(made))] if is_nested else made)).encode()
    found = cda.read(raw, ReadingProfile())
    assert found.counts["sections"] == sections(found)


@given(divs=st.lists(XHTML, min_size=1, max_size=4), is_nested=st.booleans(), is_xml=st.booleans())
def test_sections_of_fhir(divs: list[str], is_nested: bool, is_xml: bool) -> None:
    bundle = fhir_kit.document()
    made: list[dict[str, Any]] = [fhir_kit.section("plan-and-requested-actions", "Plan", "") for _ in divs]
    for one, div in zip(made, divs, strict=True):
        one["text"] = {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{div}</div>'}
    fhir_kit.resource(bundle, "head")["section"] += [{"title": "Outer", "section": made}] if is_nested else made
    raw = fhir_kit.as_xml(bundle) if is_xml else json.dumps(bundle).encode()
    found = fhir.read(raw, ReadingProfile())
    assert found.counts["sections"] == sections(found)


@given(div=st.lists(WORDS | st.sampled_from(["<p>", "</p>", "&nbsp;", "<br>", "<", ">", "<script>x</script>"]), max_size=6).map("".join))
def test_narratives_that_are_no_xhtml(div: str) -> None:
    bundle = fhir_kit.document()
    fhir_kit.resource(bundle, "head")["section"][0]["text"]["div"] = div
    found = fhir.read(json.dumps(bundle).encode(), ReadingProfile())
    assert found.counts["sections"] == sections(found)


def test_a_section_without_words_is_not_counted() -> None:
    found = cda.read(
        cda_kit.document(cda_kit.section("18776-5", "Plan", " "), cda_kit.section("18776-5", "Plan", "x")).encode(), ReadingProfile()
    )
    assert found.counts["sections"] == sections(found) == 1
