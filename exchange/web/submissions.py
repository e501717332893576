"""`POST /submissions`: bytes of a registered hospital system over HTTP, and where they stand afterwards.

1. authenticate, before a byte of the body is read
2. the body, whole, in memory and within the limit; of a multipart request its two parts
3. can it be read at all? What cannot is refused and nothing of it is kept
4. custody: committed, then 202 with the receipt
"""

import asyncio
from collections.abc import AsyncGenerator

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from exchange.app import Exchange
from exchange.errors import Refused
from exchange.fhir.json import load_strict
from exchange.intake.file_part import pack
from exchange.model import Receipt
from exchange.transfer.schema import check_schema
from exchange.web.auth.tokens import Tokens
from exchange.web.fhir.routes import read_body

MAX_SUBMISSION_BYTES = 20 * 1024 * 1024
_MAX_ABOUT_BYTES = 65_536
# Room for the other part and the boundaries.
MAX_REQUEST_BYTES = MAX_SUBMISSION_BYTES + 2 * _MAX_ABOUT_BYTES


class _InMemory(MultiPartParser):
    """Parts of patients' papers are never spooled to a disk."""

    spool_max_size = MAX_REQUEST_BYTES


def submissions_router(exchange: Exchange, tokens: Tokens, base_url: str) -> APIRouter:
    """`POST /submissions`, for clients of the sending hospital."""
    router = APIRouter(prefix="/submissions")

    @router.post("", status_code=202)
    async def submit(request: Request, sender: str = "") -> Response:
        """Body: FHIR, HL7 v2, CDA or Kettering bytes, or multipart with `about` (JSON) and `document` (the file)."""
        bearer = await run_in_threadpool(tokens.check, request.headers.get("authorization", ""))
        bearer.require("system/Submission.c")
        feed = await run_in_threadpool(exchange.http_sender, bearer.org, sender)
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise Refused("content_encoding", "Compressed bodies are not taken.", next_step="Send the bytes as they are.")
        media_type = request.headers.get("content-type", "")
        body = await read_body(request, MAX_REQUEST_BYTES)
        if media_type.lower().startswith("multipart/"):
            body = await _file_of(request, body)
        elif len(body) > MAX_SUBMISSION_BYTES:
            raise Refused("too_large", f"The body is larger than {MAX_SUBMISSION_BYTES} bytes.", next_step="Send less at once.")
        if not body:
            raise Refused("empty_body", "There is nothing in this request.", next_step="Send the document as the body.")
        await run_in_threadpool(exchange.refuse_unreadable, feed, body)
        receipt = await asyncio.wrap_future(exchange.accept(feed, body, "http", media_type[:200]))
        where = f"{base_url}/submissions/{receipt.submission}"
        return JSONResponse(_shown(receipt, where), 202, {"Location": where, "Cache-Control": "no-store"})

    return router


def _shown(receipt: Receipt, where: str) -> dict[str, object]:
    """The frozen part of a receipt, and where its status is. The same for a resend."""
    return {"submission": receipt.submission, "digest": receipt.digest, "accepted_at": receipt.accepted_at, "status": where}


async def _file_of(request: Request, body: bytes) -> bytes:
    """The two parts of a multipart request as one run of bytes. Raises Refused `multipart`, SchemaRefused `about_invalid`, JsonRefused."""

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        form = await _InMemory(request.headers, stream(), max_files=2, max_fields=2, max_part_size=_MAX_ABOUT_BYTES).parse()
    except (MultiPartException, KeyError, ValueError):
        raise Refused("multipart", "The multipart body cannot be read.", next_step="Send two parts: about and document.") from None
    try:
        told, content, media_type = await _parts(form)
    finally:
        await form.close()
    if not content or len(content) > MAX_SUBMISSION_BYTES:
        code = "too_large" if content else "empty_body"
        raise Refused(code, "The file is empty or larger than 20 MiB.", next_step="Send a file of 1 byte to 20 MiB.")
    check_schema("about", load_strict(told))
    return pack(told, media_type, content)


async def _parts(form: FormData) -> tuple[bytes, bytes, str]:
    """The JSON part, the file and its media type. Raises Refused `multipart` when one is missing."""
    about, document = form.get("about"), form.get("document")
    if about is None or not isinstance(document, UploadFile):
        missing = "about (JSON: who it is about)" if about is None else "document (the file, with a filename)"
        raise Refused("multipart", f"The part {missing} is missing.", next_step="Send two parts: about and document.")
    told = await about.read(_MAX_ABOUT_BYTES) if isinstance(about, UploadFile) else about.encode("utf-8", "surrogateescape")
    return told, await document.read(), document.content_type or ""
