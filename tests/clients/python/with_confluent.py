"""The commands with librdkafka, by confluent-kafka."""

import sys

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from client import (
    Positions,
    Stop,
    emit,
    emit_committed,
    emit_delivered,
    emit_record,
    messages,
)

EARLIEST = -2

# A commit that fails so is no fault: its member joins again and reads on from the last commit.
NO_LONGER_A_MEMBER = {
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.REBALANCE_IN_PROGRESS,
}


def settings(arguments, **more):
    common = {"bootstrap.servers": arguments.bootstrap, "log_level": 4}
    if arguments.ca:
        common["ssl.ca.location"] = arguments.ca
    if arguments.user:
        common["sasl.mechanism"] = arguments.mechanism
        common["sasl.username"] = arguments.user
        common["sasl.password"] = arguments.password
    common["security.protocol"] = ("sasl_" if arguments.user else "") + (
        "ssl" if arguments.ca else "plaintext"
    )
    return common | {name.replace("_", "."): value for name, value in more.items()}


def producer(arguments, idempotent=False, partitioner="murmur2_random"):
    # Its own partitioner is CRC-32: a keyed record would go to another partition than Java's clients choose.
    # Without idempotence a retry overtakes later records, unless there is one request at a time.
    return Producer(
        settings(
            arguments,
            acks="all",
            enable_idempotence=idempotent,
            partitioner=partitioner,
            max_in_flight=5 if idempotent else 1,
            linger_ms=5,
        )
    )


def produce(arguments):
    chosen = "murmur2_random" if arguments.partitioner == "murmur2" else "consistent_random"
    client = producer(arguments, arguments.idempotent, chosen)
    failures = []

    def delivered(n, key):
        def report(error, message):
            if error is None:
                emit_delivered(message.partition(), message.offset(), key, n)
            else:
                failures.append(error)

        return report

    for n, key, value in messages(arguments):
        while True:
            try:
                client.produce(arguments.topic, value, key, on_delivery=delivered(n, key))
                break
            except BufferError:
                client.poll(0.1)
        client.poll(0)
    client.flush()
    if failures:
        emit(error=failures[0].name(), message=failures[0].str())
        sys.exit(1)
    emit(done=arguments.count)


def conflict(arguments):
    outcome = []
    client = producer(arguments)
    client.produce(
        arguments.topic,
        b'{"n": 0}',
        arguments.key,
        headers={"expected-version": arguments.version},
        on_delivery=lambda error, message: outcome.append((error, message)),
    )
    client.flush()
    error, message = outcome[0]
    if error is None:
        emit(ok=message.offset())
    else:
        emit(error=error.name(), code=error.code(), message=error.str())


def records(client):
    """Yields records; an error of the broker or the library is raised."""
    while True:
        message = client.poll(0.2)
        if message is None:
            continue
        if message.error():
            raise KafkaException(message.error())
        yield message


def emit_message(message):
    emit_record(
        message.partition(),
        message.offset(),
        message.key(),
        message.value(),
        message.timestamp()[1],
        message.headers(),
    )


def consume(arguments):
    client = Consumer(
        settings(arguments, group_id="unused", enable_auto_commit=False, auto_offset_reset="error")
    )
    found = client.list_topics(arguments.topic, 10).topics[arguments.topic].partitions
    if arguments.origin == "earliest":
        start = [TopicPartition(arguments.topic, number, EARLIEST) for number in found]
    else:
        time = int(arguments.origin)
        wanted = [TopicPartition(arguments.topic, number, time) for number in found]
        start = client.offsets_for_times(wanted, 10)
    client.assign(start)
    left = arguments.count
    for message in records(client):
        emit_message(message)
        left -= 1
        if left == 0:
            break
    client.close()
    emit(done=arguments.count)


def group(arguments):
    strategy = "cooperative-sticky" if arguments.cooperative else "range"
    more = {"group.instance.id": arguments.static_id} if arguments.static_id else {}
    client = Consumer(
        settings(
            arguments,
            group_id=arguments.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=arguments.session_ms,
            heartbeat_interval_ms=500,
            partition_assignment_strategy=strategy,
        )
        | more
    )
    positions = Positions(arguments.commit_every)

    def commit():
        taken = positions.take()
        if taken:
            offsets = [TopicPartition(arguments.topic, p, o) for p, o in taken.items()]
            try:
                client.commit(offsets=offsets, asynchronous=False)
            except KafkaException as error:
                if error.args[0].code() not in NO_LONGER_A_MEMBER:
                    raise
                print(error, file=sys.stderr)
                return
            emit_committed(taken)

    def assigned(_client, partitions):
        emit(assigned=sorted(partition.partition for partition in partitions))

    def revoked(_client, partitions):
        commit()
        emit(revoked=sorted(partition.partition for partition in partitions))

    def lost(_client, partitions):
        positions.take()
        emit(revoked=sorted(partition.partition for partition in partitions))

    client.subscribe([arguments.topic], on_assign=assigned, on_revoke=revoked, on_lost=lost)
    left = arguments.count
    try:
        for message in records(client):
            emit_message(message)
            if positions.add(message.partition(), message.offset()):
                commit()
            left -= 1
            if left == 0:
                break
    except Stop:
        pass
    commit()
    client.close()
    emit(closed=True)
