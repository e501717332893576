"""Accept: the bytes are sealed and committed before anybody hears "yes". Nothing here understands them."""

import hashlib
from datetime import datetime

from exchange.audit.events import About, record
from exchange.errors import Gone
from exchange.model import Caller, Receipt
from exchange.ports import UnitOfWork
from exchange.records import Sealed, Sender, Submission, Work

# HL7 ends an id at 199 characters; what is far longer is no id, and would not fit an index.
_LONGEST_ID = 1000


def digest_of(raw: bytes) -> str:
    return "sha256:" + hashlib.sha256(raw).hexdigest()


def instant(moment: datetime) -> str:
    """An instant as people and machines read it: ISO 8601, UTC, milliseconds."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def accept(uow: UnitOfWork, sender: Sender, raw: bytes, *, channel: str, media_type: str, source_id: str) -> Receipt:
    """Take custody of a submission; the receipt is true once the transaction has committed.

    Same (sender, source id, digest): the same receipt, nothing new. Same id with other bytes: a new submission that says so.
    Bytes without an id are known by their digest.
    """
    digest = digest_of(raw)
    if len(source_id) > _LONGEST_ID:
        source_id = ""
    same_id: Submission | None = None
    if source_id:
        for known in uow.find(Submission, sender_id=sender.id, source_id=uow.indexes("source_id", sender.org, source_id)):
            if _has_digest(uow, known, sender.org, digest):
                return Receipt(known.id, digest, instant(known.accepted_at), is_repeat=True)
            same_id = known
    else:
        for known in uow.find(Submission, sender_id=sender.id, source_id=None, digest=uow.indexes("source_id", sender.org, digest)):
            return Receipt(known.id, digest, instant(known.accepted_at), is_repeat=True)
    submission = Submission(
        id=uow.new_id(),
        sender_org=sender.org,
        sender_id=sender.id,
        channel=channel,
        media_type=media_type,
        size_bytes=len(raw),
        accepted_at=uow.now,
        source_id=uow.index("source_id", sender.org, source_id) if source_id else None,
        digest=uow.index("source_id", sender.org, digest),
        content=Sealed.of(raw),
        reuses_id_of=same_id.id if same_id else None,
    )
    uow.insert(submission)
    uow.insert(Work(f"read:{submission.id}", "read", submission.id, uow.now))
    record(uow, "submission.accepted", Caller(sender.org), About(submission.id), code="reused_id" if same_id else "")
    return Receipt(submission.id, digest, instant(uow.now))


def _has_digest(uow: UnitOfWork, submission: Submission, org: str, digest: str) -> bool:
    return submission.digest is not None and submission.digest in uow.indexes("source_id", org, digest)


def raw_bytes(submission: Submission) -> bytes:
    """The bytes as they came. Raises Gone `erased`."""
    if submission.content is None:
        raise Gone("erased", "The message was erased on its day.", next_step="Ask the sender to send it again.")
    return submission.content.open()
