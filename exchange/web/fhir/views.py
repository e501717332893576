"""What the mailbox looks like in FHIR: DocumentReference and Task of a delivery, the CapabilityStatement. Plain dicts."""

import json
from functools import cache
from importlib.resources import files

from exchange.fhir.codes import CONTENT_DIGEST, NHS_NUMBER
from exchange.intake.accept import instant
from exchange.mailbox.collect import InboxItem
from exchange.model import AnswerKind, DeliveryState
from exchange.records import Answer, Organisation, Part
from exchange.transfer.match import PartLabel

_URN = "urn:ietf:rfc:3986"
_ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
_OURS = "https://fhir.wardpost.example/CodeSystem/"
FHIR_JSON = "application/fhir+json"
# Task.status and businessStatus of each answer: docs/data-model.md, "Task and Answer".
TASK: dict[AnswerKind, tuple[str, str]] = {
    AnswerKind.SEEN: ("in-progress", "seen"),
    AnswerKind.CAN_TAKE: ("accepted", "can-take"),
    AnswerKind.CANNOT: ("rejected", "cannot"),
    AnswerKind.AGREED: ("completed", "admission-agreed"),
    AnswerKind.ASK: ("on-hold", "question"),
    AnswerKind.OURS: ("in-progress", "ours"),
}


def document_reference(item: InboxItem, base: str) -> dict[str, object]:
    """The DocumentReference of one delivery: content[0] the Bundle (when there is one), then each letter, each with its URL."""
    delivery, version = item.delivery, item.version
    subject: dict[str, object] = {"display": f"{item.person.given} {item.person.family}".strip()}
    if item.person.nhs_number:
        subject["identifier"] = {"system": NHS_NUMBER, "value": item.person.nhs_number}
    attachments = [_attachment(part, label, base) for part, label in zip(item.parts, item.labels, strict=True)]
    status = {DeliveryState.CURRENT: "current", DeliveryState.REPLACED: "superseded", DeliveryState.WITHDRAWN: "entered-in-error"}
    return {
        "resourceType": "DocumentReference",
        "id": delivery.id,
        "meta": {"versionId": str(delivery.change), "lastUpdated": instant(delivery.updated_at)},
        "masterIdentifier": {"system": _URN, "value": f"urn:uuid:{version.id}"},
        "identifier": [{"system": _URN, "value": f"urn:uuid:{version.transfer_id}"}],
        "status": status[delivery.state],
        "type": {"coding": [{"system": "http://snomed.info/sct", "code": "373942005", "display": "Discharge summary"}]},
        "category": [{"coding": [{"system": _OURS + "badge", "code": _badge_code(version.badge), "display": version.badge}]}],
        "subject": subject,
        "date": instant(version.published_at),
        "author": [{"identifier": {"system": _ODS, "value": version.sender_org}}],
        "description": f"Version {version.number}: {version.badge}",
        "content": [{"attachment": one} for one in attachments or [{"title": "Opens when the home says that this is its resident"}]],
    }


def _badge_code(badge: str) -> str:
    return {"papers complete": "complete", "letter only": "letter-only"}.get(badge, "missing")


def _attachment(part: Part, label: PartLabel, base: str) -> dict[str, object]:
    kind = "Bundle" if part.media_type == FHIR_JSON else "Binary"
    return {
        # Attachment.hash is SHA-1 in R4: not good enough to rely on.
        "extension": [{"url": CONTENT_DIGEST, "valueString": label.digest}],
        "contentType": label.media_type,
        "url": f"{base}/fhir/{kind}/{part.id}",
        "size": part.size_bytes,
        "title": label.title,
    }


def answers_to(item: InboxItem) -> list[Answer]:
    """The answers to this very version, oldest first."""
    return [answer for answer in item.answers if answer.delivery_id == item.delivery.id]


def task(item: InboxItem, base: str) -> dict[str, object]:
    """The Task of one delivery: a view of its newest answer. Its id is the delivery's."""
    delivery = item.delivery
    given = answers_to(item)
    newest = given[-1] if given else None
    content = json.loads(newest.content.open()) if newest else {}
    if delivery.state is not DeliveryState.CURRENT:
        status, business = "cancelled", str(delivery.state)
    elif newest is not None:
        status, business = TASK[newest.kind]
    else:
        status, business = ("received", "collected") if delivery.collected_at else ("requested", "delivered")
    body: dict[str, object] = {
        "resourceType": "Task",
        "id": delivery.id,
        "meta": {"versionId": etag_value(item), "lastUpdated": instant(newest.answered_at if newest else delivery.updated_at)},
        "status": status,
        "businessStatus": {"coding": [{"system": _OURS + "answer", "code": business}]},
        "intent": "order",
        "code": {"coding": [{"system": _OURS + "task", "code": "read-and-answer", "display": "Read these papers and answer"}]},
        "focus": {"reference": f"{base}/fhir/DocumentReference/{delivery.id}"},
        "authoredOn": instant(delivery.delivered_at),
        "requester": {"identifier": {"system": _ODS, "value": delivery.sender_org}},
        "owner": {"identifier": {"system": _ODS, "value": delivery.recipient_org}},
    }
    conditions, note = content.get("conditions", []), content.get("note")
    if conditions:
        # A reader that knows no outputs must not take a yes with conditions for a plain one.
        body["statusReason"] = {"text": "Only if put right first: " + "; ".join(conditions)}
        kind = {"coding": [{"system": _OURS + "task", "code": "condition", "display": "Only if put right first"}]}
        body["output"] = [{"type": kind, "valueString": words} for words in conditions]
    if newest is not None and newest.reason_code:
        coding = {"coding": [{"system": _OURS + "answer-reason", "code": newest.reason_code}]}
        words = {"text": note} if note and not conditions else {}
        body["statusReason"] = {**coding, **words, **body.get("statusReason", {})}  # type: ignore[dict-item]  # made above
    if note and not (newest and newest.reason_code and not conditions):
        body["note"] = [{"text": note}]
    if content.get("at"):
        body["restriction"] = {"period": {"start": content["at"]}}
    return body


def etag_value(item: InboxItem) -> str:
    """Changes with every answer and with every change of the delivery."""
    return f"{item.delivery.change}-{len(answers_to(item))}"


def searchset(entries: list[dict[str, object]], base: str, own: str, next_url: str) -> dict[str, object]:
    """A Bundle of type searchset with its paging links."""
    links = [{"relation": "self", "url": own}] + ([{"relation": "next", "url": next_url}] if next_url else [])
    found = [{"fullUrl": f"{base}/fhir/{e['resourceType']}/{e['id']}", "resource": e, "search": {"mode": "match"}} for e in entries]
    bundle: dict[str, object] = {"resourceType": "Bundle", "type": "searchset", "link": links}
    return bundle | {"entry": found} if found else bundle | {"total": 0}


def organization(row: Organisation, is_active: bool) -> dict[str, object]:
    """A hospital or home as the directory has it."""
    ids = [{"system": _ODS, "value": row.id}] + ([{"system": "https://www.cqc.org.uk/location", "value": row.cqc}] if row.cqc else [])
    address = {"line": [row.street] if row.street else [], "city": row.town, "postalCode": row.postcode}
    found: dict[str, object] = {"resourceType": "Organization", "id": row.id, "identifier": ids, "active": is_active, "name": row.name}
    more: dict[str, object] = {
        "telecom": [{"system": "phone", "value": row.phone}] if row.phone else [],
        "address": [kept] if (kept := {name: value for name, value in address.items() if value}) else [],
        "partOf": {"identifier": {"system": _ODS, "value": row.provider}} if row.provider else {},
        "type": [{"text": row.care_kind}] if row.care_kind else [],
    }
    return found | {name: value for name, value in more.items() if value}


@cache
def _capability() -> dict[str, object]:
    text = files("fhir_profiles").joinpath("wardpost", "capability-statement.json").read_text()
    found: dict[str, object] = json.loads(text)
    return found


def capability_statement(base: str, version: str) -> dict[str, object]:
    """What this server does (FHIR R4 CapabilityStatement)."""
    return {
        **_capability(),
        "software": {"name": "wardpost", "version": version},
        "implementation": {"description": "Wardpost mailbox", "url": f"{base}/fhir"},
    }
