"""A file and the JSON part that names its person, as one run of bytes: what is kept of a multipart request, whose boundary changes with
every try. `adapters/pdf` reads it."""

import re

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+")


def pack(about: bytes, media_type: str, content: bytes) -> bytes:
    """`wardpost-file-1 <length of about> <media type>`, a line feed, the JSON part, the file. Same parts, same bytes."""
    kind = media_type.partition(";")[0].strip().lower()
    kind = kind if _MEDIA_TYPE.fullmatch(kind) else "application/octet-stream"
    return b"wardpost-file-1 %d %s\n" % (len(about), kind.encode("ascii")) + about + content
