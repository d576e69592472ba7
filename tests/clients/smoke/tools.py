"""Kafka's own command line tools, as an administrator types them. KAFKA_LIBS names the directory of their jars."""

import json
import os
import subprocess

from cases import main, same, unique

TOOLS = "org.apache.kafka.tools."


def tool(main_class, *arguments, stdin=None, seconds=60, fails=False):
    """What the tool printed; when it has to fail, also its errors."""
    name = main_class if main_class.startswith("kafka.") else TOOLS + main_class
    command = ["java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", os.environ["KAFKA_LIBS"] + "/*", name, *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=seconds, check=False)
    said = done.stdout + done.stderr
    what = f"{main_class} {' '.join(arguments[2:])}: status {done.returncode}"
    assert (done.returncode != 0) == fails, f"{what}: {said[-200:]}"
    return said if fails else done.stdout


def topics(address, *arguments, **more):
    return tool("TopicCommand", "--bootstrap-server", address, *arguments, **more)


def groups(address, *arguments, **more):
    return tool("consumer.group.ConsumerGroupCommand", "--bootstrap-server", address, *arguments, **more)


def has(text, *parts):
    for part in parts:
        assert part in text, f"no {part!r} in {text[-150:]!r}"


def made(address, name, partitions=1):
    topic = unique(name)
    topics(address, "--create", "--topic", topic, "--partitions", str(partitions))
    return topic


def produce(address, topic, text, *arguments):
    tool("ConsoleProducer", "--bootstrap-server", address, "--topic", topic, *arguments, stdin=text)


def consume(address, topic, count, *arguments):
    read = ["--from-beginning", "--max-messages", str(count), "--timeout-ms", "30000"]
    said = tool("consumer.ConsoleConsumer", "--bootstrap-server", address, "--topic", topic, *read, *arguments)
    return said.splitlines()


def console_producer_and_consumer(address):
    topic = made(address, "console")
    produce(address, topic, "a\nb\nc\n")
    same(consume(address, topic, 3), ["a", "b", "c"])
    keys = ["--reader-property", "parse.key=true", "--reader-property", "key.separator=:"]
    produce(address, topic, "k:v\n", *keys)
    printed = ["--formatter-property", "print.key=true", "--formatter-property", "print.offset=true"]
    same(consume(address, topic, 4, *printed)[3], "Offset:3\tk\tv")


def kafka_topics(address):
    topic = made(address, "described", 3)
    has(topics(address, "--list"), topic)
    has(topics(address, "--describe", "--topic", topic), "PartitionCount: 3", "ReplicationFactor: 1", "Isr: ")
    topics(address, "--alter", "--topic", topic, "--partitions", "5")
    has(topics(address, "--describe", "--topic", topic), "PartitionCount: 5")
    has(topics(address, "--create", "--topic", topic, fails=True), "already exists")
    topics(address, "--delete", "--topic", topic)


def kafka_consumer_groups(address):
    topic, group = made(address, "grouped"), unique("group")
    produce(address, topic, "a\nb\nc\n")
    consume(address, topic, 2, "--group", group)
    has(groups(address, "--list"), group)
    described = groups(address, "--describe", "--group", group)
    head, row = [line.split() for line in described.splitlines() if "TOPIC" in line or topic in line]
    found = dict(zip(head, row))
    same([found.get(name) for name in ("CURRENT-OFFSET", "LOG-END-OFFSET", "LAG")], ["2", "3", "1"])
    has(groups(address, "--describe", "--group", group, "--state"), "Empty")
    reset = ["--reset-offsets", "--group", group, "--topic", topic, "--to-earliest", "--execute"]
    has(groups(address, *reset), topic)
    has(groups(address, "--delete", "--group", group), "successful")


def kafka_groups(address):
    topic, group = made(address, "grouped"), unique("group")
    produce(address, topic, "a\n")
    consume(address, topic, 1, "--group", group)
    has(tool("GroupsCommand", "--bootstrap-server", address, "--list"), group)


def kafka_configs(address):
    topic = made(address, "configured")
    entity = ["--entity-type", "topics", "--entity-name", topic]
    configs = lambda *arguments: tool("kafka.admin.ConfigCommand", "--bootstrap-server", address, *entity, *arguments)
    configs("--alter", "--add-config", "retention.ms=12345678,cleanup.policy=[compact,delete]")
    has(configs("--describe"), "retention.ms=12345678", "compact,delete")
    configs("--alter", "--delete-config", "retention.ms")
    assert "12345678" not in configs("--describe"), "it is still set"
    has(configs("--describe", "--all"), "segment.bytes", "max.message.bytes")


def kafka_configs_of_brokers_and_users(address):
    configs = lambda *arguments: tool("kafka.admin.ConfigCommand", "--bootstrap-server", address, *arguments)
    user = ["--entity-type", "users", "--entity-name", unique("user")]
    configs("--alter", *user, "--add-config", "producer_byte_rate=1000000")
    configs("--alter", *user, "--add-config", "SCRAM-SHA-256=[iterations=4096,password=secret]")
    has(configs("--describe", *user), "producer_byte_rate=1000000", "SCRAM-SHA-256")
    configs("--describe", "--entity-type", "brokers", "--entity-default")


def kafka_acls(address):
    acls = lambda *arguments: tool("AclCommand", "--bootstrap-server", address, *arguments)
    topic = unique("guarded")
    who = ["--allow-principal", "User:alice", "--operation", "Read", "--topic", topic]
    acls("--add", *who)
    has(acls("--list", "--topic", topic), "User:alice", "READ")
    acls("--remove", "--force", *who)
    assert "alice" not in acls("--list", "--topic", topic), "it is still there"


def kafka_get_offsets(address):
    topic = made(address, "offsets", 1)
    produce(address, topic, "a\nb\n")
    offsets = lambda time: tool("GetOffsetShell", "--bootstrap-server", address, "--topic", topic, "--time", time)
    has(offsets("-1"), f"{topic}:0:2")
    has(offsets("-2"), f"{topic}:0:0")
    has(offsets("-3"), f"{topic}:0:")


def kafka_delete_records(address):
    topic = made(address, "deleted")
    produce(address, topic, "a\nb\nc\n")
    plan = f"/tmp/{unique('delete-records')}.json"
    with open(plan, "w") as out:
        json.dump({"version": 1, "partitions": [{"topic": topic, "partition": 0, "offset": 2}]}, out)
    try:
        said = tool("DeleteRecordsCommand", "--bootstrap-server", address, "--offset-json-file", plan)
    finally:
        os.unlink(plan)
    has(said, "low_watermark: 2")
    same(consume(address, topic, 1), ["c"])


def kafka_log_dirs(address):
    topic = made(address, "dirs")
    produce(address, topic, "a\n")
    has(tool("LogDirsCommand", "--bootstrap-server", address, "--describe", "--topic-list", topic), f'"{topic}-0"')


def kafka_broker_api_versions(address):
    said = tool("BrokerApiVersionsCommand", "--bootstrap-server", address)
    has(said, f"{address} (id: ", "Produce(0):", "Fetch(1):", "usable: ")


def kafka_features(address):
    has(tool("FeatureCommand", "--bootstrap-server", address, "describe"), "group.version", "transaction.version")


def kafka_metadata_quorum(address):
    said = tool("MetadataQuorumCommand", "--bootstrap-server", address, "describe", "--status")
    has(said, "ClusterId:", "LeaderId:", "HighWatermark:")


def kafka_cluster(address):
    has(tool("ClusterTool", "cluster-id", "--bootstrap-server", address), "Cluster ID:")


def kafka_transactions(address):
    has(tool("TransactionsCommand", "--bootstrap-server", address, "list"), "TransactionalId")


def verifiable_producer_and_consumer(address):
    topic = made(address, "verified", 4)
    said = tool("VerifiableProducer", "--bootstrap-server", address, "--topic", topic, "--max-messages", "1000")
    has(said, '"sent":1000', '"acked":1000')
    for protocol in ("classic", "consumer"):
        read = ["--group-id", unique("group"), "--group-protocol", protocol, "--max-messages", "1000"]
        reset = ["--reset-policy", "earliest"]
        said = tool("VerifiableConsumer", "--bootstrap-server", address, "--topic", topic, *read, *reset)
        counts = [json.loads(line) for line in said.splitlines() if '"records_consumed"' in line]
        same(sum(event["count"] for event in counts), 1000)


def transactional_message_copier(address):
    source, target = made(address, "source"), made(address, "target")
    produce(address, source, "".join(f"{n}\n" for n in range(500)))
    names = ["--transactional-id", unique("tx"), "--consumer-group", unique("group")]
    where = ["--broker-list", address, "--input-topic", source, "--input-partition", "0", "--output-topic", target]
    many = ["--transaction-size", "50", "--max-messages", "500"]
    tool("TransactionalMessageCopier", *where, *names, *many, "--enable-random-aborts")
    committed = ["--isolation-level", "read_committed"]
    same(consume(address, target, 500, *committed), [str(n) for n in range(500)])


def producer_and_consumer_performance(address):
    topic = made(address, "fast", 2)
    load = ["--num-records", "20000", "--record-size", "500", "--throughput", "-1"]
    has(tool("ProducerPerformance", "--bootstrap-server", address, "--topic", topic, *load), "20000 records sent")
    said = tool("ConsumerPerformance", "--bootstrap-server", address, "--topic", topic, "--num-records", "20000")
    has(said, "20000")


if __name__ == "__main__":
    main(
        [
            console_producer_and_consumer,
            kafka_topics,
            kafka_consumer_groups,
            kafka_groups,
            kafka_configs,
            kafka_configs_of_brokers_and_users,
            kafka_acls,
            kafka_get_offsets,
            kafka_delete_records,
            kafka_log_dirs,
            kafka_broker_api_versions,
            kafka_features,
            kafka_metadata_quorum,
            kafka_cluster,
            kafka_transactions,
            verifiable_producer_and_consumer,
            transactional_message_copier,
            producer_and_consumer_performance,
        ]
    )
