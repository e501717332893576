"""`wardpost senders check`: a profile tried on sample messages, without a database. Says what was understood and what the profile lacks.

Codes and counts alone: nothing of a person is shown, so that the report can be mailed.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from exchange.cli.conversion import gate_bytes
from exchange.directory.profiles import SenderProfile
from exchange.errors import WardpostError
from exchange.fhir.codes import NHS_NUMBER
from exchange.fhir.draft import Draft, LetterStatus, Outcome, SourceKind, Unreadable
from exchange.fhir.shape import parts
from exchange.transfer.assemble import ward_code
from exchange.transfer.match import identity_of
from exchange.wiring import AdapterReaders


@dataclass(slots=True)
class Check:
    """The report. `samples`: (file, what it is, what became of it, values carried, remarks); `advice`: sentences for the profile."""

    samples: list[tuple[str, str, str, str, str]] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)
    unreadable: int = 0


def check_samples(profile: SenderProfile, samples: list[Path]) -> Check:
    """Read each sample as the feed would be read."""
    found, kinds, wards, codes = Check(), Counter[SourceKind](), set[str](), set[str]()
    for path in samples:
        raw = path.read_bytes()
        try:
            draft = AdapterReaders().read(raw, profile.reading)
        except Unreadable as problem:
            found.unreadable += 1
            found.samples.append((path.name, "not readable", problem.code, "", problem.position))
            continue
        kinds[draft.kind] += 1
        wards |= {code for entry in draft.entries if entry.role == "ward" and (code := ward_code(entry))}
        codes |= {sign.value for sign in draft.signs if sign.kind == "destination_code"}
        lost = sum(item.outcome is Outcome.NOT_CARRIED for item in draft.items)
        carried = f"{len(draft.items) - lost} of {len(draft.items)}"
        found.samples.append(
            (path.name, f"{draft.format} {draft.event}", _became(draft), carried, "; ".join(_remarks(raw, draft, profile)))
        )
    found.advice += _advice(profile, kinds, wards, bool(samples))
    if codes:
        found.advice.append(f"Destination codes that open a possible leaver here: {', '.join(sorted(codes))}.")
    return found


def _became(draft: Draft) -> str:
    return f"not used: {draft.reason}" if draft.kind is SourceKind.NOT_USED else str(draft.kind).replace("_", " ")


def _remarks(raw: bytes, draft: Draft, profile: SenderProfile) -> list[str]:
    """What an integration engineer has to know of one sample."""
    if draft.kind is SourceKind.NOT_USED:
        return []
    said = identity_of(draft)
    has_status = any(one.get("extension") for one in parts(draft.patient, "identifier") if one.get("system") == NHS_NUMBER)
    remarks = [
        "no NHS number" if not said.nhs_number else "" if has_status else "NHS number without a status",
        "" if said.birth_date else "no date of birth",
        "" if draft.visit_id or draft.is_about_person else "no visit number",
        "marked as a test" if draft.is_test else "",
        f"points to a home by {', '.join(sorted({sign.kind for sign in draft.signs}))}" if draft.signs else "",
        f"leaves {'at a time' if 'T' in draft.expected_leaving else 'on a day'}" if draft.expected_leaving else "",
        f"{len(draft.letters)} letters, {sum(one.status is LetterStatus.FINAL for one in draft.letters)} final" if draft.letters else "",
    ]
    if draft.kind is SourceKind.LETTER:
        try:
            remarks.append(f"alone: {gate_bytes(raw, profile).badge}")
        except WardpostError as problem:
            remarks.append(f"no document: {problem.code}")
    return [remark for remark in remarks if remark]


def _advice(profile: SenderProfile, kinds: Counter[SourceKind], wards: set[str], has_samples: bool) -> list[str]:
    unknown = sorted(wards - set(profile.wards))
    lacking = [name for name in ("discharge_contact", "site_manager", "pharmacy") if getattr(profile, name) is None]
    found = [f"No contact for ward {', '.join(unknown)}: add it under wards, or its homes have no number to call."] if unknown else []
    found += [f"No {name.replace('_', ' ')}: a home has nobody to call when the ward does not answer." for name in lacking]
    if has_samples and not kinds[SourceKind.LETTER]:
        found.append("No sample is a signed letter: nothing of this feed alone would ever leave.")
    if has_samples and profile.gate_profile == "structured" and not (kinds[SourceKind.LIST] or kinds[SourceKind.LETTER]):
        found.append("gate_profile is structured and no sample brings a list of medicines.")
    return found
