"""A subscriber in thirty lines: prints what happens, once each and in order, however often an event comes.

    WARDPOST_KAFKA=host:port,… python subscriber.py [GROUP]

Kafka gives every event at least once. Within a mailbox (the key) `ce_sequence` counts
1, 2, 3 …: what is not above the last number is a repeat.
A real subscriber keeps `last` in its own database, in the transaction of the effect, and commits the offset afterwards, as here.
"""

import asyncio
import json
import os
import sys

from aiokafka import AIOKafkaConsumer


async def main(group: str) -> None:
    last: dict[str, int] = {}
    consumer = AIOKafkaConsumer(
        "wardpost.events.v1",
        bootstrap_servers=os.environ["WARDPOST_KAFKA"],
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    async with consumer:
        async for record in consumer:
            said = {name: value.decode() for name, value in record.headers}
            mailbox, number = record.key.decode(), int(said["ce_sequence"])
            if number > last.get(mailbox, 0):
                last[mailbox] = number
                print(mailbox, number, said["ce_type"], json.dumps(json.loads(record.value)), flush=True)
            await consumer.commit()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "sample-subscriber"))
