"""Audit leaf v1 and the Merkle hashes (envelope.md 4)."""

import hashlib
import os
from dataclasses import replace

import pytest

from exchange.audit.leaf import Leaf, LeafRefused, commit, leaf_hash, merkle_root, node_hash

TYPES = frozenset({"version.published", "delivery.collected"})
HASHES = [
    "93f12262fc035df9a414f289df569a39c5b698ce30a5ba499be829cd81d8e438",
    "7a356b8b709d7ecaefcfebba56ca692caefe1f4b8b68f730793f4f69f4fa5812",
    "7e479d565e440b0abe472bbb0194728a4dd254841131d2d41ac0e9b9b8fcc533",
    "06491d12d5fe95796bf02d3c95e083e6526c928d39510c48ba07b64c62e2618f",
    "f5e9ba8df847ddc8572569a7a0a49b78fc79a292f33cd950a55b5f4970c3d9a2",
]
ROOTS = [
    HASHES[0],
    "17f131d084799b02c4b6ce54359cb030681e149106c1216e93d360d3bc0cc266",
    "384cd1f469b8da0c4b7df19b85502f711c6d4484b24dbe3f6f0b5cb53da82e37",
    "f95d004007155b4c7a60fa06445805d5d3c36cbf7e529652ad2c825383b10b69",
    "76b9df0fe11e19a7310ab1c2b166edf57acdefd412cc88015389ab497bc774b0",
]


def published(i: int) -> Leaf:
    return Leaf(
        id=f"00000000-0000-4000-8000-00000000000{i}",
        at_milliseconds=1764050000000 + i,
        org="RZZ01",
        type="version.published",
        outcome="0",
        entity="6f1d1c1e-7c1b-4f0e-9a52-0d6a0c0b8a11",
        commitment=commit(bytes([i]) * 32, b'{"n":%d}' % i),
    )


def test_published_leaves():
    assert published(1).commitment == "7de8788e23aa24717ceec9aace00c66e92ea8b920891d0f1014047d296074d9d"
    for i in range(1, 6):
        leaf = published(i).to_bytes(TYPES)
        assert len(leaf) == 243
        assert leaf_hash(leaf).hex() == HASHES[i - 1]


def test_published_roots():
    hashes = [bytes.fromhex(text) for text in HASHES]
    assert [merkle_root(hashes[:n]).hex() for n in range(1, 6)] == ROOTS
    assert node_hash(node_hash(hashes[0], hashes[1]), hashes[2]).hex() == ROOTS[2]
    assert merkle_root([]) == hashlib.sha256(b"").digest()


def test_root_against_a_second_way_of_counting():
    # Bottom up: pair neighbours, carry an odd one. The same tree as RFC 9162's split from above.
    for n in range(1, 200):
        hashes = [leaf_hash(b"%d" % i) for i in range(n)]
        row = hashes
        while len(row) > 1:
            pairs = [node_hash(row[i], row[i + 1]) for i in range(0, len(row) - 1, 2)]
            row = pairs + row[len(row) - len(row) % 2 :]
        assert merkle_root(hashes) == row[0]


def test_an_event_without_an_entity_says_null():
    assert b'"entity":null,' in replace(published(1), entity=None).to_bytes(TYPES)


@pytest.mark.parametrize(
    ("change", "member"),
    [
        ({"id": "x"}, "id"),
        ({"id": published(1).id.upper().replace("0", "A")}, "id"),
        ({"at_milliseconds": -1}, "t"),
        ({"at_milliseconds": 1.5}, "t"),
        ({"at_milliseconds": True}, "t"),
        ({"at_milliseconds": 10**18}, "t"),
        ({"org": "rzz01"}, "org"),
        ({"org": "RZZ01\n"}, "org"),
        ({"type": "version.unheard"}, "type"),
        ({"type": "published"}, "type"),
        ({"outcome": "1"}, "outcome"),
        ({"entity": "Mr Smith"}, "entity"),
        ({"commitment": "0" * 63}, "c"),
    ],
)
def test_what_is_no_leaf_is_refused_by_member(change, member):
    with pytest.raises(LeafRefused) as refused:
        replace(published(1), **change).to_bytes(TYPES)
    assert refused.value.code == "bad_leaf"
    assert f" {member} " in refused.value.message
    assert "Smith" not in str(refused.value)


@pytest.mark.parametrize(
    "type_", ["Version.Published", "version.published.twice", ".published", "version.", "version published", "v1.done"]
)
def test_a_type_is_noun_and_verb_even_when_listed(type_):
    with pytest.raises(LeafRefused):
        replace(published(1), type=type_).to_bytes({type_})


def test_a_leaf_is_at_most_1024_bytes():
    long = "x" * 1000 + ".done"
    with pytest.raises(LeafRefused):
        replace(published(1), type=long).to_bytes({long})


def test_commitment_needs_its_whole_salt():
    with pytest.raises(ValueError):
        commit(b"short", b"{}")
    assert commit(os.urandom(32), b"{}") != commit(os.urandom(32), b"{}")
