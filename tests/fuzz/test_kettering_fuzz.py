"""Any bytes give a Draft or Unreadable, in bounded time. Seeds: the corpus and its mutations; every crash found becomes a corpus case."""

import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.kettering import read, sniff, source_id
from adapters.kettering.html import to_lines
from exchange.fhir.draft import Draft, ReadingProfile, Unreadable
from tests.kettering_kit import kettering

SEEDS = [path.read_bytes() for path in sorted(Path(__file__).parents[1].glob("corpus/kettering-*/input.xml"))]
SPICE = [
    b"<!--", b"-->", b"<![CDATA[", b"]]>", b"<?x", b"?>", b"<!DOCTYPE ReportMsg SYSTEM 'x'>", b"&amp;", b"&#0;", b"&#128;",
    b"&x;", b"<s>", b"</td>",
    b"<TextBlock>",
    b"</TextBlock>", b"<TextBlock/>", b"<ClinicalCode/>", b"\x00", b"\x93", b"\xff", b"\xc3\xa9", b"'",
    b'"', b">", b"JVBERi0=", b"<x:y xmlns:x='z'/>",
    b"202602302460", b"99999999999999", b"xmlns='urn:x'", b"encoding='UTF-16'", b"{\\rtf", b"UEsDBA==",
]  # fmt: skip


def outcome(raw: bytes) -> Draft | str:
    """The draft, or the code of Unreadable. Anything else that is raised fails the test."""
    sniff(raw)
    source_id(raw)
    try:
        return read(raw, ReadingProfile())
    except Unreadable as problem:
        return problem.code


def mutated(seed: bytes, rng: random.Random) -> bytes:
    raw = bytearray(seed)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(raw) + 1)
        match rng.randrange(4):
            case 0:
                raw[at : at + rng.randrange(1, 40)] = b""
            case 1:
                raw[at:at] = rng.choice(SPICE)
            case 2 if at < len(raw):
                raw[at] = rng.randrange(256)
            case _:
                piece = raw[at : at + rng.randrange(1, 200)]
                raw[at:at] = piece
    return bytes(raw)


@pytest.mark.parametrize("seed", range(8))
def test_mutations_of_the_corpus(seed: int) -> None:
    rng = random.Random(seed)
    read_whole = 0
    for _ in range(400):
        draft = outcome(mutated(rng.choice(SEEDS), rng))
        if isinstance(draft, Draft):
            read_whole += 1
            positions = [item.position for item in draft.items]
            assert len(positions) == len(set(positions))
    assert read_whole > 5


@given(st.binary(max_size=400), st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes(raw: bytes, text: str) -> None:
    outcome(raw)
    outcome(b"<ReportMsg>" + raw + b"</ReportMsg>")
    to_lines(text)


BOMBS = {
    "attributes": b"<ReportMsg>" + b"<a " + b" ".join(b"a%d='x'" % n for n in range(60_000)) + b"/></ReportMsg>",
    "elements": b"<ReportMsg>" + b"<a>x</a>" * 200_000 + b"</ReportMsg>",
    "depth": b"<ReportMsg>" * 100_000,
    "text of 11 MB": kettering("x" * 11_000_000),
    "pdf of 8 MB": kettering(b"%PDF-" + b"x" * 8_000_000),
    "markup without end": kettering("<p>" + "<a " * 300_000),
    "quotes without end": kettering("<p>" + '<a ">" ' * 150_000),
    "open tags": kettering("<p>" + "<s>" * 150_000),
    "cells": kettering("<p>" + "<td>" * 150_000),
    "blocks": kettering("<p>" + "<p>x" * 150_000),
    "comments": b"<!-- x -->" * 100_000 + b"<ReportMsg/>",
    "almost comments": b"<!-" * 300_000,
    "entities": b"<!DOCTYPE ReportMsg SYSTEM 'x' [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]><ReportMsg>&b;</ReportMsg>",
    "an outside entity": b"<!DOCTYPE ReportMsg [<!ENTITY a SYSTEM 'file:///etc/hostname'>]><ReportMsg><MsgId>&a;</MsgId></ReportMsg>",
    "utf-16": kettering("<p>x</p>").decode().replace("UTF-8", "UTF-16").encode("utf-16"),
    "ebcdic": b"<?xml version='1.0' encoding='cp037'?><ReportMsg/>",
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_is_made_to_be_slow_is_not(name: str) -> None:
    began = time.process_time()
    outcome(BOMBS[name])
    assert time.process_time() - began < 10
    for refused in ("entities", "an outside entity", "depth", "text of 11 MB", "pdf of 8 MB", "elements", "attributes", "ebcdic"):
        if name == refused:
            assert isinstance(outcome(BOMBS[name]), str)
