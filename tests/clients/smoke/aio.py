"""aiokafka, which speaks only old, non-flexible versions: produce, consume, groups, transactions, administration."""

import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import ProducerFenced
from cases import main, same, unique


async def made(address, name, partitions=4):
    topic = unique(name)
    client = AIOKafkaAdminClient(bootstrap_servers=address)
    await client.start()
    await client.create_topics([NewTopic(topic, partitions, 1)])
    await client.close()
    return topic


def values(count, start=0):
    return [f"value-{n}".encode() for n in range(start, start + count)]


async def send(address, topic, what, **settings):
    async with AIOKafkaProducer(bootstrap_servers=address, **settings) as producer:
        await asyncio.gather(*[await producer.send(topic, value, key=value) for value in what])


def consumer(address, *topics, group=None, **settings):
    return AIOKafkaConsumer(
        *topics, bootstrap_servers=address, group_id=group, auto_offset_reset="earliest", **settings
    )


async def receive(reader, count, seconds=30):
    found = []

    async def read():
        while len(found) < count:
            found.append(await reader.getone())

    try:
        await asyncio.wait_for(read(), seconds)
    except asyncio.TimeoutError:
        pass
    return [message.value for message in found]


async def produce_and_consume(address):
    topic = await made(address, "plain")
    await send(address, topic, values(500))
    async with consumer(address, topic) as reader:
        same(sorted(await receive(reader, 500)), sorted(values(500)))


async def makes_topics_by_asking(address):
    topic = unique("asked")
    await send(address, topic, values(10))
    async with consumer(address, topic) as reader:
        same(len(reader.partitions_for_topic(topic)), 4)
        same(len(await receive(reader, 10)), 10)


async def codecs(address):
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        topic = await made(address, codec, 1)
        await send(address, topic, values(300), compression_type=codec)
        async with consumer(address, topic) as reader:
            same(await receive(reader, 300), values(300))


async def headers_and_timestamps(address):
    topic = await made(address, "headers", 1)
    async with AIOKafkaProducer(bootstrap_servers=address) as producer:
        await producer.send_and_wait(topic, b"v", headers=[("a", b"1"), ("b", b"")], timestamp_ms=1234567890123)
    async with consumer(address, topic) as reader:
        message = await asyncio.wait_for(reader.getone(), 30)
        same((message.headers, message.timestamp), ((("a", b"1"), ("b", b"")), 1234567890123))


async def offsets_by_time_and_seek(address):
    topic = await made(address, "times", 1)
    async with AIOKafkaProducer(bootstrap_servers=address) as producer:
        for n in range(10):
            await producer.send_and_wait(topic, str(n).encode(), timestamp_ms=1_700_000_000_000 + n * 1000)
    async with consumer(address) as reader:
        partition = TopicPartition(topic, 0)
        reader.assign([partition])
        found = await reader.offsets_for_times({partition: 1_700_000_003_500})
        same(found[partition].offset, 4)
        same((await reader.beginning_offsets([partition]))[partition], 0)
        same((await reader.end_offsets([partition]))[partition], 10)
        reader.seek(partition, 8)
        same(await receive(reader, 2), [b"8", b"9"])


async def committed_offsets(address):
    topic, group = await made(address, "commits", 1), unique("group")
    partition = TopicPartition(topic, 0)
    await send(address, topic, values(10))
    async with consumer(address, topic, group=group, enable_auto_commit=False) as reader:
        await receive(reader, 10)
        await reader.commit({partition: (6, "a note")})
    async with consumer(address, topic, group=group) as reader:
        same(await reader.committed(partition), 6)
        same(await receive(reader, 4), values(4, 6))


async def group_of_two(address):
    """Two members share four partitions; when one leaves, the other gets all."""
    topic, group = await made(address, "shared"), unique("group")
    settings = {"group": group, "session_timeout_ms": 6000, "heartbeat_interval_ms": 500}
    one, two = consumer(address, topic, **settings), consumer(address, topic, **settings)

    async def settle(*wanted):
        for _ in range(200):
            if tuple(len(member.assignment()) for member in (one, two)[: len(wanted)]) == wanted:
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"no assignment of {wanted}")

    await asyncio.gather(one.start(), two.start())
    await settle(2, 2)
    await send(address, topic, values(100))
    found = await asyncio.gather(receive(one, 100, 5), receive(two, 100, 5))
    same(sorted(found[0] + found[1]), sorted(values(100)))
    await two.stop()
    await settle(4)
    await one.stop()


async def idempotent_producer(address):
    topic = await made(address, "idempotent", 1)
    await send(address, topic, values(1000), enable_idempotence=True)
    async with consumer(address, topic) as reader:
        same(await receive(reader, 1000), values(1000))


async def transactions(address):
    """Of a committed, an aborted and another committed one, readers of committed records see two."""
    topic = await made(address, "transactions", 1)
    async with AIOKafkaProducer(bootstrap_servers=address, transactional_id=unique("tx")) as producer:
        for text, commits in ((b"a", True), (b"b", False), (b"c", True)):
            await producer.begin_transaction()
            await producer.send_and_wait(topic, text)
            await (producer.commit_transaction() if commits else producer.abort_transaction())
    for isolation, wanted in (("read_committed", [b"a", b"c"]), ("read_uncommitted", [b"a", b"b", b"c"])):
        async with consumer(address, topic, isolation_level=isolation) as reader:
            same(await receive(reader, len(wanted)), wanted)
            same(await receive(reader, 1, 1), [])


async def newer_producer_fences_older(address):
    topic, name = await made(address, "fenced", 1), unique("tx")
    older = AIOKafkaProducer(bootstrap_servers=address, transactional_id=name)
    await older.start()
    await older.begin_transaction()
    await older.send_and_wait(topic, b"old")
    async with AIOKafkaProducer(bootstrap_servers=address, transactional_id=name) as newer:
        try:
            await older.commit_transaction()
        except ProducerFenced:
            pass
        else:
            raise AssertionError("the older one could commit")
        async with newer.transaction():
            await newer.send_and_wait(topic, b"new")
    await older.stop()
    async with consumer(address, topic, isolation_level="read_committed") as reader:
        same(await receive(reader, 1), [b"new"])


async def consume_transform_produce(address):
    source, target, group = await made(address, "source", 1), await made(address, "target", 1), unique("group")
    partition = TopicPartition(source, 0)
    await send(address, source, values(20))
    async with AIOKafkaProducer(bootstrap_servers=address, transactional_id=unique("tx")) as producer:
        for commits in (False, True):
            async with consumer(address, source, group=group, enable_auto_commit=False) as reader:
                await producer.begin_transaction()
                for value in await receive(reader, 20):
                    await producer.send(target, value)
                await producer.send_offsets_to_transaction({partition: await reader.position(partition)}, group)
                await (producer.commit_transaction() if commits else producer.abort_transaction())
    async with consumer(address, group=group) as reader:
        same(await reader.committed(partition), 20)
    async with consumer(address, target, isolation_level="read_committed") as reader:
        same(await receive(reader, 20), values(20))
        same(await receive(reader, 1, 1), [])


async def administration(address):
    topic = await made(address, "admin", 2)
    client = AIOKafkaAdminClient(bootstrap_servers=address)
    await client.start()
    assert topic in await client.list_topics(), "the topic is not listed"
    await client.create_partitions({topic: NewPartitions(3)})
    same(len((await client.describe_topics([topic]))[0]["partitions"]), 3)
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs={"retention.ms": "12345678"})
    await client.alter_configs([resource])
    described = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    entries = {entry[0]: entry[1] for entry in described[0].resources[0][4]}
    same(entries["retention.ms"], "12345678")
    await client.delete_topics([topic])
    await asyncio.sleep(1)
    assert topic not in await client.list_topics(), "it is still listed"
    await client.close()


async def group_administration(address):
    topic, group = await made(address, "groups", 1), unique("group")
    await send(address, topic, values(10))
    client = AIOKafkaAdminClient(bootstrap_servers=address)
    await client.start()
    async with consumer(address, topic, group=group) as reader:
        await receive(reader, 10)
        await reader.commit()
        described = (await client.describe_consumer_groups([group]))[0].groups[0]
        same((described[1], described[2]), (group, "Stable"))
    assert group in [name for name, _ in await client.list_consumer_groups()], "the group is not listed"
    offsets = await client.list_consumer_group_offsets(group)
    same(offsets[TopicPartition(topic, 0)].offset, 10)
    await client.close()


if __name__ == "__main__":
    main(
        [
            produce_and_consume,
            makes_topics_by_asking,
            codecs,
            headers_and_timestamps,
            offsets_by_time_and_seek,
            committed_offsets,
            group_of_two,
            idempotent_producer,
            transactions,
            newer_producer_fences_older,
            consume_transform_produce,
            administration,
            group_administration,
        ]
    )
