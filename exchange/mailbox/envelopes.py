"""Whole envelopes as files: what a home keeps or carries elsewhere, and opening one again with every check."""

from exchange.directory.keys import Directory, holder, private_key
from exchange.errors import NotFound
from exchange.mailbox.collect import get_delivery, refuse_shut
from exchange.model import Environment
from exchange.ports import UnitOfWork
from exchange.records import Part, Version
from exchange.seal.envelope import open_manifest, open_part, read_file, write_file


def envelope_file(uow: UnitOfWork, org: str, delivery_id: str) -> bytes:
    """The sealed envelope of a delivery in its file form; nothing is decrypted. Raises NotFound."""
    delivery = get_delivery(uow, delivery_id, org)
    refuse_shut(uow, delivery)
    version = uow.get(Version, delivery.version_id)
    if version is None:
        raise NotFound("delivery", "There is no such document here.", next_step="Look at your list again.")
    return write_file(version.jws, [part.jwe.open() for part in uow.find(Part, order="position", version_id=version.id)])


def open_envelope_file(uow: UnitOfWork, environment: Environment, org: str, data: bytes) -> list[tuple[str, bytes]]:
    """(media type, content) of every part, once all checks have passed. Raises EnvelopeRefused with the code of the check."""
    jws, jwes = read_file(data)
    verified = open_manifest(
        jws,
        directory=Directory(uow),
        environment="live" if environment is Environment.LIVE else "trial",
        now=int(uow.now.timestamp()),
        me=holder(uow, org),
        seen=None,
    )
    key = private_key(uow, verified.manifest.to_kid)
    contents = [open_part(verified, number, jwe, key, "site") for number, jwe in enumerate(jwes)]
    return [(meta.type, content) for meta, content in zip(verified.manifest.parts, contents, strict=True)]
