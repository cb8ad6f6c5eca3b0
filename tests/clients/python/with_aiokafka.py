"""The commands with aiokafka."""

import asyncio
import signal
import ssl
import sys

from aiokafka import (
    AIOKafkaConsumer,
    AIOKafkaProducer,
    ConsumerRebalanceListener,
    TopicPartition,
)
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import CommitFailedError, KafkaError, RebalanceInProgressError

from client import (
    Positions,
    Unsupported,
    emit,
    emit_committed,
    emit_delivered,
    emit_record,
    messages,
)


def settings(arguments, **more):
    common = {"bootstrap_servers": arguments.bootstrap}
    if arguments.ca:
        common["ssl_context"] = ssl.create_default_context(cafile=arguments.ca)
    if arguments.user:
        common["sasl_mechanism"] = arguments.mechanism
        common["sasl_plain_username"] = arguments.user
        common["sasl_plain_password"] = arguments.password
    common["security_protocol"] = ("SASL_" if arguments.user else "") + (
        "SSL" if arguments.ca else "PLAINTEXT"
    )
    return common | more


def produce(arguments):
    asyncio.run(produce_all(arguments))


async def produce_all(arguments):
    # Its only partitioner for keys is murmur2.
    client = AIOKafkaProducer(
        **settings(arguments, acks="all", enable_idempotence=arguments.idempotent, linger_ms=5)
    )
    async with client:
        sent = [
            (n, key, await client.send(arguments.topic, value, key.encode()))
            for n, key, value in messages(arguments)
        ]
        for n, key, future in sent:
            written = await future
            emit_delivered(written.partition, written.offset, key, n)
    emit(done=arguments.count)


def conflict(arguments):
    asyncio.run(produce_conditionally(arguments))


async def produce_conditionally(arguments):
    async with AIOKafkaProducer(**settings(arguments, acks="all")) as client:
        try:
            written = await client.send_and_wait(
                arguments.topic,
                b'{"n": 0}',
                arguments.key.encode(),
                headers=[("expected-version", arguments.version.encode())],
            )
            emit(ok=written.offset)
        except KafkaError as error:
            emit(error=type(error).__name__, code=getattr(error, "errno", None), message=str(error))


def emit_found(record):
    emit_record(
        record.partition, record.offset, record.key, record.value, record.timestamp, record.headers
    )


def consume(arguments):
    asyncio.run(consume_all(arguments))


async def consume_all(arguments):
    client = AIOKafkaConsumer(
        **settings(arguments, enable_auto_commit=False, auto_offset_reset="earliest")
    )
    async with client:
        # Without a group it knows the partitions only of topics that it has asked for.
        client.subscribe([arguments.topic])
        await client.getmany(timeout_ms=0)
        numbers = client.partitions_for_topic(arguments.topic)
        client.unsubscribe()
        partitions = [TopicPartition(arguments.topic, number) for number in sorted(numbers)]
        client.assign(partitions)
        if arguments.origin == "earliest":
            await client.seek_to_beginning(*partitions)
        else:
            time = int(arguments.origin)
            offsets = await client.offsets_for_times({partition: time for partition in partitions})
            ends = await client.end_offsets(partitions)
            for partition in partitions:
                found = offsets.get(partition)
                client.seek(partition, ends[partition] if found is None else found.offset)
        for _ in range(arguments.count):
            emit_found(await client.getone())
    emit(done=arguments.count)


class Listener(ConsumerRebalanceListener):
    def __init__(self, commit):
        self.commit = commit

    async def on_partitions_assigned(self, assigned):
        emit(assigned=sorted(partition.partition for partition in assigned))

    async def on_partitions_revoked(self, revoked):
        await self.commit()
        emit(revoked=sorted(partition.partition for partition in revoked))


def group(arguments):
    if arguments.cooperative:
        raise Unsupported("aiokafka has no cooperative assignor")
    asyncio.run(join(arguments))


async def join(arguments):
    client = AIOKafkaConsumer(
        **settings(
            arguments,
            group_id=arguments.group,
            group_instance_id=arguments.static_id,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=arguments.session_ms,
            heartbeat_interval_ms=500,
            partition_assignment_strategy=(RangePartitionAssignor,),
        )
    )
    positions = Positions(arguments.commit_every)

    async def commit():
        taken = positions.take()
        if taken:
            offsets = {TopicPartition(arguments.topic, p): offset for p, offset in taken.items()}
            try:
                await client.commit(offsets)
            except (CommitFailedError, RebalanceInProgressError) as error:
                # The member joins again and reads on from the last commit.
                print(error, file=sys.stderr)
                return
            emit_committed(taken)

    client.subscribe([arguments.topic], listener=Listener(commit))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with client:
        left = arguments.count
        while left > 0 and not stop.is_set():
            found = await client.getmany(timeout_ms=200)
            for record in [record for records in found.values() for record in records]:
                emit_found(record)
                if positions.add(record.partition, record.offset):
                    await commit()
                left -= 1
                if left == 0:
                    break
        await commit()
    emit(closed=True)
