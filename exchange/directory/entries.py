"""Changes to the directory: organisations with their keys, people, clients, senders, one-time links."""

import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import timedelta

from exchange.audit.events import About, record
from exchange.directory.profiles import parse_profile
from exchange.errors import Conflict, NotFound, Refused
from exchange.model import HOME_ROLES, HOSPITAL_ROLES, Caller, PersonRole, ods_code
from exchange.ports import UnitOfWork
from exchange.records import AccessToken, Client, ClientKey, Link, Mailbox, Organisation, OrgKey, Person, Sealed, Sender, Session
from exchange.seal.keys import make_organisation_keys, public_part, thumbprint

KEY_LIFE = timedelta(days=366)
SERVICE_ORG = "WARDPOST"
CHANNELS = ("mllp", "http", "folder")
ALGORITHMS = ("ES256", "ES384", "RS384", "RS512", "PS256")


def add_organisation(uow: UnitOfWork, organisation: Organisation) -> Organisation:
    """Enter or change a hospital or home. A new one gets its two keys and, when it is a home, its mailbox."""
    ods_code(organisation.id)
    known = uow.get(Organisation, organisation.id)
    if known is None:
        uow.insert(organisation)
    else:
        changes = {item.name: getattr(organisation, item.name) for item in fields(organisation) if item.name != "id"}
        uow.replace(known, **changes)
    make_ready(uow, organisation)
    record(uow, "directory.changed", Caller(SERVICE_ORG), About(to=organisation.id))
    return organisation


def make_ready(uow: UnitOfWork, organisation: Organisation) -> None:
    """Give an organisation its first keys and a home its mailbox: at once, or with the first pick of one that came from a directory."""
    if not uow.count(OrgKey, org=organisation.id):
        make_keys(uow, organisation.id)
    if organisation.kind == "home" and uow.lock(Mailbox, organisation.id) is None:
        uow.insert(Mailbox(organisation.id))


def make_keys(uow: UnitOfWork, ods: str) -> None:
    """A fresh pair, valid for a year from now; what older opening keys can open, they still open."""
    pair = make_organisation_keys()
    for use, jwk in (("sig", pair.signing), ("enc", pair.opening)):
        public = public_part(jwk)
        uow.insert(
            OrgKey(
                thumbprint(public),
                ods,
                use,
                json.dumps(public),
                Sealed.of(json.dumps(dict(jwk))),
                # A second of grace: envelopes carry whole seconds.
                uow.now - timedelta(seconds=1),
                uow.now + KEY_LIFE,
            )
        )


def get_organisation(uow: UnitOfWork, ods: str) -> Organisation:
    """Raises NotFound `organisation`."""
    found = uow.get(Organisation, ods_code(ods))
    if found is None:
        raise NotFound("organisation", "No organisation has this ODS code here.", next_step="Add it: wardpost sites add CODE NAME …")
    return found


def add_person(uow: UnitOfWork, org: str, role: PersonRole, name: str, address: str) -> Person:
    """Make a person known. Raises Refused when the role does not fit the organisation."""
    organisation = get_organisation(uow, org)
    fitting = HOME_ROLES if organisation.kind == "home" else HOSPITAL_ROLES
    if role not in fitting:
        choices = ", ".join(sorted(fitting))
        raise Refused("person_role", f"Nobody at a {organisation.kind} is a {role}.", next_step=f"Choose one of: {choices}.")
    if not name.strip() or "@" not in address:
        raise Refused("person", "A person needs a name and a registered e-mail address.", next_step="Give both.")
    address = address.strip()
    index = uow.index("registered", "", address)
    person = Person(uow.new_id(), organisation.id, role, Sealed.of(name.strip()), Sealed.of(address), uow.now, registered=index)
    uow.insert(person)
    record(uow, "directory.changed", Caller(SERVICE_ORG), About(detail=person.id, to=organisation.id))
    return person


def get_person(uow: UnitOfWork, person_id: str) -> Person:
    """An active person. Raises NotFound `person`."""
    found = uow.get(Person, person_id)
    if found is None or not found.is_active:
        raise NotFound("person", "No active person has this id.", next_step="List them: wardpost people list")
    return found


def add_client(uow: UnitOfWork, client_id: str, org: str, name: str, scopes: Sequence[str], keys: Sequence[tuple[str, str, str]]) -> Client:
    """Register a system with its public keys, (kid, algorithm, JWK as JSON) each. Raises Refused, Conflict."""
    organisation = get_organisation(uow, org)
    if not keys:
        raise Refused("client_keys", "A client needs at least one public key.", next_step="Give a JWK Set file with --keys.")
    client = Client(client_id, organisation.id, name, " ".join(scopes), uow.now)
    uow.insert(client)
    for kid, alg, jwk in keys:
        if alg not in ALGORITHMS:
            raise Refused("client_keys", f"{alg} is not accepted.", next_step="Use one of: " + ", ".join(ALGORITHMS) + ".")
        if uow.get(ClientKey, kid) is not None:
            raise Conflict("client_keys", "Another client has a key with this kid.", next_step="Use the key's thumbprint as its kid.")
        uow.insert(ClientKey(kid, client_id, organisation.id, alg, jwk))
    record(uow, "directory.changed", Caller(SERVICE_ORG), About(to=organisation.id))
    return client


def add_sender(uow: UnitOfWork, name: str, org: str, channel: str, port: int, profile: str, folder: str = "") -> Sender:
    """Enter or change one feed. The profile is checked here. Raises Refused `profile`, `sender_folder`, NotFound `organisation`."""
    organisation = get_organisation(uow, org)
    if channel not in CHANNELS:
        raise Refused("channel", "A feed does not come this way.", next_step="Choose one of: " + ", ".join(CHANNELS) + ".")
    parse_profile(profile)
    shared = [s for s in uow.find(Sender, channel="folder") if s.id != name and s.folder == folder] if folder else []
    if (channel == "folder") != folder.startswith("/") or shared:
        step = "Give --folder with the whole path of a folder that no other feed watches, and no other channel."
        raise Refused("sender_folder", "A folder feed needs a folder of its own.", next_step=step)
    taken = [s for s in uow.find(Sender, port=port) if s.id != name and port]
    if taken:
        raise Conflict("sender_port", f"Port {port} belongs to {taken[0].id}.", next_step="Give each feed a port of its own.")
    known = uow.get(Sender, name)
    if known is None:
        sender = Sender(name, organisation.id, channel, port, profile, uow.now, folder)
        uow.insert(sender)
    else:
        sender = uow.replace(known, org=organisation.id, channel=channel, port=port, profile=profile, folder=folder)
    record(uow, "directory.changed", Caller(SERVICE_ORG), About(to=organisation.id))
    return sender


def default_scopes(kind: str) -> list[str]:
    """What a system of a home or of a hospital may do when nothing else is said."""
    home = ["system/DocumentReference.rs", "system/Task.u", "system/AuditEvent.s", "system/$validate"]
    return (
        home
        if kind == "home"
        else [
            "system/AuditEvent.s",
            "system/Submission.c",
            "system/Supplement.c",
            "system/Transfer.r",
            "system/Transfer.u",
            "system/$validate",
        ]
    )


def deactivate_person(uow: UnitOfWork, person_id: str) -> None:
    """The person has left the organisation: no new acts, sessions and links end. Raises NotFound."""
    person = get_person(uow, person_id)
    uow.update(Person, {"is_active": False}, id=person.id)
    uow.update(Link, {"revoked_at": uow.now}, person_id=person.id, revoked_at=None)
    uow.update(Session, {"revoked_at": uow.now}, person_id=person.id, revoked_at=None)
    record(uow, "directory.changed", Caller(SERVICE_ORG), About(detail=person.id, to=person.org))


def revoke_client(uow: UnitOfWork, client_id: str) -> None:
    """Raises NotFound `client`."""
    if not uow.update(Client, {"revoked_at": uow.now}, id=client_id, revoked_at=None):
        raise NotFound("client", "No active client has this id.", next_step="List them: wardpost clients list")
    uow.update(AccessToken, {"revoked_at": uow.now}, client_id=client_id, revoked_at=None)
    record(uow, "directory.changed", Caller(SERVICE_ORG, client=client_id), About())
