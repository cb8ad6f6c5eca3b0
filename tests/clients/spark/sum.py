"""Sums the numbers of a topic with Spark: `sum.py --bootstrap HOST:PORT --jars DIRECTORY TOPIC`.

Prints `{"sum": S, "count": C}` of a batch, and the same of a stream that ends at the last record.
"""

import argparse
import json
import pathlib
import tempfile

from pyspark.sql import SparkSession
from pyspark.sql import functions as f


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--jars", required=True)
    parser.add_argument("topic")
    return parser.parse_args()


def numbers(source, arguments):
    """Returns the column of numbers of a batch or of a stream."""
    options = {
        "kafka.bootstrap.servers": arguments.bootstrap,
        "subscribe": arguments.topic,
        "startingOffsets": "earliest",
    }
    records = source.format("kafka").options(**options).load()
    value = records.value.cast("string")
    return records.select(f.get_json_object(value, "$.n").cast("long").alias("n"))


def main():
    arguments = parse()
    jars = ",".join(str(path) for path in sorted(pathlib.Path(arguments.jars).glob("*.jar")))
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.jars", jars)
        .config("spark.driver.memory", "1g")
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    totals = [f.sum("n").alias("sum"), f.count("n").alias("count")]
    row = numbers(spark.read, arguments).agg(*totals).first()
    print(json.dumps(row.asDict()), flush=True)
    with tempfile.TemporaryDirectory() as checkpoint:
        stream = (
            numbers(spark.readStream, arguments)
            .agg(*totals)
            .writeStream.format("memory")
            .queryName("totals")
            .outputMode("complete")
            .option("checkpointLocation", checkpoint)
            .trigger(availableNow=True)
            .start()
        )
        stream.awaitTermination(120)
        print(json.dumps(spark.sql("select * from totals").first().asDict()), flush=True)
    spark.stop()


if __name__ == "__main__":
    main()
