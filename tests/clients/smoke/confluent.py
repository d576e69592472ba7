"""confluent-kafka: produce, consume, groups of both protocols, transactions, administration."""

import time
from functools import cache

from cases import eventually, main, same, unique
from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)


def producer(address, **settings):
    return Producer({"bootstrap.servers": address, **{name.replace("_", "."): v for name, v in settings.items()}})


def consumer(address, group, **settings):
    return Consumer(
        {
            "bootstrap.servers": address,
            "group.id": group,
            "auto.offset.reset": "earliest",
            **{name.replace("_", "."): value for name, value in settings.items()},
        }
    )


@cache
def admin(address):
    """One client for all: one that nobody holds any more fails what it was asked."""
    return AdminClient({"bootstrap.servers": address})


def made(address, name, partitions=4, **config):
    topic = unique(name)
    new = NewTopic(topic, num_partitions=partitions, replication_factor=1, config=config)
    admin(address).create_topics([new])[topic].result(30)
    return topic


def send(address, topic, values, **settings):
    failed = []
    sender = producer(address, **settings)
    for value in values:
        sender.produce(topic, value, key=value, on_delivery=lambda error, _: error and failed.append(error))
    same(sender.flush(30), 0)
    same(failed, [])


def values(count, start=0):
    return [f"value-{n}".encode() for n in range(start, start + count)]


def receive(reader, count, seconds=45):
    """Values until there are `count`; then a moment longer, for what should not come."""
    found, until = [], time.monotonic() + seconds
    while time.monotonic() < until and len(found) < count:
        message = reader.poll(0.5)
        if message is not None:
            if message.error():
                raise KafkaException(message.error())
            found.append(message.value())
    extra = reader.poll(0.5)
    return found + ([extra.value()] if extra is not None and not extra.error() else [])


def produce_and_consume(address):
    topic = made(address, "plain")
    send(address, topic, values(500))
    reader = consumer(address, unique("group"))
    reader.subscribe([topic])
    same(sorted(receive(reader, 500)), sorted(values(500)))
    reader.close()


def codecs(address):
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        topic = made(address, codec, 1)
        send(address, topic, values(300), compression_type=codec)
        reader = consumer(address, unique("group"))
        reader.assign([TopicPartition(topic, 0, 0)])
        same(receive(reader, 300), values(300))
        reader.close()


def headers_and_timestamps(address):
    topic = made(address, "headers", 1)
    sender = producer(address)
    sender.produce(topic, b"v", headers=[("a", b"1"), ("a", b"2"), ("none", None)], timestamp=1234567890123)
    same(sender.flush(30), 0)
    reader = consumer(address, unique("group"))
    reader.assign([TopicPartition(topic, 0, 0)])
    message = reader.poll(30)
    same(message.headers(), [("a", b"1"), ("a", b"2"), ("none", None)])
    same(message.timestamp()[1], 1234567890123)
    reader.close()


def offsets_by_time_and_seek(address):
    topic = made(address, "times", 1)
    sender = producer(address)
    for n in range(10):
        sender.produce(topic, str(n), timestamp=1_700_000_000_000 + n * 1000)
    same(sender.flush(30), 0)
    reader = consumer(address, unique("group"))
    found = reader.offsets_for_times([TopicPartition(topic, 0, 1_700_000_003_500)], timeout=30)
    same(found[0].offset, 4)
    same(reader.get_watermark_offsets(TopicPartition(topic, 0), timeout=30), (0, 10))
    reader.assign([TopicPartition(topic, 0, 4)])
    same(receive(reader, 6), [str(n).encode() for n in range(4, 10)])
    reader.seek(TopicPartition(topic, 0, 8))
    same(receive(reader, 2), [b"8", b"9"])
    reader.close()


def committed_offsets(address):
    topic, group = made(address, "commits", 1), unique("group")
    send(address, topic, values(10))
    first = consumer(address, group, enable_auto_commit=False)
    first.subscribe([topic])
    receive(first, 10)
    first.commit(offsets=[TopicPartition(topic, 0, 6, metadata="a note")], asynchronous=False)
    first.close()
    second = consumer(address, group)
    stored = second.committed([TopicPartition(topic, 0)], timeout=30)[0]
    same((stored.offset, stored.metadata), (6, "a note"))
    second.subscribe([topic])
    same(receive(second, 4), values(4, 6))
    second.close()


def group_of_two(address, **settings):
    """Two members share four partitions; when one leaves, the other gets all."""
    topic, group = made(address, "shared"), unique("group")
    one, two = consumer(address, group, **settings), consumer(address, group, **settings)
    for member in (one, two):
        member.subscribe([topic])

    def settle(*wanted):
        until = time.monotonic() + 45
        while time.monotonic() < until:
            for member in (one, two)[: len(wanted)]:
                member.poll(0.2)
            if tuple(len(member.assignment()) for member in (one, two)[: len(wanted)]) == wanted:
                return
        raise AssertionError(f"no assignment of {wanted}")

    settle(2, 2)
    send(address, topic, values(100))
    found = receive(one, 100, 5) + receive(two, 100, 5)
    same(sorted(found), sorted(values(100)))
    two.close()
    settle(4)
    one.close()


def classic_group(address):
    group_of_two(address, session_timeout_ms=6000)


def cooperative_group(address):
    group_of_two(address, session_timeout_ms=6000, partition_assignment_strategy="cooperative-sticky")


def consumer_protocol_group(address):
    group_of_two(address, group_protocol="consumer")


def consumer_protocol_range_assignor(address):
    group_of_two(address, group_protocol="consumer", group_remote_assignor="range")


def regex_subscription(address):
    prefix = unique("pattern")
    topics = [f"{prefix}-{n}" for n in range(2)]
    for made_topic in admin(address).create_topics([NewTopic(t, 1, 1) for t in topics]).values():
        made_topic.result(30)
    for settings in ({}, {"group_protocol": "consumer"}):
        for topic in topics:
            send(address, topic, values(5))
        reader = consumer(address, unique("group"), **settings)
        reader.subscribe([f"^{prefix}-.*"])
        count = 10 if not settings else 20
        same(len(receive(reader, count)), count)
        reader.close()


def static_member(address):
    topic, group = made(address, "static"), unique("group")
    first = consumer(address, group, group_instance_id="one", session_timeout_ms=10000)
    first.subscribe([topic])
    send(address, topic, values(10))
    same(len(receive(first, 10)), 10)
    first.close()
    again = consumer(address, group, group_instance_id="one", session_timeout_ms=10000)
    again.subscribe([topic])
    send(address, topic, values(10))
    same(len(receive(again, 10)), 10)
    again.close()


def idempotent_producer(address):
    topic = made(address, "idempotent", 1)
    send(address, topic, values(2000), enable_idempotence=True, linger_ms=1)
    reader = consumer(address, unique("group"))
    reader.assign([TopicPartition(topic, 0, 0)])
    same(receive(reader, 2000), values(2000))
    reader.close()


def transactions(address):
    """Of a committed, an aborted and another committed one, readers of committed records see two."""
    topic = made(address, "transactions", 1)
    sender = producer(address, transactional_id=unique("tx"))
    sender.init_transactions(30)
    commit, abort = sender.commit_transaction, sender.abort_transaction
    for text, end in ((b"a", commit), (b"b", abort), (b"c", commit)):
        sender.begin_transaction()
        sender.produce(topic, text)
        same(sender.flush(30), 0)
        end(30)
    for isolation, wanted in (("read_committed", [b"a", b"c"]), ("read_uncommitted", [b"a", b"b", b"c"])):
        reader = consumer(address, unique("group"), isolation_level=isolation)
        reader.assign([TopicPartition(topic, 0, 0)])
        same(receive(reader, len(wanted)), wanted)
        reader.close()


def open_transaction_is_not_seen(address):
    topic = made(address, "open", 1)
    sender = producer(address, transactional_id=unique("tx"))
    sender.init_transactions(30)
    sender.begin_transaction()
    sender.produce(topic, b"x")
    same(sender.flush(30), 0)
    reader = consumer(address, unique("group"), isolation_level="read_committed")
    reader.assign([TopicPartition(topic, 0, 0)])
    same(receive(reader, 1, 2), [])
    sender.commit_transaction(30)
    same(receive(reader, 1), [b"x"])
    reader.close()


def newer_producer_fences_older(address):
    topic, name = made(address, "fenced", 1), unique("tx")
    older = producer(address, transactional_id=name)
    older.init_transactions(30)
    older.begin_transaction()
    older.produce(topic, b"old")
    same(older.flush(30), 0)
    newer = producer(address, transactional_id=name)
    newer.init_transactions(30)
    try:
        older.commit_transaction(30)
    except KafkaException as why:
        assert why.args[0].fatal(), f"not fatal: {why}"
    else:
        raise AssertionError("the older one could commit")
    newer.begin_transaction()
    newer.produce(topic, b"new")
    newer.commit_transaction(30)
    reader = consumer(address, unique("group"), isolation_level="read_committed")
    reader.assign([TopicPartition(topic, 0, 0)])
    same(receive(reader, 1), [b"new"])
    reader.close()


def consume_transform_produce(address):
    """Offsets in the transaction: after an abort the input is read again, the output holds each once."""
    source, target, group = made(address, "source", 1), made(address, "target", 1), unique("group")
    send(address, source, values(20))
    sender = producer(address, transactional_id=unique("tx"))
    sender.init_transactions(30)
    for end in ("abort", "commit"):
        reader = consumer(address, group, enable_auto_commit=False, isolation_level="read_committed")
        reader.subscribe([source])
        sender.begin_transaction()
        for value in receive(reader, 20):
            sender.produce(target, value)
        sender.send_offsets_to_transaction(reader.position(reader.assignment()), reader.consumer_group_metadata(), 30)
        sender.abort_transaction(30) if end == "abort" else sender.commit_transaction(30)
        reader.close()
    check = consumer(address, group)
    same(check.committed([TopicPartition(source, 0)], timeout=30)[0].offset, 20)
    check.close()
    reader = consumer(address, unique("group"), isolation_level="read_committed")
    reader.assign([TopicPartition(target, 0, 0)])
    same(receive(reader, 20), values(20))
    reader.close()


def topics(address):
    client, topic = admin(address), made(address, "life", 2)
    partitions = lambda: len(client.list_topics(topic, timeout=30).topics[topic].partitions)
    eventually(lambda: partitions() == 2, "not 2 partitions")
    client.create_partitions([NewPartitions(topic, 5)])[topic].result(30)
    eventually(lambda: partitions() == 5, "not 5 partitions")
    client.delete_topics([topic])[topic].result(30)
    eventually(lambda: topic not in client.list_topics(timeout=30).topics, "it is still listed")


def topic_that_exists(address):
    topic = made(address, "twice")
    try:
        admin(address).create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    except KafkaException as why:
        same(why.args[0].name(), "TOPIC_ALREADY_EXISTS")
    else:
        raise AssertionError("it was made twice")


def configs(address):
    client, topic = admin(address), made(address, "configured", 1, **{"retention.ms": "7654321"})
    resource = ConfigResource(ResourceType.TOPIC, topic)

    def described():
        return client.describe_configs([resource])[resource].result(30)

    eventually(lambda: topic in client.list_topics(timeout=30).topics, "it is not listed")
    same(described()["retention.ms"].value, "7654321")
    same(described()["cleanup.policy"].value, "delete")
    change = ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.SET)
    client.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[change])])
    eventually(lambda: described()["cleanup.policy"].value == "compact", "the policy is not changed")
    same(described()["retention.ms"].value, "7654321")


def broker_configs(address):
    client = admin(address)
    node = str(client.describe_cluster().result(30).controller.id)
    resource = ConfigResource(ResourceType.BROKER, node)
    same(client.describe_configs([resource])[resource].result(30)["num.partitions"].value, "4")


def cluster(address):
    described = admin(address).describe_cluster().result(30)
    assert described.cluster_id and len(described.nodes) == 1, str(described)
    same(f"{described.nodes[0].host}:{described.nodes[0].port}", address)


def list_and_delete_records(address):
    client, topic = admin(address), made(address, "records", 1)
    send(address, topic, values(10))
    partition = TopicPartition(topic, 0)
    offset = lambda spec: client.list_offsets({partition: spec})[partition].result(30).offset
    same((offset(OffsetSpec.earliest()), offset(OffsetSpec.latest())), (0, 10))
    same(client.delete_records([TopicPartition(topic, 0, 4)])[TopicPartition(topic, 0)].result(30).low_watermark, 4)
    same((offset(OffsetSpec.earliest()), offset(OffsetSpec.latest())), (4, 10))


def group_administration(address):
    client, topic, group = admin(address), made(address, "groups", 1), unique("group")
    send(address, topic, values(10))
    reader = consumer(address, group)
    reader.subscribe([topic])
    receive(reader, 10)
    described = client.describe_consumer_groups([group])[group].result(30)
    same((described.state.name, len(described.members)), ("STABLE", 1))
    assert group in [g.group_id for g in client.list_consumer_groups().result(30).valid], "the group is not listed"
    reader.close()
    asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0)])
    found = client.list_consumer_group_offsets([asked])[group].result(30)
    same(found.topic_partitions[0].offset, 10)
    change = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 3)])
    client.alter_consumer_group_offsets([change])[group].result(30)
    found = client.list_consumer_group_offsets([asked])[group].result(30)
    same(found.topic_partitions[0].offset, 3)
    client.delete_consumer_groups([group])[group].result(30)
    assert group not in [g.group_id for g in client.list_consumer_groups().result(30).valid], "it is still listed"


if __name__ == "__main__":
    main(
        [
            produce_and_consume,
            codecs,
            headers_and_timestamps,
            offsets_by_time_and_seek,
            committed_offsets,
            classic_group,
            cooperative_group,
            consumer_protocol_group,
            consumer_protocol_range_assignor,
            regex_subscription,
            static_member,
            idempotent_producer,
            transactions,
            open_transaction_is_not_seen,
            newer_producer_fences_older,
            consume_transform_produce,
            topics,
            topic_that_exists,
            configs,
            broker_configs,
            cluster,
            list_and_delete_records,
            group_administration,
        ]
    )
