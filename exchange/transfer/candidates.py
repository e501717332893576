"""Which home? What the hospital's own messages and earlier picks point to, each with its reason. A person picks; nothing here routes.

Never by postcode alone, never by name alone (practice.md 1): such sites stand beside a candidate as look-alikes, and say so.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from exchange.directory.imports import postcode
from exchange.errors import Refused
from exchange.fhir.draft import Sign
from exchange.model import is_open
from exchange.ports import UnitOfWork
from exchange.records import Organisation, Stay, Transfer

# Words that so many homes have in their names that they tell nothing apart.
_COMMON = frozenset(("care", "home", "house", "nursing", "residential", "the", "and", "centre", "lodge", "court"))

# From each place in a text, so that none hides another.
_POSTCODE = re.compile(r"(?=([A-Z]{1,2}[0-9][A-Z0-9]?)[^A-Z0-9]*([0-9][A-Z]{2}))")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One home that may be meant. `is_backed`: the messages or an earlier pick name this very site; else it is a look-alike."""

    site: Organisation
    reasons: tuple[str, ...]
    is_backed: bool


@dataclass(frozen=True, slots=True)
class Pick:
    """What the picker says with the pick: the postcode from the person's papers, and who at the home said yes on the directory number."""

    postcode: str
    spoke_to: str = ""


def candidates(uow: UnitOfWork, stay: Stay, signs: Iterable[Sign], aliases: Mapping[str, str]) -> list[Candidate]:
    """The backed ones first, those with most reasons in front; then their look-alikes. Closed homes are shown and say so."""
    homes = uow.find(Organisation, order="name", kind="home")
    reasons: dict[str, dict[str, None]] = {}
    for sign in signs:
        if sign.kind == "local_home_code":
            if site := aliases.get(sign.value):
                reasons.setdefault(site, {})["This feed’s code for it is in a message"] = None
        elif sign.kind == "address":
            for home in homes:
                if names_address(sign.value, home):
                    reasons.setdefault(home.id, {})["The person’s address in a message: street and postcode"] = None
    for earlier in _earlier(uow, stay):
        reasons.setdefault(earlier.recipient_org or "", {})[f"Picked for this person on {earlier.confirmed_at:%d %B %Y}"] = None
    backed = [Candidate(home, tuple(reasons[home.id]), True) for home in homes if home.id in reasons]
    backed.sort(key=lambda one: -len(one.reasons))
    return [*backed, *_look_alikes(homes, [one.site for one in backed])]


def at_postcode(uow: UnitOfWork, text: str) -> list[Candidate]:
    """The homes at a postcode and their look-alikes elsewhere: none of them is backed by a search."""
    homes = uow.find(Organisation, order="name", kind="home")
    here = [home for home in homes if home.postcode and postcode(home.postcode) == postcode(text)]
    return [*(Candidate(home, ("At this postcode",), False) for home in here), *_look_alikes(homes, here)]


def postcodes_in(words: str) -> list[str]:
    """What could be a postcode in an address as sent, in its two usual forms, so that the directory is asked and not walked through."""
    found = {(outward, inward) for outward, inward in _POSTCODE.findall(words.upper())}
    return sorted(outward + between + inward for outward, inward in found for between in ("", " "))


def names_address(words: str, home: Organisation) -> bool:
    """Whether an address as sent holds the street and the postcode of a home."""
    is_there = bool(home.postcode and home.street) and "".join(_words(home.postcode)) in "".join(_words(words))
    # By whole words: 1 Old Lane is not 21 Old Lane.
    return is_there and f" {' '.join(_words(home.street))} " in f" {' '.join(_words(words))} "


def check_pick(uow: UnitOfWork, stay: Stay, site: Organisation, pick: Pick, found: list[Candidate]) -> bool:
    """Whether the pick can stand alone; False: it goes against the messages, the last pick or the home's own "not ours", and a second
    person is needed.

    Raises Refused `postcode_differs`, `call_back`.
    """
    if postcode(pick.postcode) != postcode(site.postcode):
        step = "Look at the person's papers again; homes of like names stand at different postcodes."
        raise Refused("postcode_differs", "The postcode that you typed is not this home's.", next_step=step)
    backed = [one.site.id for one in found if one.is_backed and is_open(one.site.opened_on, one.site.closed_on, uow.now.date())]
    was_here = any(earlier.recipient_org == site.id for earlier in _earlier(uow, stay))
    if not was_here and not pick.spoke_to.strip():
        step = "Call the home on its number in the directory and say who you spoke to."
        raise Refused("call_back", "Nobody here has sent this person to this home before.", next_step=step)
    is_refused = bool(uow.count(Transfer, stay_id=stay.id, recipient_org=site.id, withdrawn_reason="not_ours"))
    return not is_refused and (not backed or site.id in backed)


def _earlier(uow: UnitOfWork, stay: Stay) -> list[Transfer]:
    """Picks for the same person at this hospital, the newest first; this stay's own withdrawn ones, too."""
    stays = [stay.id]
    if stay.nhs_number is not None:
        stays += [one.id for one in uow.find(Stay, sender_org=stay.sender_org, nhs_number=stay.nhs_number) if one.id != stay.id]
    found = uow.find(Transfer, order="-confirmed_at", stay_id__in=stays, recipient_org__ne=None, confirmed_at__ne=None)
    return [row for row in found if row.withdrawn_reason not in ("redirected", "not_ours")]


def _look_alikes(homes: Iterable[Organisation], beside: list[Organisation]) -> list[Candidate]:
    """Homes that could be taken for one of these: at the same postcode, or with the same telling words in the name."""
    ids = {one.id for one in beside}
    postcodes = {postcode(one.postcode): one.name for one in beside if one.postcode}
    names = {key: one.name for one in beside if (key := _key(one.name))}
    found = []
    for home in homes:
        if home.id in ids:
            continue
        reasons = [f"Looks like {names[key]}: a like name"] if (key := _key(home.name)) in names else []
        reasons += [f"Same postcode as {name}"] if (name := postcodes.get(postcode(home.postcode))) else []
        if reasons:
            found.append(Candidate(home, tuple(reasons), False))
    return found


def _key(name: str) -> frozenset[str]:
    words = frozenset(_words(name))
    return words - _COMMON or words


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())
