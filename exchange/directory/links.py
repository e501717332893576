"""One-time links and sessions (envelope.md section 5): a link belongs to one Person, a GET changes nothing, a POST consumes it."""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

from exchange.audit.events import About, record
from exchange.directory.entries import SERVICE_ORG, get_person
from exchange.errors import Refused
from exchange.model import Caller
from exchange.ports import UnitOfWork
from exchange.records import Link, Organisation, Person, Session

LINK_LIFE = timedelta(hours=72)
IDLE_LIFE = timedelta(minutes=30)
SESSION_LIFE = timedelta(hours=12)
_SEEN_STEP = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A valid session and its person."""

    session: Session
    person: Person


def spent() -> Refused:
    """The one answer to a link that is not good, whatever is wrong with it."""
    return Refused("link_spent", "This link was used, has expired or is not one of ours.", next_step="Ask for a new link.")


def make_link(uow: UnitOfWork, person_id: str, secret_hash: bytes) -> Link:
    """A way in for one person, 72 hours, one use. Only the hash is kept. Raises NotFound `person`."""
    person = get_person(uow, person_id)
    link = Link(uow.new_id(), person.id, person.org, secret_hash, uow.now, uow.now + LINK_LIFE)
    uow.insert(link)
    record(uow, "link.made", Caller(SERVICE_ORG), About(detail=link.id, to=person.org))
    return link


def describe(uow: UnitOfWork, secret_hash: bytes) -> tuple[str, str, datetime] | None:
    """For the page with the button: whose link, which home, good until when; None when using it now would not work."""
    found = _find(uow, secret_hash)
    if found is None or found.used_at is not None or found.revoked_at is not None or found.expires_at <= uow.now:
        return None
    person, home = get_person(uow, found.person_id), uow.get(Organisation, found.org)
    return person.name.text(), home.name if home else "", found.expires_at


def use_link(uow: UnitOfWork, secret_hash: bytes, session_hash: bytes) -> SignedIn:
    """Consume the link and begin a session in one transaction. Raises Refused `link_spent`; the same words whatever is wrong."""
    found = _find(uow, secret_hash)
    if found is None or not uow.update(Link, {"used_at": uow.now}, id=found.id, used_at=None, revoked_at=None, expires_at__gt=uow.now):
        raise spent()
    person = get_person(uow, found.person_id)
    session = Session(uow.new_id(), person.id, person.org, session_hash, uow.now, uow.now, uow.now + SESSION_LIFE)
    uow.insert(session)
    record(uow, "link.used", Caller(person.org, person=person.id), About(detail=session.id))
    return SignedIn(session, person)


def _find(uow: UnitOfWork, secret_hash: bytes) -> Link | None:
    found = uow.find(Link, secret_hash=secret_hash)
    return found[0] if found and hmac.compare_digest(found[0].secret_hash, secret_hash) else None


def find_session(uow: UnitOfWork, secret_hash: bytes) -> SignedIn | None:
    """The live session of a cookie; None when there is none, it idled 30 minutes, ended, or its person is gone."""
    found = uow.find(Session, secret_hash=secret_hash, revoked_at=None)
    if not found or not is_live(found[0], uow.now):
        return None
    person = uow.get(Person, found[0].person_id)
    return SignedIn(found[0], person) if person is not None and person.is_active else None


def is_live(session: Session, now: datetime) -> bool:
    return session.revoked_at is None and session.expires_at > now and session.seen_at + IDLE_LIFE > now


def touch(uow: UnitOfWork, session: Session) -> None:
    """Note that it is in use, at most once a minute."""
    uow.update(Session, {"seen_at": uow.now}, id=session.id, seen_at__lt=uow.now - _SEEN_STEP)


def end_session(uow: UnitOfWork, session: Session) -> None:
    if uow.update(Session, {"revoked_at": uow.now}, id=session.id, revoked_at=None):
        record(uow, "session.ended", Caller(session.org, person=session.person_id), About(detail=session.id))
