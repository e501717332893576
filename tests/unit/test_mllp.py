"""MLLP: framing, order, limits, and the bytes of the acknowledgement. Kinds: cases 35 (end bytes apart) and 36 (addresses turned round)."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from exchange.intake.mllp import Frame, Framer, MllpListener, Reply, build_ack

NOW = datetime(2026, 1, 14, 16, 30, 5, tzinfo=UTC)
PID = b"\rPID|1||9990000018^^^NHS^NH||Testperson^Ada"


def message(control_id: str, rest: str = "") -> bytes:
    return f"MSH|^~\\&|AAA|BBB|CCC|DDD|20260114163000||ADT^A08^ADT_A01|{control_id}|P|2.4{rest}".encode() + PID + b"\r"


def framed(*contents: bytes) -> bytes:
    return b"".join(b"\x0b" + content + b"\x1c\r" for content in contents)


def with_listener(
    play: Callable[[MllpListener, list[bytes]], Awaitable[None]], handler: Callable[[bytes], Awaitable[Reply]] | None = None, **options: Any
) -> list[bytes]:
    """Run a listener and the play against it; gives the frames that the handler took."""
    taken: list[bytes] = []

    async def keep(raw: bytes) -> Reply:
        taken.append(raw)
        return await handler(raw) if handler else Reply()

    async def story() -> None:
        listener = MllpListener(keep, now=lambda: NOW, new_control_id=lambda: "W1", **options)
        await listener.start()
        try:
            await asyncio.wait_for(play(listener, taken), 20)
        finally:
            await listener.stop()

    asyncio.run(story())
    return taken


async def answer(reader: asyncio.StreamReader) -> bytes:
    return (await reader.readuntil(b"\x1c\r"))[1:-2]


class TestFramer:
    def test_gives_the_same_frames_however_the_bytes_arrive(self) -> None:
        stream = framed(b"first", b"second\x1cwith the first end byte inside", b"")
        for size in (1, 2, 3, 7, len(stream)):
            framer = Framer(1000)
            frames = [frame for at in range(0, len(stream), size) for frame in framer.feed(stream[at : at + size])]
            assert [frame.content for frame in frames] == [b"first", b"second\x1cwith the first end byte inside", b""]
            assert (framer.garbage_bytes, framer.truncated, framer.is_inside) == (0, 0, False)

    def test_counts_garbage_between_frames_and_ignores_it(self) -> None:
        framer = Framer(1000)
        assert framer.feed(b"\r\nGET /" + framed(b"one") + b"\r\n\x00" + framed(b"two")) == [Frame(b"one"), Frame(b"two")]
        assert framer.garbage_bytes == 10

    def test_a_new_start_throws_the_unfinished_frame_away(self) -> None:
        framer = Framer(1000)
        assert framer.feed(b"\x0bhalf a mess" + framed(b"whole")) == [Frame(b"whole")]
        assert framer.feed(b"\x0bhalf again") == []
        assert framer.feed(framed(b"whole again")) == [Frame(b"whole again")]
        assert framer.truncated == 2

    @pytest.mark.parametrize("size", [1, 3, 100])
    def test_a_frame_of_just_the_limit_passes_and_one_byte_more_does_not(self, size: int) -> None:
        stream = framed(b"x" * 50, b"y" * 51, b"z" * 5000, b"after")
        framer = Framer(50)
        frames = [frame for at in range(0, len(stream), size) for frame in framer.feed(stream[at : at + size])]
        assert [(frame.content[:1], frame.oversized) for frame in frames] == [(b"x", False), (b"y", True), (b"z", True), (b"a", False)]

    def test_keeps_little_of_a_frame_without_end(self) -> None:
        framer = Framer(1000)
        framer.feed(b"\x0bMSH|")
        for _ in range(100):
            assert framer.feed(b"x" * 60_000) == []
        assert len(framer._buffer) < 70_000
        (frame,) = framer.feed(b"\x1c") + framer.feed(b"\r")
        assert frame.oversized
        assert frame.content.startswith(b"MSH|xxx")


class TestListener:
    def test_end_bytes_apart(self) -> None:
        """Case 35: nothing is answered before the last byte, and then once."""

        async def play(listener: MllpListener, taken: list[bytes]) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            content = message("F1")
            for part in (b"\x0b", content[:90], content[90:-1], content[-1:], b"\x1c"):
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.02)
            assert taken == []
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.05)
            writer.write(b"\r")
            assert b"MSA|AA|F1\r" in await answer(reader)
            writer.write(framed(message("F2")))
            assert b"MSA|AA|F2\r" in await answer(reader)
            reader, other = await asyncio.open_connection("127.0.0.1", listener.port)
            for at in framed(message("F3")):
                other.write(bytes([at]))
            assert b"MSA|AA|F3\r" in await answer(reader)
            writer.close()
            other.close()

        assert with_listener(play) == [message("F1"), message("F2"), message("F3")]

    def test_two_frames_in_a_packet_are_answered_in_order_on_one_connection(self) -> None:
        running = 0

        async def slow(raw: bytes) -> Reply:
            nonlocal running
            running += 1
            assert running == 1, "one frame of a connection at a time"
            await asyncio.sleep(0.01)
            running -= 1
            return Reply()

        async def play(listener: MllpListener, taken: list[bytes]) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(b"noise" + framed(*(message(f"M{n}") for n in range(5))))
            for n in range(5):
                assert f"MSA|AA|M{n}\r".encode() in await answer(reader)
            writer.close()

        assert len(with_listener(play, slow)) == 5

    def test_oversized_is_refused_by_name_and_the_connection_goes_on(self) -> None:
        async def play(listener: MllpListener, taken: list[bytes]) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(framed(message("BIG") + b"x" * 200_000, message("OK")))
            refused = await answer(reader)
            assert b"MSA|AR|BIG|frame_too_large" in refused
            assert b"MSA|AA|OK" in await answer(reader)
            writer.close()

        assert with_listener(play, max_frame_bytes=100_000) == [message("OK")]

    def test_truncated_then_whole(self) -> None:
        async def play(listener: MllpListener, taken: list[bytes]) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(b"\x0b" + message("T1")[:80] + framed(message("T1")))
            assert b"MSA|AA|T1\r" in await answer(reader)
            writer.close()

        assert with_listener(play) == [message("T1")]

    @pytest.mark.parametrize("how", ["close", "raise"])
    def test_no_custody_no_answer(self, how: str) -> None:
        async def away(raw: bytes) -> Reply:
            if how == "raise":
                raise RuntimeError("Testperson must not be logged")
            return Reply(close=True)

        async def play(listener: MllpListener, taken: list[bytes]) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(framed(message("N1")))
            assert await reader.read() == b""
            writer.close()

        with structlog.testing.capture_logs() as logs:
            assert with_listener(play, away) == [message("N1")]
        assert "Testperson" not in str(logs)

    @pytest.mark.parametrize(("sent", "option"), [(b"", "idle_timeout_seconds"), (b"\x0bMSH|", "frame_timeout_seconds")])
    def test_time_limits_close_the_connection(self, sent: bytes, option: str) -> None:
        async def play(listener: MllpListener, taken: list[bytes]) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(sent)
            try:
                assert await reader.read() == b""
            except ConnectionResetError:
                pass
            writer.close()

        assert with_listener(play, **{option: 0.05}) == []

    def test_too_many_connections_are_closed_at_once(self) -> None:
        async def play(listener: MllpListener, taken: list[bytes]) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(framed(message("A")))
            await answer(reader)
            late, other = await asyncio.open_connection("127.0.0.1", listener.port)
            assert await late.read() == b""
            for one in (writer, other):
                one.close()

        assert len(with_listener(play, max_connections=1)) == 1

    def test_a_sender_that_hangs_up_harms_nobody_else(self) -> None:
        gate = asyncio.Event()

        async def slow(raw: bytes) -> Reply:
            if b"SLOW" in raw:
                await gate.wait()
            return Reply()

        async def play(listener: MllpListener, taken: list[bytes]) -> None:
            _, gone = await asyncio.open_connection("127.0.0.1", listener.port)
            gone.write(framed(message("SLOW"), message("NEXT")))
            while not taken:
                await asyncio.sleep(0)
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(framed(message("OTHER")))
            assert b"MSA|AA|OTHER" in await answer(reader)
            gone.transport.abort()
            gate.set()
            writer.write(framed(message("AGAIN")))
            assert b"MSA|AA|AGAIN" in await answer(reader)
            writer.close()

        assert with_listener(play, slow)[:2] == [message("SLOW"), message("OTHER")]

    def test_a_frame_in_hand_is_answered_before_the_listener_stops(self) -> None:
        async def story() -> None:
            begun, go_on = asyncio.Event(), asyncio.Event()

            async def handler(raw: bytes) -> Reply:
                begun.set()
                await go_on.wait()
                return Reply()

            listener = MllpListener(handler)
            await listener.start()
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            idle, idle_writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(framed(message("S1"), message("S2")))
            await begun.wait()
            port, stopping = listener.port, asyncio.create_task(listener.stop())
            assert await idle.read() == b""
            go_on.set()
            rest = await reader.read()
            await stopping
            assert rest.count(b"MSA|AA|S1") == 1
            assert b"S2" not in rest
            with pytest.raises(OSError):
                await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            idle_writer.close()

        asyncio.run(asyncio.wait_for(story(), 20))

    def test_tls(self, tmp_path: Path) -> None:
        key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
        builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW - timedelta(days=1), NOW + timedelta(days=36500))
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (tmp_path / "server.pem").write_bytes(pem + secret)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(tmp_path / "server.pem")

        async def play(listener: MllpListener, taken: list[bytes]) -> None:
            trusted = ssl.create_default_context(cadata=pem.decode())
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port, ssl=trusted, server_hostname="localhost")
            writer.write(framed(message("TLS")))
            assert b"MSA|AA|TLS" in await answer(reader)
            writer.close()
            await writer.wait_closed()

        assert with_listener(play, ssl_context=server) == [message("TLS")]

    def test_answers_do_not_wait_for_nagle(self) -> None:
        async def play(listener: MllpListener, taken: list[bytes]) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            began = asyncio.get_running_loop().time()
            for n in range(100):
                writer.write(framed(message(str(n))))
                await answer(reader)
            assert asyncio.get_running_loop().time() - began < 2, "100 answers at 40 ms each would take 4 s"
            writer.close()

        with_listener(play)


def lines(ack: bytes) -> list[list[bytes]]:
    return [line.split(ack[3:4]) for line in ack.rstrip(b"\r").split(b"\r")]


class TestAcknowledgement:
    def test_addresses_are_turned_round_field_by_field(self) -> None:
        """Case 36, steps 1 and 2."""
        msh, msa = lines(build_ack(message("H1"), Reply(), NOW, "W1"))
        assert msh == [b"MSH", rb"^~\&", b"CCC", b"DDD", b"AAA", b"BBB", b"20260114163005+0000", b"", b"ACK^A08^ACK", b"W1", b"P", b"2.4"]
        assert msa == [b"MSA", b"AA", b"H1"]
        raw = message("H2").replace(b"|AAA|BBB|", b"|AAA^1.2.3^ISO|BBB^4.5.6^ISO|")
        msh, _ = lines(build_ack(raw, Reply(), NOW, "W1"))
        assert msh[2:6] == [b"CCC", b"DDD", b"AAA^1.2.3^ISO", b"BBB^4.5.6^ISO"]

    def test_other_delimiters_stay_the_senders(self) -> None:
        """Case 36, step 3; the text of an error is escaped in them."""
        raw = b"MSH$:*@+$AAA$BBB$CCC$DDD$20260114163000$$ADT:A08:ADT_A01$H3$P$2.4\r"
        msh, msa = lines(build_ack(raw, Reply("AE", "a: b$c*d@e+f \u00e9"), NOW, "W1"))
        assert msh[1:6] == [b":*@+", b"CCC", b"DDD", b"AAA", b"BBB"]
        assert msh[8] == b"ACK:A08:ACK"
        assert msa == [b"MSA", b"AE", b"H3", b"a@S@ b@F@c@R@d@E@e@T@f ?"]

    @pytest.mark.parametrize(
        ("modes", "code", "expected"),
        [
            ("|||AL|NE", "AA", b"CA"),
            ("|||AL|NE", "AE", b"CE"),
            ("|||AL|AL", "AR", b"CR"),
            ("|||SU|NE", "AA", b"CA"),
            ("|||SU|NE", "AE", b""),
            ("|||ER|NE", "AA", b""),
            ("|||ER|NE", "AR", b"CR"),
            ("|||NE|NE", "AA", b""),
            ("|||NE|AL", "AA", b"AA"),
            ("||||AL", "CE", b"AE"),
            ("", "CA", b"AA"),
            ("", "AE", b"AE"),
        ],
    )
    def test_enhanced_mode(self, modes: str, code: Any, expected: bytes) -> None:
        ack = build_ack(message("E1", modes), Reply(code), NOW, "W1")
        assert (lines(ack)[1][1] if ack else b"") == expected

    def test_character_set_processing_id_and_version_are_repeated(self) -> None:
        raw = b"MSH|^~\\&#|A|B|C|D|20260114||MDM^T02^MDM_T02|id-\xe9|T^A|2.8^GBR||||||8859/1\r"
        msh, msa = lines(build_ack(raw, Reply(), NOW, "W1"))
        assert (msh[1], msh[10], msh[11], msh[17], msa[2]) == (rb"^~\&#", b"T^A", b"2.8^GBR", b"8859/1", b"id-\xe9")

    def test_old_versions_know_one_kind_of_acknowledgement(self) -> None:
        assert lines(build_ack(message("O1").replace(b"|2.4", b"|2.3"), Reply(), NOW, "W1"))[0][8] == b"ACK"

    def test_the_message_inside_a_batch_is_acknowledged(self) -> None:
        raw = b"FHS|^~\\&|X\rBHS|^~\\&|X\r" + message("B1") + b"BTS|1\r"
        assert b"MSA|AA|B1" in build_ack(raw, Reply(), NOW, "W1")

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"\x00\xff rubbish",
            b"MSH",
            b"MSH|^~\\&|A",
            b"PID|1",
            b"MSHa^~\\&aAaBaCaDa2aaADTaIDaPa2.4",
            b"MSH|^~\\&|A\x1c|B|C|D|2||ADT|ID|P|2.4",
        ],
    )
    def test_bytes_without_a_readable_header_get_a_plain_answer(self, raw: bytes) -> None:
        ack = build_ack(raw, Reply("AE", "hl7_no_header: no MSH"), NOW, "W1")
        msh, msa = lines(ack)
        assert (msh[1], msh[8], msh[9]) == (rb"^~\&", b"ACK", b"W1")
        assert msa == [b"MSA", b"AE", b"", b"hl7_no_header: no MSH"]

    def test_nothing_of_the_person_is_in_it(self) -> None:
        assert b"Testperson" not in build_ack(message("P1"), Reply("AE", "hl7_segment"), NOW, "W1")
