"""Commands that set up who is who: sites, senders, people, clients."""

import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli.door import By, Data, one_of, service, show
from exchange.model import PersonRole, ods_code

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exchange.ports import UnitOfWork
    from exchange.transfer.candidates import Candidate

WAITS = "kept: a second person has to pick the same home, because the messages point to another one"
sites = typer.Typer(help="Hospitals and care homes, their keys, and the confirmed home of a stay.", no_args_is_help=True)
senders = typer.Typer(help="The feeds of a hospital: port and profile.", no_args_is_help=True)
people = typer.Typer(help="Named people and their one-time links.", no_args_is_help=True)
clients = typer.Typer(help="Systems that use the API, by their public keys.", no_args_is_help=True)


@sites.command("add")
def sites_add(
    code: Annotated[str, typer.Argument(help="ODS code.")],
    name: Annotated[str, typer.Argument()],
    kind: Annotated[str, typer.Option(help="hospital or home.")] = "home",
    street: str = "",
    town: str = "",
    postcode: str = "",
    phone: Annotated[str, typer.Option(help="The directory number, for call-backs.")] = "",
    provider: str = "",
    cqc: str = "",
    closed: Annotated[str, typer.Option(help="Date on which the site closed, YYYY-MM-DD.")] = "",
    data: Data = None,
) -> None:
    """Enter or change a hospital or a home. A new one gets its keys, a home its mailbox."""
    from exchange.directory.entries import add_organisation
    from exchange.directory.imports import postcode as in_one_form
    from exchange.records import Organisation

    where = (street, town, in_one_form(postcode))
    entry = Organisation(ods_code(code), name, kind, *where, phone, provider, cqc=cqc, has_mailbox=kind == "home", closed_on=closed)
    if kind not in ("home", "hospital"):
        raise typer.BadParameter("kind is hospital or home")
    with service(data) as exchange:
        exchange.store.write(lambda uow: add_organisation(uow, entry))
    print(f"{entry.id} {entry.name}: entered")


@sites.command("import")
def sites_import(
    what: Annotated[str, typer.Argument(help="ods or cqc, then its FILE; or a CSV of your own.")],
    file: Annotated[Path | None, typer.Argument(help="ods: a report of care home sites; cqc: active locations.")] = None,
    data: Data = None,
) -> None:
    """Enter many organisations. Own CSV: columns code,name,kind,street,town,postcode,phone,provider,cqc,opened,closed; all or nothing."""
    if file is not None:
        if what not in ("ods", "cqc"):
            raise typer.BadParameter("the first word is ods or cqc when a FILE follows")
        _import_national(what, file, data)
        return
    from exchange.directory.entries import add_organisation
    from exchange.directory.imports import postcode
    from exchange.records import Organisation

    with Path(what).open(newline="", encoding="utf-8-sig") as handle:
        rows = [{name: (value or "").strip() for name, value in row.items()} for row in csv.DictReader(handle)]

    def enter(uow: "UnitOfWork") -> None:
        for row in rows:
            kind = row.get("kind") or "home"
            entry = Organisation(
                ods_code(row.get("code", "")), row.get("name", ""), kind, row.get("street", ""), row.get("town", ""),
                postcode(row.get("postcode", "")), row.get("phone", ""), row.get("provider", ""), cqc=row.get("cqc", ""),
                has_mailbox=kind == "home", opened_on=row.get("opened", ""), closed_on=row.get("closed", ""),
            )  # fmt: skip
            add_organisation(uow, entry)

    with service(data) as exchange:
        exchange.store.write(enter)
    print(f"{len(rows)} organisations entered")


def _import_national(source: str, file: Path, data: Path | None) -> None:
    from exchange.directory.imports import import_file

    def progress(read: int) -> None:
        print(f"{source}: {read} sites", file=sys.stderr)

    with service(data) as exchange, file.open(newline="", encoding="utf-8-sig", errors="replace") as lines:
        report = import_file(exchange.store, source, lines, progress)
    print(f"{report.read} read: {report.new} new, {report.changed} changed, {report.closed} of them closed")
    for code in report.moved:
        print(f"{code}: another provider now. Closed here; call the home, then enter the new owner under its own code")
    for line, words in report.problems[:50]:
        print(f"line {line}: {words}" if line else words)
    if len(report.problems) > 50:
        print(f"and {len(report.problems) - 50} more lines")


@sites.command("list")
def sites_list(data: Data = None) -> None:
    """Every hospital and home."""
    from exchange.records import Organisation

    with service(data) as exchange:
        found = exchange.store.read(lambda uow: uow.find(Organisation, order="kind,name"))
    rows = [(o.id, o.name, o.kind, o.postcode, o.phone, f"closed {o.closed_on}" if o.closed_on else "") for o in found]
    show("Sites", ("code", "name", "kind", "postcode", "phone", ""), rows, "None yet. Enter one: wardpost sites add CODE NAME")


@sites.command("keys")
def sites_keys(code: Annotated[str, typer.Argument(help="ODS code.")], data: Data = None) -> None:
    """Make a hospital's or home's next pair of keys; each lives a year, and old ones still open what they opened."""
    from exchange.directory.entries import get_organisation, make_keys

    with service(data) as exchange:
        exchange.store.write(lambda uow: make_keys(uow, get_organisation(uow, code).id))
    print(f"{code}: new keys from now on")


@sites.command("find")
def sites_find(postcode: Annotated[str, typer.Argument(help="From the person's papers.")], data: Data = None) -> None:
    """The homes at a postcode, and those with a like name: look-alikes stand together. Nothing is chosen for you."""
    from exchange.transfer.candidates import at_postcode

    with service(data) as exchange:
        found = exchange.store.read(lambda uow: at_postcode(uow, postcode))
    _show_homes(f"Homes at {postcode}", found, "No home at this postcode in the directory.")


@sites.command("candidates")
def sites_candidates(
    stay: Annotated[str, typer.Argument(help="Visit number, or the id of the stay or transfer.")], by: By, data: Data = None
) -> None:
    """The homes that the hospital's own messages point to, each with its reason, and their look-alikes. Nothing is chosen for you."""
    from exchange.cli.people import _caller

    with service(data) as exchange:
        found = exchange.candidates(_caller(exchange, by), stay)
    _show_homes("Which home?", found, "Nothing points to a home. Search: wardpost sites find POSTCODE")


def _show_homes(title: str, found: "Sequence[Candidate]", empty: str) -> None:
    rows = [
        (
            one.site.id,
            f"{one.site.name}\n{one.site.provider_name or one.site.provider}",
            f"{one.site.street}, {one.site.town} {one.site.postcode}",
            one.site.phone,
            "\n".join((*one.reasons, f"closed {one.site.closed_on}" if one.site.closed_on else "")).strip(),
        )
        for one in found
    ]
    show(title, ("code", "name and provider", "address", "call back on", "why it is here"), rows, empty)


@sites.command("confirm")
def sites_confirm(
    stay: Annotated[str, typer.Argument(help="Visit number, or the id of the stay or transfer.")],
    site: Annotated[str, typer.Argument(help="ODS code of the home.")],
    by: By,
    postcode: Annotated[str, typer.Option(help="Typed from the person's papers; it must be the home's.")] = "",
    spoke_to: Annotated[str, typer.Option(help="Who at the home said yes on its directory number.")] = "",
    data: Data = None,
) -> None:
    """A named person at the hospital says which home the person goes to. With --postcode the checks of the page are made."""
    from exchange.transfer.candidates import Pick

    with service(data) as exchange:
        transfer = exchange.confirm_site(stay, site, by, pick=Pick(postcode, spoke_to) if postcode else None)
    print(f"{transfer.id}")
    print(WAITS if transfer.proposed_site else f"confirmed: {transfer.recipient_org}, {transfer.state}", file=sys.stderr)


@senders.command("add")
def senders_add(
    name: Annotated[str, typer.Argument(help="A short name for the feed, such as PAS.")],
    org: Annotated[str, typer.Option("--org", help="ODS code of the hospital.")],
    port: Annotated[int, typer.Option(help="MLLP port of this feed; 0: the port of `wardpost run`.")] = 0,
    channel: Annotated[str, typer.Option(help="mllp (a port of its own) or http (POST /submissions).")] = "mllp",
    folder: Annotated[
        Path | None, typer.Option(help="A folder to watch for files.", exists=True, file_okay=False, writable=True, resolve_path=True)
    ] = None,
    profile: Annotated[Path | None, typer.Option(help="SenderProfile as JSON.")] = None,
    data: Data = None,
) -> None:
    """Enter or change one feed. A running service takes it up within a second."""
    from exchange.directory.entries import add_sender
    from exchange.directory.profiles import parse_profile
    from exchange.errors import Refused
    from exchange.gate.rules import RULES

    text = profile.read_text(encoding="utf-8") if profile else "{}"
    if unknown := set(parse_profile(text).does_not_send) - {rule.id for rule in RULES}:
        step = "List the rules: wardpost rules list"
        raise Refused("profile", f"does_not_send names no rule: {', '.join(sorted(unknown))}.", next_step=step)
    with service(data) as exchange:
        way = "folder" if folder else channel
        sender = exchange.store.write(lambda uow: add_sender(uow, name, org, way, port, text, str(folder or "")))
    print(f"{sender.id} of {sender.org}: entered")


@senders.command("check")
def senders_check(
    profile: Annotated[Path, typer.Argument(help="SenderProfile as JSON.", exists=True, dir_okay=False)],
    samples: Annotated[list[Path] | None, typer.Argument(help="Messages of this feed, one a file.", exists=True, dir_okay=False)] = None,
) -> None:
    """Hold a profile to its rules and try it on samples; nothing is kept and no person shown. Exit 1 where it does not fit, 3 where a
    sample cannot be read."""
    from exchange.cli.sender_check import check_samples
    from exchange.directory.profiles import parse_profile

    found = check_samples(parse_profile(profile.read_bytes()), samples or [])
    print(f"{profile.name}: a valid profile")
    if samples:
        show("Samples", ("file", "what it is", "becomes", "values carried", "remarks"), found.samples, "")
    for sentence in found.advice:
        print(f"- {sentence}")
    if found.unreadable:
        raise typer.Exit(3)


@senders.command("list")
def senders_list(data: Data = None) -> None:
    """Every feed."""
    from exchange.records import Sender

    with service(data) as exchange:
        found = exchange.store.read(lambda uow: uow.find(Sender, order="id"))
    show(
        "Senders",
        ("name", "organisation", "channel", "port or folder"),
        [(s.id, s.org, s.channel, s.folder or str(s.port)) for s in found],
        "None yet. Enter one: wardpost senders add NAME --org CODE",
    )


@people.command("add")
def people_add(
    name: Annotated[str, typer.Argument()],
    org: Annotated[str, typer.Option("--org", help="ODS code of the hospital or home.")],
    role: Annotated[str, typer.Option(help=", ".join(PersonRole))],
    email: Annotated[str, typer.Option(help="The registered address: links go nowhere else.")],
    data: Data = None,
) -> None:
    """Make a person known; prints the id."""
    from exchange.directory.entries import add_person

    wanted = one_of(PersonRole, role, "role")
    with service(data) as exchange:
        person = exchange.store.write(lambda uow: add_person(uow, org.upper(), wanted, name, email))
    print(person.id)


@people.command("list")
def people_list(org: Annotated[str, typer.Option("--org")] = "", data: Data = None) -> None:
    """Everyone known, with id and role."""
    from exchange.records import Person

    where: dict[str, object] = {"org": org.upper()} if org else {}
    with service(data) as exchange:
        found = exchange.store.read(lambda uow: uow.find(Person, order="org,created_at", **where))  # type: ignore[arg-type]
        rows = [(p.id, p.name.text(), p.org, str(p.role), "" if p.is_active else "left") for p in found]
    show(
        "People",
        ("id", "name", "organisation", "role", ""),
        rows,
        "None yet. Enter one: wardpost people add NAME --org CODE --role ROLE --email ADDRESS",
    )


@people.command("link")
def people_link(person: Annotated[str, typer.Argument(help="Person's id.")], data: Data = None) -> None:
    """Make a one-time way in for a person (72 hours, one use) and print its address. Give it to nobody else."""
    import os

    from exchange.config import load_settings
    from exchange.directory.links import make_link
    from exchange.web.auth.secrets import hash_secret, make_secret

    secret = make_secret(os.urandom)
    with service(data) as exchange:
        exchange.store.write(lambda uow: make_link(uow, person, hash_secret(secret)))
    print(f"{load_settings(data=data).public_url}/in/{secret}")


@people.command("leave")
def people_leave(person: Annotated[str, typer.Argument(help="Person's id.")], data: Data = None) -> None:
    """The person has left: sessions and links end at once."""
    from exchange.directory.entries import deactivate_person

    with service(data) as exchange:
        exchange.store.write(lambda uow: deactivate_person(uow, person))
    print("done: every link and session of this person has ended")


@clients.command("add")
def clients_add(
    client: Annotated[str, typer.Argument(help="Client id, such as sample-care-system.")],
    org: Annotated[str, typer.Option("--org", help="ODS code of the organisation that the system acts for.")],
    keys: Annotated[Path, typer.Option(help="JWK Set with the public keys; each has kid and alg.")],
    name: str = "",
    scopes: Annotated[str, typer.Option(help="Space-separated; empty: those of a home or hospital.")] = "",
    data: Data = None,
) -> None:
    """Register a system by its public keys."""
    from exchange.directory.entries import add_client, default_scopes, get_organisation

    jwks = [(str(key["kid"]), str(key["alg"]), json.dumps(key)) for key in json.loads(keys.read_text())["keys"]]

    def enter(uow: "UnitOfWork") -> str:
        wanted = scopes.split() or default_scopes(get_organisation(uow, org).kind)
        return add_client(uow, client, org.upper(), name or client, wanted, jwks).scopes

    with service(data) as exchange:
        granted = exchange.store.write(enter)
    print(f"{client}: registered for {granted}")


@clients.command("list")
def clients_list(data: Data = None) -> None:
    """Every registered system."""
    from exchange.records import Client

    with service(data) as exchange:
        found = exchange.store.read(lambda uow: uow.find(Client, order="org,id"))
    rows = [(c.id, c.org, c.scopes, "revoked" if c.revoked_at else "") for c in found]
    show("Clients", ("id", "organisation", "scopes", ""), rows, "None yet. Enter one: wardpost clients add ID --org CODE --keys FILE")


@clients.command("revoke")
def clients_revoke(client: Annotated[str, typer.Argument()], data: Data = None) -> None:
    """Refuse a system from now on; its tokens end within a minute."""
    from exchange.directory.entries import revoke_client

    with service(data) as exchange:
        exchange.store.write(lambda uow: revoke_client(uow, client))
    print(f"{client}: revoked")
