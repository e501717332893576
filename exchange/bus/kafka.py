"""The Kafka bus, over aiokafka: plain and blocking outside, one asyncio loop in a thread inside.

The database is the truth: whatever is doubtful here is closed, made anew and published or read again, and consumers know each
event by its id. Hence no Kafka transactions, and a guard for everything that aiokafka is known to do wrong:

- a batch refused for good uses up sequence numbers, and every later one to that partition fails: any error ends the producer, and
  what is too large is refused before it is sent;
- an idempotent send never gives up when a broker freezes: the patience is ours;
- stopping flushes first, and may wait for ever: it is given a moment, then the parts are closed;
- why nobody could be connected to is logged and kept from us: one broker is asked again, so that a refused login is named;
- a consumer may stand still after its broker came back: one that makes no progress although there is more is made anew.
"""

import asyncio
import contextlib
import re
import ssl
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import CommitFailedError, KafkaConnectionError, KafkaError, SaslAuthenticationFailed, TopicAlreadyExistsError, for_code
from aiokafka.helpers import create_ssl_context

from exchange.errors import Conflict, Refused, Unavailable
from exchange.ports import BusMessage

T = TypeVar("T")
log = structlog.get_logger("wardpost.bus")
TOPIC = "wardpost.events.v1"
# For life: another number would move mailboxes to other partitions and mix their order.
PARTITIONS = 48
RETENTION_MS = 7 * 24 * 3600 * 1000
# Far below the broker's limit of 1 MiB; events hold ids only.
MAX_BYTES = 100_000
# How long one call may take. Shorter than the relay's lease.
PATIENCE_SECONDS = 10.0
_CLOSING_SECONDS = 3.0
_HEX = re.compile(r"[^0-9a-f]")
PRODUCER: Mapping[str, Any] = {"acks": "all", "enable_idempotence": True, "max_request_size": 2 * MAX_BYTES, "request_timeout_ms": 5000}
CONSUMER: Mapping[str, Any] = {"enable_auto_commit": False, "auto_offset_reset": "earliest", "request_timeout_ms": 15000}


@dataclass(frozen=True, slots=True)
class KafkaAccess:
    """Where the brokers are and who we are there. A user without TLS is for a network that nobody else is on."""

    servers: str
    user: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""

    def options(self) -> dict[str, Any]:
        """Raises Refused `bus_certificate` when the authority's file cannot be used."""
        options: dict[str, Any] = {"bootstrap_servers": self.servers.split(",")}
        if self.user:
            options |= {"sasl_mechanism": "SCRAM-SHA-512", "sasl_plain_username": self.user, "sasl_plain_password": self.password}
        if self.ca_file:
            try:
                context = create_ssl_context(cafile=self.ca_file)
            except OSError:  # ssl's own errors are such
                step = "WARDPOST_KAFKA_CA_FILE is a PEM file that the service may read."
                raise Refused("bus_certificate", "The file of the brokers' authority cannot be used.", next_step=step) from None
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            options["ssl_context"] = context
        options["security_protocol"] = ("SASL_" if self.user else "") + ("SSL" if self.ca_file else "PLAINTEXT")
        return options


@dataclass(slots=True)
class _Reader:
    """One consumer: what the last fetch gave (the first offset of each partition, and the one after its last), and when it moved."""

    consumer: AIOKafkaConsumer
    moved_at: float
    first: dict[TopicPartition, int] = field(default_factory=dict)
    after: dict[TopicPartition, int] = field(default_factory=dict)


class KafkaBus:
    """Implements ports.Bus. `session_seconds`: after so long without a sign, a consumer's partitions go to another one."""

    def __init__(
        self, access: KafkaAccess, *, topic: str = TOPIC, session_seconds: float = 10.0, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self._options, self._topic = access.options(), topic
        self._session_ms, self._patience = int(session_seconds * 1000), patience_seconds
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wardpost-kafka", daemon=True)
        self._producer: AIOKafkaProducer | None = None
        self._readers: dict[str, _Reader] = {}
        self._has_topic = False
        self._starting = threading.Lock()

    # ports.Bus

    def publish(self, events: Sequence[BusMessage]) -> None:
        for event in events:
            if len(event.body) > MAX_BYTES:
                raise Refused("event_too_large", "An event is too large for the bus.", next_step="Events hold ids only; report this.")
        self._run(self._publish(events), self._patience + _CLOSING_SECONDS)

    def fetch(self, group: str, limit: int) -> Sequence[BusMessage]:
        return self._run(self._fetch(group, limit), self._patience + _CLOSING_SECONDS)

    def commit(self, group: str) -> None:
        self._run(self._commit(group), self._patience + _CLOSING_SECONDS)

    def ping(self) -> None:
        async def ask() -> None:
            async with asyncio.timeout(self._patience / 4), self._admin() as admin:
                await admin.describe_topics([self._topic])

        self._run(ask(), self._patience)

    def close(self) -> None:
        async def leave() -> None:
            await self._drop_producer()
            for group in list(self._readers):
                await self._drop_reader(group)
            # What was given up on may still be closing its connections: a loop that stops now would leave them open.
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            await _closed(asyncio.wait(rest) if rest else asyncio.sleep(0))
            await asyncio.sleep(0.05)

        if self._thread.is_alive():
            with contextlib.suppress(Unavailable):
                self._run(leave(), 4 * _CLOSING_SECONDS)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()

    # Inside the loop

    async def _publish(self, events: Sequence[BusMessage]) -> None:
        try:
            async with asyncio.timeout(self._patience):
                if self._producer is None:
                    await self._make_topic()
                    self._producer = AIOKafkaProducer(**self._options, **PRODUCER)
                    await self._producer.start()
                sent = [
                    await self._producer.send(self._topic, event.body.encode(), event.key.encode(), headers=headers_of(event))
                    for event in events
                ]
                done = await asyncio.gather(*sent, return_exceptions=True)
            if problem := next((one for one in done if isinstance(one, BaseException)), None):
                raise problem
        except BaseException:
            await self._drop_producer()
            raise

    async def _fetch(self, group: str, limit: int) -> list[BusMessage]:
        try:
            async with asyncio.timeout(self._patience):
                reader = self._readers.get(group) or await self._join(group)
                mine = reader.consumer.assignment()
                for place, offset in reader.first.items():
                    if place in mine:  # else others read it now, from the committed offset
                        reader.consumer.seek(place, offset)
                reader.first, reader.after = {}, {}
                found = await reader.consumer.getmany(timeout_ms=200, max_records=limit)
                reader.first = {place: records[0].offset for place, records in found.items()}
                reader.after = {place: records[-1].offset + 1 for place, records in found.items()}
                if found:
                    reader.moved_at = time.monotonic()
                elif time.monotonic() - reader.moved_at > 3 * self._patience:
                    await self._watch(group, reader)
            return [message for records in found.values() for record in records if (message := read_record(record))]
        except BaseException:
            await self._drop_reader(group)
            raise

    async def _commit(self, group: str) -> None:
        reader = self._readers.get(group)
        if reader is None or not reader.after:
            return
        try:
            async with asyncio.timeout(self._patience):
                mine = reader.consumer.assignment()
                if lost := [place for place in reader.after if place not in mine]:
                    raise CommitFailedError(f"{len(lost)} partitions are no longer ours")
                await reader.consumer.commit(reader.after)
                reader.first, reader.after = {}, {}
        except CommitFailedError:
            reader.first, reader.after = {}, {}
            step = "Nothing: whoever reads them now knows what has had its effect."
            raise Conflict("bus_offset_refused", "Another consumer has taken over these events.", next_step=step) from None
        except BaseException:
            await self._drop_reader(group)
            raise

    async def _join(self, group: str) -> _Reader:
        await self._make_topic()
        consumer = AIOKafkaConsumer(
            self._topic,
            group_id=f"wardpost.{group}",
            session_timeout_ms=self._session_ms,
            heartbeat_interval_ms=self._session_ms // 4,
            **self._options,
            **CONSUMER,
        )
        self._readers[group] = _Reader(consumer, time.monotonic())
        await consumer.start()
        return self._readers[group]

    async def _watch(self, group: str, reader: _Reader) -> None:
        """Nothing has come for long: when there is more, or nothing is assigned to us, begin anew."""
        reader.moved_at = time.monotonic()
        mine = list(reader.consumer.assignment())
        ends = await reader.consumer.end_offsets(mine) if mine else {}
        if not mine or any([end > await reader.consumer.position(place) for place, end in ends.items()]):
            log.warning("bus_consumer_rebuilt", group=group, partitions=len(mine))
            await self._drop_reader(group)

    async def _make_topic(self) -> None:
        """Raises Refused `bus_partitions` when the topic is there with another number of partitions."""
        if self._has_topic:
            return
        async with self._admin() as admin:
            brokers = len((await admin.describe_cluster())["brokers"])
            copies = min(3, brokers)
            configs = {"min.insync.replicas": str(max(1, copies - 1)), "retention.ms": str(RETENTION_MS), "cleanup.policy": "delete"}
            made = await admin.create_topics([NewTopic(self._topic, PARTITIONS, copies, topic_configs=configs)])
            if (code := made.topic_errors[0][1]) not in (0, TopicAlreadyExistsError.errno):
                raise for_code(code)
            while (found := (await admin.describe_topics([self._topic]))[0])["error_code"]:
                await asyncio.sleep(0.1)  # its leaders are still being chosen; the caller's patience ends this
            if len(found["partitions"]) != PARTITIONS:
                step = f"Make it anew with {PARTITIONS}, drained before."
                raise Refused("bus_partitions", f"The topic {self._topic} has another number of partitions.", next_step=step)
        self._has_topic = True

    @contextlib.asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(**self._options, request_timeout_ms=5000)
        try:
            await admin.start()
            yield admin
        finally:
            await _closed(admin.close())

    async def _drop_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None and not await _closed(producer.stop()):
            # It still waits to flush. What it holds is in the outbox.
            await _closed(producer._sender.close())
            await _closed(producer.client.close())

    async def _drop_reader(self, group: str) -> None:
        reader = self._readers.pop(group, None)
        if reader is not None and not await _closed(reader.consumer.stop()):
            await _closed(reader.consumer._client.close())

    # From outside

    def _run(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        """Do it in our loop. Raises Unavailable for whatever goes wrong there; our own errors pass."""
        with self._starting:
            if self._thread.ident is None:
                self._thread.start()
        future = asyncio.run_coroutine_threadsafe(self._or_why(work), self._loop)
        try:
            return future.result(seconds + self._patience)
        except (KafkaError, OSError, TimeoutError, asyncio.CancelledError) as problem:
            future.cancel()
            step = "Nothing is lost; it is tried again. If they run: WARDPOST_KAFKA_USER and WARDPOST_KAFKA_CA_FILE may be wanted."
            raise Unavailable("bus_away", "The Kafka brokers did not answer.", next_step=step) from problem

    async def _or_why(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it. Raises Refused `bus_login` or `bus_certificate` when that is why no connection came about."""
        try:
            return await work
        except KafkaConnectionError:
            host, port, _ = collect_hosts(self._options["bootstrap_servers"])[0]
            try:
                async with asyncio.timeout(self._patience / 4):
                    (await create_conn(host, port, **{k: v for k, v in self._options.items() if k != "bootstrap_servers"})).close()
            except (SaslAuthenticationFailed, KeyError) as problem:  # KeyError: a SCRAM refusal in its older form
                step = "Check WARDPOST_KAFKA_USER and WARDPOST_KAFKA_PASSWORD_FILE."
                raise Refused("bus_login", "The Kafka login was refused.", next_step=step) from problem
            except ssl.SSLCertVerificationError as problem:
                step = "Check WARDPOST_KAFKA_CA_FILE, and that the broker's certificate names the host of WARDPOST_KAFKA."
                raise Refused("bus_certificate", "The Kafka broker's certificate is not vouched for.", next_step=step) from problem
            except (KafkaError, OSError):
                pass  # no more is known than before
            raise


async def _closed(work: Coroutine[Any, Any, object]) -> bool:
    """Whether it came to its end, in the time that we give it."""
    try:
        async with asyncio.timeout(_CLOSING_SECONDS):
            await work
    except (KafkaError, OSError, TimeoutError):
        return False
    return True


def headers_of(event: BusMessage) -> list[tuple[str, bytes]]:
    """CloudEvents 1.0 in Kafka's binary mode, and the W3C trace that begins with the transfer. Nothing here names a person."""
    fields = {
        "ce_specversion": "1.0",
        "ce_id": event.event_id,
        "ce_source": "/wardpost",
        "ce_type": f"wardpost.{event.type}.v1",
        "ce_time": event.created_at.astimezone(UTC).isoformat(timespec="microseconds"),
        "ce_subject": event.key,
        "ce_partitionkey": event.key,
        "ce_sequence": str(event.sequence),
        "ce_dataschema": f"urn:wardpost:event:{event.type}:v1",
        "content-type": "application/json",
    }
    transfer, span = _HEX.sub("", event.body.partition('"transfer":"')[2][:36]), _HEX.sub("", event.event_id)[:16]
    if len(transfer) == 32 and len(span) == 16:
        fields["traceparent"] = f"00-{transfer}-{span}-01"
    return [(name, value.encode()) for name, value in fields.items()]


def read_record(record: "ConsumerRecord[bytes | None, bytes | None]") -> BusMessage | None:
    """What `headers_of` and the value say. None for what is not ours: it has no effect, and its offset moves on."""
    said = {name: value.decode("utf-8", "replace") for name, value in cast("Sequence[tuple[str, bytes]]", record.headers)}
    try:
        key, body = cast(bytes, record.key).decode(), cast(bytes, record.value).decode()
        kind, moment = said["ce_type"].removeprefix("wardpost.").removesuffix(".v1"), datetime.fromisoformat(said["ce_time"])
        return BusMessage(said["ce_id"], key, int(said["ce_sequence"]), kind, body, moment)
    except (KeyError, ValueError, AttributeError):
        log.error("bus_message_unreadable", partition=record.partition, offset=record.offset)
        return None
