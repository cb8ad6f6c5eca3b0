"""A Kafka client with a small command line: `client.py LIBRARY --bootstrap HOST:PORT COMMAND ...`.

Prints one JSON object a line. `../src/event.rs` lists them; the programs in other languages print the same.
"""

import argparse
import importlib
import json
import os
import signal
import sys
import threading

LIBRARIES = {
    "confluent": "with_confluent",
    "kafka-python": "with_kafka_python",
    "aiokafka": "with_aiokafka",
}


class Unsupported(Exception):
    """The library cannot do what the command asks for."""


class Stop(Exception):
    """SIGTERM: leave the group and end."""


def emit(**event):
    """Prints one line. Callbacks of a library may run on another thread."""
    line = json.dumps(event, ensure_ascii=False) + "\n"
    with emit.lock:
        sys.stdout.write(line)
        sys.stdout.flush()


emit.lock = threading.Lock()


def text(value):
    return None if value is None else value.decode("utf-8", "replace")


def emit_record(partition, offset, key, value, timestamp, headers):
    emit(
        record={
            "partition": partition,
            "offset": offset,
            "key": text(key),
            "value": text(value),
            "timestamp": timestamp,
            "headers": {name: text(content) for name, content in headers or []},
        }
    )


def emit_delivered(partition, offset, key, n):
    emit(delivered={"partition": partition, "offset": offset, "key": key, "n": n})


def emit_committed(offsets):
    """Prints committed offsets: a dictionary of partitions."""
    emit(committed={str(partition): offset for partition, offset in offsets.items()})


def messages(arguments):
    """Yields the number, key and value of each record to produce."""
    for n in range(arguments.start, arguments.start + arguments.count):
        yield n, f"{arguments.key_prefix}{n % arguments.keys}", json.dumps({"n": n}).encode()


class Positions:
    """The offsets behind the records of a group's member, and when to commit them."""

    def __init__(self, every):
        self.every = every
        self.next = {}
        self.since = 0

    def add(self, partition, offset):
        """Notes a record; returns whether a commit is due."""
        self.next[partition] = offset + 1
        self.since += 1
        return self.since >= self.every

    def take(self):
        """Returns what to commit, and forgets it."""
        taken, self.next, self.since = self.next, {}, 0
        return taken


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("library", choices=LIBRARIES)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--user")
    parser.add_argument("--password-env", default="KAFKA_PASSWORD")
    parser.add_argument("--mechanism", default="PLAIN")
    parser.add_argument("--ca")
    parser.add_argument("--timeout", type=float, default=30)
    commands = parser.add_subparsers(dest="command", required=True)
    produce = commands.add_parser("produce")
    produce.add_argument("topic")
    produce.add_argument("count", type=int)
    produce.add_argument("--key-prefix", default="k")
    produce.add_argument("--keys", type=int, default=20)
    produce.add_argument("--start", type=int, default=0)
    produce.add_argument("--idempotent", action="store_true")
    produce.add_argument("--partitioner", choices=["murmur2", "default"], default="murmur2")
    consume = commands.add_parser("consume")
    consume.add_argument("topic")
    consume.add_argument("--from", dest="origin", default="earliest")
    consume.add_argument("--count", type=int, required=True)
    group = commands.add_parser("group")
    group.add_argument("topic")
    group.add_argument("group")
    group.add_argument("--count", type=int, default=sys.maxsize)
    group.add_argument("--commit-every", type=int, default=10)
    group.add_argument("--static-id")
    group.add_argument("--cooperative", action="store_true")
    group.add_argument("--session-ms", type=int, default=6000)
    conflict = commands.add_parser("conflict")
    conflict.add_argument("topic")
    conflict.add_argument("key")
    conflict.add_argument("version")
    arguments = parser.parse_args()
    arguments.password = os.environ.get(arguments.password_env, "")
    return arguments


def on_sigterm(_number, _frame):
    raise Stop


def end_late():
    """Ends the process even if the library never returns."""
    emit(error="timeout", message="the command did not end in time")
    os._exit(1)


def main():
    arguments = parse()
    signal.signal(signal.SIGTERM, on_sigterm)
    timer = threading.Timer(arguments.timeout, end_late)
    timer.daemon = True
    timer.start()
    library = importlib.import_module(LIBRARIES[arguments.library])
    try:
        getattr(library, arguments.command)(arguments)
    except Stop:
        pass
    except Unsupported as error:
        emit(error="unsupported", message=str(error))
        sys.exit(3)
    except Exception as error:
        emit(error=type(error).__name__, message=str(error))
        sys.exit(1)


if __name__ == "__main__":
    # The libraries' modules import this one by its name; it must not be there twice.
    sys.modules["client"] = sys.modules["__main__"]
    main()
