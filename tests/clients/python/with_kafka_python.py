"""The commands with kafka-python."""

import sys

from kafka import (
    ConsumerRebalanceListener,
    KafkaConsumer,
    KafkaProducer,
    OffsetAndMetadata,
    TopicPartition,
)
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.errors import CommitFailedError, KafkaError, RebalanceInProgressError

from client import (
    Positions,
    Stop,
    emit,
    emit_committed,
    emit_delivered,
    emit_record,
    messages,
)

PATIENCE_MS = 10_000


def settings(arguments, **more):
    common = {"bootstrap_servers": arguments.bootstrap}
    if arguments.ca:
        common["ssl_cafile"] = arguments.ca
    if arguments.user:
        common["sasl_mechanism"] = arguments.mechanism
        common["sasl_plain_username"] = arguments.user
        common["sasl_plain_password"] = arguments.password
    common["security_protocol"] = ("SASL_" if arguments.user else "") + (
        "SSL" if arguments.ca else "PLAINTEXT"
    )
    return common | more


def produce(arguments):
    # It is idempotent by default, and its only partitioner for keys is murmur2.
    client = KafkaProducer(**settings(arguments, acks="all", linger_ms=5))
    sent = [
        (n, key, client.send(arguments.topic, value, key.encode()))
        for n, key, value in messages(arguments)
    ]
    for n, key, future in sent:
        written = future.get(arguments.timeout)
        emit_delivered(written.partition, written.offset, key, n)
    client.close()
    emit(done=arguments.count)


def conflict(arguments):
    client = KafkaProducer(**settings(arguments, acks="all"))
    future = client.send(
        arguments.topic,
        b'{"n": 0}',
        arguments.key.encode(),
        headers=[("expected-version", arguments.version.encode())],
    )
    try:
        emit(ok=future.get(arguments.timeout).offset)
    except KafkaError as error:
        emit(error=type(error).__name__, code=getattr(error, "errno", None), message=str(error))
    client.close()


def emit_found(record):
    emit_record(
        record.partition, record.offset, record.key, record.value, record.timestamp, record.headers
    )


def records(client):
    while True:
        for found in client.poll(200).values():
            yield from found


def consume(arguments):
    client = KafkaConsumer(
        **settings(arguments, group_id=None, enable_auto_commit=False, auto_offset_reset="none")
    )
    numbers = client.partitions_for_topic(arguments.topic)
    partitions = [TopicPartition(arguments.topic, number) for number in sorted(numbers)]
    client.assign(partitions)
    if arguments.origin == "earliest":
        client.seek_to_beginning(*partitions)
    else:
        time = int(arguments.origin)
        offsets = client.offsets_for_times({partition: time for partition in partitions})
        ends = client.end_offsets(partitions)
        for partition in partitions:
            found = offsets.get(partition)
            client.seek(partition, ends[partition] if found is None else found.offset)
    left = arguments.count
    for record in records(client):
        emit_found(record)
        left -= 1
        if left == 0:
            break
    client.close(timeout_ms=PATIENCE_MS)
    emit(done=arguments.count)


class Listener(ConsumerRebalanceListener):
    def __init__(self, commit):
        self.commit = commit

    def on_partitions_assigned(self, assigned):
        emit(assigned=sorted(partition.partition for partition in assigned))

    def on_partitions_revoked(self, revoked):
        self.commit()
        emit(revoked=sorted(partition.partition for partition in revoked))


def group(arguments):
    assignor = CooperativeStickyAssignor if arguments.cooperative else RangePartitionAssignor
    client = KafkaConsumer(
        **settings(
            arguments,
            group_id=arguments.group,
            group_instance_id=arguments.static_id,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=arguments.session_ms,
            heartbeat_interval_ms=500,
            partition_assignment_strategy=(assignor,),
        )
    )
    positions = Positions(arguments.commit_every)

    def commit():
        taken = positions.take()
        if taken:
            offsets = {
                TopicPartition(arguments.topic, number): OffsetAndMetadata(offset, "", -1)
                for number, offset in taken.items()
            }
            try:
                client.commit(offsets)
            except (CommitFailedError, RebalanceInProgressError) as error:
                # The member joins again and reads on from the last commit.
                print(error, file=sys.stderr)
                return
            emit_committed(taken)

    client.subscribe([arguments.topic], listener=Listener(commit))
    left = arguments.count
    try:
        for record in records(client):
            emit_found(record)
            if positions.add(record.partition, record.offset):
                commit()
            left -= 1
            if left == 0:
                break
    except Stop:
        pass
    commit()
    client.close(autocommit=False, timeout_ms=PATIENCE_MS)
    emit(closed=True)
