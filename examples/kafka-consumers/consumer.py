"""Prints the key of each record of a topic: `consumer.py HOST:PORT TOPIC`."""

import sys

try:
    from kafka import KafkaConsumer, TopicPartition
except ImportError:
    sys.exit(3)

server, topic = sys.argv[1:]
consumer = KafkaConsumer(bootstrap_servers=server, auto_offset_reset="earliest", group_id=None)
partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
consumer.assign(partitions)
ends = consumer.end_offsets(partitions)
while any(consumer.position(partition) < ends[partition] for partition in partitions):
    for records in consumer.poll(1000).values():
        for record in records:
            print(record.key.decode())
