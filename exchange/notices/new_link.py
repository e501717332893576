""" "Send me a new link": to the registered address alone. Who asks gets no answer from here, so that a stranger learns nothing."""

from collections.abc import Callable
from datetime import timedelta

import structlog

from exchange.directory.links import make_link
from exchange.errors import WardpostError
from exchange.ports import Mailer, Store, UnitOfWork
from exchange.records import Link, Organisation, Person

log = structlog.get_logger("wardpost.notices")
# Links for one person, whoever made them, before the page sends no more.
LIMIT, WITHIN = 3, timedelta(minutes=15)
SUBJECT = "Your new link to Wardpost"
_BODY = """Somebody, most likely you, asked for a new link to Wardpost for {home}.

Open it and press the button. It works once, for 72 hours:

{url}

It is for you alone: what is read and answered is kept under your name.
If you did not ask, you need do nothing.
You no longer work there? Ask the manager to take your name off.
"""


def send_new_link(store: Store, mailer: Mailer, base_url: str, address: str, make: Callable[[], tuple[str, bytes]]) -> int:
    """One new link for each active person whose registered address this is; how many e-mails went out.

    `make` gives a link's text and its hash. The hash is kept before the e-mail goes; after a failure the person asks again.
    """
    sent = 0

    def known(uow: UnitOfWork) -> list[tuple[str, str]]:
        for person in uow.find(Person, registered=None, is_active=True):  # made before there was an index
            uow.replace(person, registered=uow.index("registered", "", person.address.text()))
        people = uow.find(Person, order="id", is_active=True, registered=uow.indexes("registered", "", address))
        return [(person.id, person.address.text()) for person in people]

    def prepare(uow: UnitOfWork, person_id: str) -> str:
        """The e-mail's text; "" when there were too many lately."""
        if uow.count(Link, person_id=person_id, created_at__gt=uow.now - WITHIN) >= LIMIT:
            return ""
        secret, secret_hash = make()
        link = make_link(uow, person_id, secret_hash)
        home = uow.get(Organisation, link.org)
        return _BODY.format(home=home.name if home else link.org, url=f"{base_url}/in/{secret}")

    for person_id, registered in store.write(known):
        try:
            body = store.write(lambda uow, id=person_id: prepare(uow, id))  # type: ignore[misc]  # the default binds the loop's value
            if body:
                mailer.send(registered, SUBJECT, body)
                sent += 1
            log.info("link_sent" if body else "link_limit", person=person_id)
        except WardpostError as problem:
            log.error("link_not_sent", person=person_id, code=problem.code)
    return sent
