"""A shop that knows nothing of kassa's code: publishes to it with pika, a stock AMQP client.

Reads one JSON document from standard input:

    {"url": "amqp://…", "exchange": "…", "messages": [
        {"key": "main", "body": "<hex>", "properties": {"type": "…"}, "headers": "none" | "plain" | "odd"}]}

and prints one JSON document: for each message whether the broker confirmed it.
"""

import datetime
import decimal
import json
import sys

try:
    import pika
except ImportError:
    sys.exit("pika is missing: apt-get install python3-pika")

# Everything that a header table can carry and a careless reader trips over.
ODD = {
    "nested": {"a": {"b": {"c": [1, "two", {"three": None}]}}},
    "bytes": b"\xff\x00\xfe",
    "time": datetime.datetime(2026, 2, 14, 8, 8),
    "decimal": decimal.Decimal("12.34"),
    "void": None,
    "yes": True,
    "small": -1,
    "big": 2**62,
    "x-death": [{"queue": "somewhere", "reason": "expired", "count": 3}],
    "huge": "x" * 60_000,
    "имя": "значение",
}


def deep(levels):
    table = {}
    for _ in range(levels):
        table = {"t": table}
    return table


def headers(kind):
    return {"none": None, "plain": {"shop": "one"}, "odd": ODD, "deep": deep(200)}[kind]


def main():
    order = json.load(sys.stdin)
    connection = pika.BlockingConnection(pika.URLParameters(order["url"]))
    channel = connection.channel()
    channel.confirm_delivery()
    confirmed = []
    for message in order["messages"]:
        properties = None
        if message["properties"] is not None:
            properties = pika.BasicProperties(headers=headers(message["headers"]), **message["properties"])
        try:
            channel.basic_publish(
                order["exchange"], message["key"], bytes.fromhex(message["body"]), properties, mandatory=True
            )
            confirmed.append(True)
        except (pika.exceptions.UnroutableError, pika.exceptions.NackError):
            confirmed.append(False)
    connection.close()
    json.dump(confirmed, sys.stdout)


main()
