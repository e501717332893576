"""MLLP (HL7 v2 transport): frames from a TCP stream in order, one answer each, and the acknowledgement's bytes.

The life of a frame: bytes arrive → `Framer` cuts them → the handler takes custody (commits) → `build_ack` → one write.
Nothing is read from a connection while its frame is in the handler's hands, so a slow store slows the senders down (back-pressure).
"""

import asyncio
import re
import secrets
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

import structlog

from exchange.intake.tls import names_of

START: Final = b"\x0b"
END: Final = b"\x1c\r"
_HEAD_BYTES: Final = 65_536
_CHUNK_BYTES: Final = 65_536
_HEADER = re.compile(rb"(?:\A|[\r\n])(MSH[^\r\n]*)")
_COMMIT: Final[dict[str, str]] = {"AA": "CA", "AE": "CE", "AR": "CR", "CA": "CA", "CE": "CE", "CR": "CR"}
_APPLICATION: Final[dict[str, str]] = {"CA": "AA", "CE": "AE", "CR": "AR"}
_OLD_VERSIONS: Final = (b"2.1", b"2.2", b"2.3")

AckCode = Literal["AA", "AE", "AR", "CA", "CE", "CR"]

log = structlog.get_logger("wardpost.mllp")


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer: an acknowledgement code with a text free of patient data, or `close`: hang up, so that the sender tries again."""

    code: AckCode = "AA"
    text: str = ""
    close: bool = False


Handler = Callable[[bytes], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Frame:
    """The bytes between start and end. `oversized`: too long; `content` is only its beginning, enough for an answer."""

    content: bytes
    oversized: bool = False


class Framer:
    """Bytes in, frames out; no I/O. Counts what it throws away: `garbage_bytes` between frames, `truncated` frames without an end."""

    def __init__(self, max_frame_bytes: int) -> None:
        self._max = max_frame_bytes
        self._buffer = bytearray()
        self._inside = False
        self._skipping = False
        self._head = b""
        self._searched = 0
        self.garbage_bytes = 0
        self.truncated = 0

    @property
    def is_inside(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self._inside

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that these bytes complete, in order."""
        self._buffer += data
        frames: list[Frame] = []
        while self._inside or self._open():
            end = self._buffer.find(END, max(0, self._searched - 1))
            stop = len(self._buffer) if end < 0 else end
            restart = self._buffer.rfind(START, self._searched, stop)
            if restart >= 0:  # A new start inside a frame: the one before never ended and was never answered.
                self.truncated += 1
                self._begin(restart)
                continue
            if end < 0:
                self._shorten()
                break
            frames.append(self._close(end))
        return frames

    def _open(self) -> bool:
        start = self._buffer.find(START)
        self.garbage_bytes += len(self._buffer) if start < 0 else start
        if start < 0:
            self._buffer.clear()
            return False
        self._begin(start)
        return True

    def _begin(self, start: int) -> None:
        del self._buffer[: start + 1]
        self._inside, self._skipping, self._head, self._searched = True, False, b"", 0

    def _close(self, end: int) -> Frame:
        oversized = self._skipping or end > self._max
        content = self._head or bytes(self._buffer[: _HEAD_BYTES if oversized else end])
        del self._buffer[: end + len(END)]
        self._inside, self._skipping, self._head, self._searched = False, False, b"", 0
        return Frame(content, oversized)

    def _shorten(self) -> None:
        """Keep only the beginning of a frame that is already too long, and its last byte, which may be half of the end."""
        if self._skipping or len(self._buffer) > self._max + 1:
            self._head = self._head or bytes(self._buffer[:_HEAD_BYTES])
            self._skipping = True
            del self._buffer[:-1]
        self._searched = len(self._buffer)


class MllpListener:
    """One port, one configured sender. `start`, then `stop`: a frame in the handler's hands is still answered.

    `idle_timeout_seconds`: between frames (None: for ever, as long-lived connections want); `frame_timeout_seconds`: from a frame's first
    byte to its last. `client_name`: the name that a sender's certificate must bear. The handler is called for one frame of a connection
    at a time; if it raises, the connection closes without an answer.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        max_frame_bytes: int = 20 * 1024 * 1024,
        idle_timeout_seconds: float | None = None,
        frame_timeout_seconds: float = 60.0,
        grace_seconds: float = 10.0,
        max_connections: int = 64,
        ssl_context: ssl.SSLContext | None = None,
        client_name: str = "",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_control_id: Callable[[], str] = lambda: secrets.token_hex(10),
    ) -> None:
        self._handler = handler
        self._host = host
        self._asked_port = port
        self._max_frame_bytes = max_frame_bytes
        self._idle_timeout = idle_timeout_seconds
        self._frame_timeout = frame_timeout_seconds
        self._grace = grace_seconds
        self._max_connections = max_connections
        self._ssl = ssl_context
        self._client_name = client_name
        self._now = now
        self._new_control_id = new_control_id
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], bool] = {}  # task → whether a frame is in the handler's hands
        self._stopping = False

    @property
    def port(self) -> int:
        """The port really listened on; 0 before `start`."""
        sockets = self._server.sockets if self._server else ()
        return int(sockets[0].getsockname()[1]) if sockets else 0

    async def start(self) -> None:
        self._stopping = False
        self._server = await asyncio.start_server(self._connected, self._host, self._asked_port, ssl=self._ssl, limit=_CHUNK_BYTES)
        log.info("mllp_listening", host=self._host, port=self.port, tls=self._ssl is not None)

    async def stop(self) -> None:
        """Take no more connections or frames; let frames in hand be answered for `grace_seconds`, then close."""
        if self._server is None:
            return
        self._stopping = True
        self._server.close()
        for task, busy in list(self._connections.items()):
            if not busy:
                task.cancel()
        if self._connections:
            _, late = await asyncio.wait(list(self._connections), timeout=self._grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        peer = writer.get_extra_info("peername")
        if task is None or self._stopping or len(self._connections) >= self._max_connections:
            log.warning("mllp_connection_refused", peer=peer)
            writer.close()
            return
        if self._client_name and self._client_name not in names_of(writer.get_extra_info("peercert")):
            log.warning("mllp_certificate_of_another", peer=peer)
            writer.close()
            return
        self._connections[task] = False
        # Two small writes and Nagle cost 40 ms an answer: one write, sent at once.
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        framer = Framer(self._max_frame_bytes)
        try:
            await self._serve(task, framer, reader, writer)
        except TimeoutError:
            log.warning("mllp_timeout", peer=peer, inside_frame=framer.is_inside)
            writer.transport.abort()
        except OSError:
            log.info("mllp_connection_lost", peer=peer)
        except asyncio.CancelledError:
            log.info("mllp_connection_stopped", peer=peer)
        finally:
            if framer.garbage_bytes or framer.truncated or framer.is_inside:
                cut = framer.truncated + framer.is_inside
                log.warning("mllp_bytes_discarded", peer=peer, garbage_bytes=framer.garbage_bytes, truncated_frames=cut)
            del self._connections[task]
            writer.close()

    async def _serve(self, task: asyncio.Task[None], framer: Framer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clock = asyncio.get_running_loop().time
        deadline: float | None = None
        while not self._stopping:
            if framer.is_inside:
                deadline = deadline or clock() + self._frame_timeout
            else:
                deadline = None
            wait_until = deadline if deadline or self._idle_timeout is None else clock() + self._idle_timeout
            async with asyncio.timeout_at(wait_until):
                data = await reader.read(_CHUNK_BYTES)
            if not data:
                return
            frames = framer.feed(data)
            if frames:
                deadline = None
            for frame in frames:
                self._connections[task] = True
                if self._stopping or not await self._answer(frame, writer):
                    return
                self._connections[task] = False

    async def _answer(self, frame: Frame, writer: asyncio.StreamWriter) -> bool:
        """Hand the frame over and write its acknowledgement; False hangs up."""
        if frame.oversized:
            log.warning("mllp_frame_oversized", limit_bytes=self._max_frame_bytes)
            reply = Reply("AR", f"frame_too_large: more than {self._max_frame_bytes} bytes")
        else:
            try:
                reply = await self._handler(frame.content)
            except Exception as problem:  # noqa: BLE001 - the rim: whatever failed, the sender keeps the message and sends it again
                log.error("mllp_handler_failed", error=type(problem).__name__)
                return False
        if reply.close:
            return False
        ack = build_ack(frame.content, reply, self._now(), self._new_control_id())
        if ack:
            writer.write(START + ack + END)
            async with asyncio.timeout(self._frame_timeout):
                await writer.drain()
        return True


def build_ack(raw: bytes, reply: Reply, now: datetime, control_id: str) -> bytes:
    """The acknowledgement of one message (HL7 v2 chapter 2.9), without MLLP bytes; b"" when the sender wants none.

    Sender and receiver are turned round field by field, byte for byte; separators, character set, processing id and version are the
    sender's; MSA-2 is MSH-10. Enhanced mode (MSH-15 or 16 valued): the commit acknowledgement where MSH-15 asks for one, else the
    application form where MSH-16 does. Works without a readable MSH: a plain one of our own.
    """
    found = _HEADER.search(raw, 0, _HEAD_BYTES)
    header = found.group(1) if found else b""
    separator = header[3:4]
    fields = header.split(separator) if separator and not re.search(rb"[\x00-\x1f]", header) else []
    if len(fields) < 10 or len(fields[1]) not in (4, 5) or separator.isalnum():
        separator, fields = b"|", [b"MSH", rb"^~\&", b"", b"", b"WARDPOST", b"", b"", b"", b"", b"", b"P", b"2.4"]
    fields += [b""] * (18 - len(fields))
    code = _code(reply.code, fields[14].strip(), fields[15].strip())
    if not code:
        return b""
    component, escape = fields[1][:1], fields[1][2:3]
    kind = fields[8].split(component)
    answer_kind = b"ACK"
    if len(kind) > 1 and kind[1] and not fields[11].startswith(_OLD_VERSIONS):
        answer_kind = component.join((b"ACK", kind[1], b"ACK"))
    at = now.strftime("%Y%m%d%H%M%S%z").encode()
    msh = [b"MSH", fields[1], fields[4], fields[5], fields[2], fields[3], at, b"", answer_kind, control_id.encode(), fields[10], fields[11]]
    if fields[17]:
        msh += [b""] * 5 + [fields[17]]
    msa = [b"MSA", code.encode(), fields[9]]
    if reply.text:
        msa.append(_escaped(reply.text, separator, fields[1], escape))
    return separator.join(msh) + b"\r" + separator.join(msa) + b"\r"


def _code(code: AckCode, accept: bytes, application: bytes) -> str:
    """The code in the mode that the sender asked for, "" when it asked for no answer to this."""
    if not accept and not application:
        return _APPLICATION.get(code, code)
    good = code in ("AA", "CA")
    if _is_wanted(accept, good):
        return _COMMIT[code]
    return _APPLICATION.get(code, code) if _is_wanted(application, good) else ""


def _is_wanted(condition: bytes, good: bool) -> bool:
    """HL7 table 0155: AL always, NE never, ER only errors, SU only successes."""
    return condition == b"AL" or (condition == b"SU" and good) or (condition == b"ER" and not good)


def _escaped(text: str, separator: bytes, encoding: bytes, escape: bytes) -> bytes:
    """Our text in the sender's delimiters; ASCII, so that every character set carries it."""
    plain = text.encode("ascii", "replace").replace(b"\r", b" ").replace(b"\n", b" ")
    names = {escape: b"E", separator: b"F", encoding[:1]: b"S", encoding[1:2]: b"R", encoding[3:4]: b"T"}
    return b"".join(escape + names[byte] + escape if (byte := plain[i : i + 1]) in names else byte for i in range(len(plain)))
