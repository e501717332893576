"""No changed envelope opens, and none crashes the opener (envelope.md 1.5 and 8).

Three makers of wrong envelopes: bytes changed by region of the file, pieces of two good envelopes mixed, and JSON rebuilt by
structure (a member dropped, doubled, moved, retyped) with the whole signed anew by the true key, so that the checks behind
the signature are reached. A changed file counts as accepted when it opens at all. WARDPOST_MUTATIONS sets the number per
test for a campaign, WARDPOST_SEED the seed.
"""

import copy
import hashlib
import json
import os
import random
import re
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from exchange.seal import keys
from exchange.seal.envelope import read_file
from tests import seal_kit as kit

COUNT = int(os.environ.get("WARDPOST_MUTATIONS", "3000"))
SEED = int(os.environ.get("WARDPOST_SEED", "1"))

Json = dict[str, "Json"] | list["Json"] | str | int | bool | None
SITE, SENDER = kit.Situation(), kit.Situation(me="RZZ01", role="sender")
RETYPED: list[Json] = [None, True, 0, 1, -1, 2**53, 10**40, "", "A", "\n", "\ud800", "é", [], [[]], {}, {"v": 1}]


def nothing_opens(data: bytes, reader: kit.Situation) -> bool:
    return False


def hunt(
    make: Callable[[random.Random], bytes | None],
    salt: int,
    *,
    must_reach: set[str],
    may_open: Callable[[bytes, kit.Situation], bool] = nothing_opens,
) -> Counter[str]:
    """Try COUNT changed files. Every one is refused by its code; a crash comes through as itself."""
    draw = random.Random(SEED * 1000 + salt)
    codes: Counter[str] = Counter()
    for number in range(COUNT):
        data = make(draw)
        if data is None:  # the change changed nothing
            continue
        reader = SITE if number % 2 else SENDER
        code = kit.verdict(data, reader)
        assert code != "opened" or may_open(data, reader), f"accepted: seed {SEED}, maker {salt}, number {number}"
        codes[code] += 1
    assert must_reach <= codes.keys(), codes
    assert sum(codes.values()) > COUNT * 0.9
    return codes


@pytest.fixture(scope="module")
def good() -> bytes:
    data = kit.make_file()
    assert kit.verdict(data, SITE) == kit.verdict(data, SENDER) == "opened"
    return data


# --- bytes, by region ---------------------------------------------------------------------------------------------------


Region = tuple[int, int]


def regions(data: bytes) -> list[list[Region]]:
    """Where things begin and end, line by line: the line itself, the JWS's segments, a JWE's names and values."""
    lines, start = [], 0
    for line in data.split(b"\n")[:-1]:
        found = [(start, start + len(line) + 1)]
        edge = start
        for piece in line.split(b'"' if line.startswith(b"{") else b"."):
            found.append((edge, edge + len(piece) + 1))
            edge += len(piece) + 1
        lines.append(found)
        start += len(line) + 1
    return lines


def change_bytes(data: bytes, lines: list[list[Region]], draw: random.Random) -> bytes | None:
    start, end = draw.choice(draw.choice(lines))
    at = draw.randrange(start, end)
    until = min(end, at + draw.choice([1, 1, 2, 4, 16, 200]))
    match draw.randrange(8):
        case 0:
            new = data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :]
        case 1:
            new = data[:at] + draw.randbytes(until - at) + data[until:]
        case 2:
            new = data[:at] + data[until:]
        case 3:
            new = data[:at] + draw.choice([b"\n", b" ", b"\0", b"=", b".", b'"', b"A", b"\r", b"{}", b"\xff"]) + data[at:]
        case 4:
            new = data[:until] + data[at:until] + data[until:]
        case 5:
            new = data[:at]
        case 6:
            a, b = draw.choice(draw.choice(lines))
            new = data[:at] + data[a:b] + data[until:]
        case _:
            # Another character of the alphabet, so that only the meaning changes.
            new = data[:at] + bytes([draw.choice(b"ABCDEFGHabcdefgh01234567-_")]) + data[at + 1 :]
    return None if new == data else new


def test_changed_bytes(good):
    lines = regions(good)
    reached = {"bad_format", "bad_header", "unknown_key", "bad_signature", "tampered"}
    hunt(lambda draw: change_bytes(good, lines, draw), 1, must_reach=reached)


# --- two envelopes mixed ------------------------------------------------------------------------------------------------


def test_mixed_envelopes(good):
    """Lines, segments and bytes from other good envelopes: of another transfer, another version, another sender, sealed again."""
    digest = hashlib.sha256(keys.decode_base64url(read_file(good)[0].split(".")[1]).split(b"\n")[0]).hexdigest()
    others = [
        kit.make_file(random_bytes=kit.counting_bytes(99)),
        kit.make_file(transfer="11111111-2222-4333-8444-555555555555"),
        kit.make_file(version=2, prev=digest),
        kit.make_file(from_ods="RZZ02", sender_signing=kit.OTHER_SIGN),
        kit.make_file(parts=[("application/pdf", kit.PDF), ("application/fhir+json", kit.BUNDLE)]),
    ]
    whole = {good, *others}

    def mix(draw: random.Random) -> bytes | None:
        one, two = draw.sample([good, *others], 2)
        a, b = one.split(b"\n")[:-1], two.split(b"\n")[:-1]
        match draw.randrange(6):
            case 0:  # a part in another's place
                a[draw.randrange(2, 4)] = b[draw.randrange(2, 4)]
            case 1:  # parts swapped
                a[2], a[3] = a[3], a[2]
            case 2:  # one segment of the JWS
                mine, theirs = a[1].split(b"."), b[1].split(b".")
                place = draw.randrange(3)
                mine[place] = theirs[place]
                a[1] = b".".join(mine)
            case 3:  # the JWS of one, all parts of the other
                a[2:] = b[2:]
            case 4:  # one member of a JWE
                mine_part, their_part = json.loads(a[2]), json.loads(b[2])
                name = draw.choice(list(mine_part))
                mine_part[name] = their_part[name]
                a[2] = kit.dump(mine_part)
            case _:  # crossover anywhere
                cut_a, cut_b = draw.randrange(len(one)), draw.randrange(len(two))
                return no_whole(one[:cut_a] + two[cut_b:])
        return no_whole(b"\n".join(a) + b"\n")

    def no_whole(data: bytes) -> bytes | None:
        return None if data in whole else data

    hunt(mix, 2, must_reach={"bad_format", "bad_signature", "tampered"})


# --- structure, signed with the true key --------------------------------------------------------------------------------


def places(value: Json, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every path in a JSON value, the root left out."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for step, child in inner for found in [(*path, step), *places(child, (*path, step))]]


def change_json(value: Json, draw: random.Random) -> None:
    path = draw.choice(places(value))
    target = value
    for step in path[:-1]:
        target = target[step]
    last = path[-1]
    match draw.randrange(6):
        case 0:
            del target[last]
        case 1:
            target[last] = copy.deepcopy(draw.choice(RETYPED))
        case 2 if isinstance(target, dict):
            target[draw.choice(["zip", "crit", "alg", "enc", "jwk", "unprotected", "apu", "d", "x5c", ""])] = copy.deepcopy(
                draw.choice(RETYPED)
            )
        case 3 if isinstance(target, dict):
            target[last] = target.pop(last)  # moved to the end
        case 3 | 2 if isinstance(target, list):
            target.append(copy.deepcopy(target[draw.randrange(len(target))]))
        case 4 if isinstance(target[last], str) and target[last]:
            text = target[last]
            at = draw.randrange(len(text))
            target[last] = text[:at] + draw.choice(["", "A", "a", "0", "=", "\n", "é"]) + text[at + draw.randrange(2) :]
        case _:
            current = target[last]
            other = draw.choice(places(value))
            source = value
            for step in other:
                source = source[step]
            target[last] = current + draw.choice([-1, 1]) if type(current) is int else copy.deepcopy(source)


def test_rebuilt_structure_signed_with_the_true_key():
    """The manifest, or the part, changed as JSON; digests and signature made right again."""
    plain = {kit.Forgery().build(), kit.deflated().build()}

    def rebuild(draw: random.Random) -> bytes | None:
        forgery = kit.deflated() if draw.randrange(2) else kit.Forgery()

        def edit(value: dict) -> None:
            for _ in range(draw.choice([1, 1, 1, 2, 3])):
                if places(value):
                    change_json(value, draw)

        built = replace(forgery, manifest=edit) if draw.randrange(3) == 0 else replace(forgery, part=edit)
        data = built.build()
        return None if data in plain else data

    hunt(
        rebuild,
        3,
        must_reach={"bad_format", "bad_header", "wrong_manifest", "bad_recipients", "cannot_open", "not_for_us", "content_mismatch"},
        may_open=is_honest,
    )


def is_honest(data: bytes, reader: kit.Situation) -> bool:
    """May this reader open this file? Yes when it is what an honest sender writes who names another time, transfer, version or
    media type, and, for the sender's own copy, another home or a broken entry for it: nobody but the other can notice that.
    """
    jws, (jwe,) = read_file(data)
    line = keys.decode_base64url(jws.split(".")[1]).split(b"\n")[0]
    m, part = json.loads(line), json.loads(jwe)
    meta = m["parts"][0]
    forgery = kit.Forgery() if meta["coding"] == "identity" else kit.deflated()
    salt, other = bytes(range(32)), 1 if reader.role == "site" else 0
    salted = hashlib.sha256(salt + forgery.content).hexdigest()
    honest = {
        **{"v": 1, "env": "trial", "transfer": m["transfer"], "version": m["version"], "prev": m["prev"], "at": m["at"]},
        **{"from": "RZZ01", "to": "VZZ01" if reader.role == "site" else m["to"]},
        **{"from_kid": kit.KID["sender"], "to_kid": kit.KID["site"]},
        "parts": [{"type": meta["type"], "coding": forgery.coding, "bytes": len(forgery.content), "sha256": salted}],
    }
    sound = (
        re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", m["transfer"])
        and re.fullmatch(r"[a-z]+/[a-z0-9.+-]{1,80}", meta["type"])
        and re.fullmatch(r"[A-Z0-9]{3,10}", m["to"])
        and 0 <= m["at"] <= reader.now + 300
        and (m["prev"] is None if m["version"] == 1 else re.fullmatch(r"[0-9a-f]{64}", m["prev"]) and 1 < m["version"] < 10_000)
    )
    expected = forgery.encrypt(hashlib.sha256(line).digest(), salt)
    theirs, wrong = expected["recipients"][other], part["recipients"][other]
    theirs["encrypted_key"] = wrong["encrypted_key"]
    theirs["header"]["epk"].update(x=wrong["header"]["epk"]["x"], y=wrong["header"]["epk"]["y"])
    return bool(sound) and kit.dump(honest) == line and kit.dump(expected) == jwe


def test_wrong_content_sealed_with_the_true_key():
    """Salt, coded content and their lengths changed inside the encryption; everything outside is right."""

    def build(draw: random.Random) -> bytes | None:
        good_coded = zlib.compress(kit.BUNDLE, 1)
        coded = bytearray(good_coded)
        match draw.randrange(6):
            case 0:
                at = draw.randrange(len(coded))
                coded[at] ^= 1 << draw.randrange(8)
            case 1:
                del coded[draw.randrange(len(coded)) :]
            case 2:
                coded += draw.randbytes(draw.randint(1, 9))
            case 3:
                coded[:] = zlib.compress(kit.BUNDLE + bytes(draw.randint(1, 100_000)), draw.randint(0, 9))
            case 4:
                coded[:] = zlib.compress(kit.BUNDLE[: draw.randrange(len(kit.BUNDLE))], draw.randint(0, 9))
            case _:
                coded[:] = good_coded + good_coded
        # A flag bit of the zlib header that the inflater does not heed gives the same content.
        return None if inflates_to_the_bundle(bytes(coded)) else kit.deflated(coded=bytes(coded)).build()

    hunt(build, 4, must_reach={"bad_coding", "content_mismatch"})


def inflates_to_the_bundle(coded: bytes) -> bool:
    stream = zlib.decompressobj()
    try:
        return stream.decompress(coded) == kit.BUNDLE and stream.eof and not stream.unused_data
    except zlib.error:
        return False


def test_the_lies_of_a_true_sender_for_both_readers():
    """The named lies of the vectors, read by the site and by the sender: none opens for either but what concerns the other."""
    for name, (code, forgery) in kit.LIES.items():
        data = forgery.build()
        assert kit.verdict(data, SITE) == code, name
        # What is wrong with the site's own entry, or its place, does not stop the sender's copy; all else does.
        seen_by_sender = kit.verdict(data, SENDER)
        if name in ("to-another", "to-another-key", "epk-off-curve", "key-changed"):
            assert seen_by_sender in ("opened", "bad_recipients"), name
        elif name == "from-another":
            assert seen_by_sender == "wrong_sender"
        else:
            assert seen_by_sender == code, name
