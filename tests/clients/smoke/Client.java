// The Java client against any broker: a line for each test, `PASS name` or `FAIL name: reason`.
//
//     java -cp 'libs/*' Client.java HOST:PORT [name ...]

import java.time.Duration;
import java.util.*;
import java.util.concurrent.ExecutionException;
import java.util.stream.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.acl.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.quota.*;
import org.apache.kafka.common.resource.*;
import org.apache.kafka.common.serialization.*;

public class Client {
    interface Case {
        void run() throws Exception;
    }

    static String address;
    static Set<String> only;
    static boolean failed;

    public static void main(String[] args) {
        address = args[0];
        only = new HashSet<>(Arrays.asList(args).subList(1, args.length));
        test("produce_and_consume", Client::produceAndConsume);
        test("codecs", Client::codecs);
        test("headers_and_timestamps", Client::headersAndTimestamps);
        test("offsets_by_time", Client::offsetsByTime);
        test("special_offsets", Client::specialOffsets);
        test("committed_offsets", Client::committedOffsets);
        test("classic_group", () -> groupOfTwo("classic", Map.of()));
        test("cooperative_group", () -> groupOfTwo("classic",
            Map.of("partition.assignment.strategy", CooperativeStickyAssignor.class.getName())));
        test("consumer_protocol_group", () -> groupOfTwo("consumer", Map.of()));
        test("consumer_protocol_range", () -> groupOfTwo("consumer", Map.of("group.remote.assignor", "range")));
        test("regex_by_the_broker", Client::regexByTheBroker);
        test("static_member", Client::staticMember);
        test("upgrade_to_the_consumer_protocol", Client::upgradeToTheConsumerProtocol);
        test("transactions", Client::transactions);
        test("many_transactions", Client::manyTransactions);
        test("newer_producer_fences_older", Client::newerProducerFencesOlder);
        test("consume_transform_produce", Client::consumeTransformProduce);
        test("record_too_large", Client::recordTooLarge);
        test("compacted_topic_needs_keys", Client::compactedTopicNeedsKeys);
        test("recreated_topic", Client::recreatedTopic);
        test("topics", Client::topics);
        test("invalid_topics", Client::invalidTopics);
        test("configs", Client::configs);
        test("broker_configs", Client::brokerConfigs);
        test("delete_records", Client::deleteRecords);
        test("group_administration", Client::groupAdministration);
        test("describe_cluster", Client::describeCluster);
        test("describe_quorum", Client::describeQuorum);
        test("describe_features", Client::describeFeatures);
        test("describe_log_dirs", Client::describeLogDirs);
        test("describe_producers_and_transactions", Client::describeProducersAndTransactions);
        test("acls", Client::acls);
        test("scram_credentials", Client::scramCredentials);
        test("quotas", Client::quotas);
        test("elect_leaders_and_reassignments", Client::electLeadersAndReassignments);
        System.exit(failed ? 1 : 0);
    }

    static void test(String name, Case body) {
        if (!only.isEmpty() && !only.contains(name)) {
            return;
        }
        try {
            body.run();
            System.out.println("PASS " + name);
        } catch (Throwable why) {
            failed = true;
            Throwable cause = why instanceof ExecutionException && why.getCause() != null ? why.getCause() : why;
            System.out.println("FAIL " + name + ": " + String.valueOf(cause).replaceAll("\\s+", " "));
        }
    }

    static void same(Object found, Object wanted) {
        if (!Objects.equals(found, wanted)) {
            throw new AssertionError("wanted " + brief(wanted) + ", got " + brief(found));
        }
    }

    static String brief(Object value) {
        String text = String.valueOf(value);
        return text.length() > 70 ? text.substring(0, 70) + "…" : text;
    }

    static void ensure(boolean holds, String otherwise) {
        if (!holds) {
            throw new AssertionError(otherwise);
        }
    }

    // The error that a call must end with.
    static void refused(Class<? extends Throwable> error, Case body) throws Exception {
        try {
            body.run();
        } catch (Throwable why) {
            Throwable cause = why instanceof ExecutionException ? why.getCause() : why;
            ensure(error.isInstance(cause), "wanted " + error.getSimpleName() + ", got " + cause);
            return;
        }
        throw new AssertionError("wanted " + error.getSimpleName() + ", got none");
    }

    // Brokers learn of a change of metadata a moment after it was answered.
    static void eventually(java.util.concurrent.Callable<Object> found, Object wanted) throws Exception {
        long until = System.nanoTime() + 15_000_000_000L;
        Object last = null;
        while (System.nanoTime() < until) {
            try {
                last = found.call();
                if (Objects.equals(last, wanted)) {
                    return;
                }
            } catch (ExecutionException why) {
                last = why.getCause();
            }
            Thread.sleep(50);
        }
        same(last, wanted);
    }

    static Set<String> described(Admin admin, List<String> topics) throws Exception {
        return admin.describeTopics(topics).allTopicNames().get().keySet();
    }

    static int partitions(Admin admin, String topic) throws Exception {
        return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size();
    }

    static String unique(String name) {
        return name + "-" + UUID.randomUUID().toString().substring(0, 8);
    }

    static Admin admin() {
        return Admin.create(Map.of("bootstrap.servers", address, "default.api.timeout.ms", "30000"));
    }

    static KafkaProducer<String, String> producer(Map<String, Object> settings) {
        Map<String, Object> all = new HashMap<>(Map.of("bootstrap.servers", address, "max.block.ms", "30000"));
        all.putAll(settings);
        return new KafkaProducer<>(all, new StringSerializer(), new StringSerializer());
    }

    static KafkaConsumer<String, String> consumer(String group, Map<String, Object> settings) {
        Map<String, Object> all = new HashMap<>(Map.of("bootstrap.servers", address, "auto.offset.reset", "earliest"));
        if (group != null) {
            all.put("group.id", group);
        }
        all.putAll(settings);
        return new KafkaConsumer<>(all, new StringDeserializer(), new StringDeserializer());
    }

    static String made(String name, int partitions, Map<String, String> configs) throws Exception {
        String topic = unique(name);
        try (Admin admin = admin()) {
            admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1).configs(configs))).all().get();
            eventually(() -> described(admin, List.of(topic)), Set.of(topic));
        }
        return topic;
    }

    static List<String> values(int count) {
        return IntStream.range(0, count).mapToObj(n -> "value-" + n).toList();
    }

    static void send(String topic, List<String> values, Map<String, Object> settings) throws Exception {
        try (KafkaProducer<String, String> producer = producer(settings)) {
            List<java.util.concurrent.Future<RecordMetadata>> sent = new ArrayList<>();
            for (String value : values) {
                sent.add(producer.send(new ProducerRecord<>(topic, value, value)));
            }
            producer.flush();
            for (var delivery : sent) {
                delivery.get();
            }
        }
    }

    // Values until there are `count`, then for a moment longer.
    static List<String> receive(KafkaConsumer<String, String> consumer, int count, int seconds) {
        List<String> found = new ArrayList<>();
        long until = System.nanoTime() + seconds * 1_000_000_000L;
        while (System.nanoTime() < until && found.size() < count) {
            consumer.poll(Duration.ofMillis(200)).forEach(record -> found.add(record.value()));
        }
        consumer.poll(Duration.ofMillis(200)).forEach(record -> found.add(record.value()));
        return found;
    }

    static List<String> readAll(String topic, int count, String isolation) {
        try (var reader = consumer(null, Map.of("isolation.level", isolation))) {
            reader.assign(List.of(new TopicPartition(topic, 0)));
            return receive(reader, count, 30);
        }
    }

    static List<String> sorted(List<String> values) {
        return values.stream().sorted().toList();
    }

    static void produceAndConsume() throws Exception {
        String topic = made("plain", 4, Map.of());
        send(topic, values(1000), Map.of());
        try (var reader = consumer(unique("group"), Map.of())) {
            reader.subscribe(List.of(topic));
            same(sorted(receive(reader, 1000, 30)), sorted(values(1000)));
        }
    }

    static void codecs() throws Exception {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            String topic = made(codec, 1, Map.of());
            send(topic, values(500), Map.of("compression.type", codec, "linger.ms", 20));
            same(readAll(topic, 500, "read_uncommitted"), values(500));
        }
    }

    static void headersAndTimestamps() throws Exception {
        String topic = made("headers", 1, Map.of());
        try (var producer = producer(Map.of())) {
            var record = new ProducerRecord<>(topic, 0, 1234567890123L, "k", (String) null);
            record.headers().add("a", "1".getBytes()).add("a", "2".getBytes()).add("none", null);
            producer.send(record).get();
        }
        try (var reader = consumer(null, Map.of())) {
            reader.assign(List.of(new TopicPartition(topic, 0)));
            reader.seekToBeginning(List.of(new TopicPartition(topic, 0)));
            ConsumerRecord<String, String> record = reader.poll(Duration.ofSeconds(30)).iterator().next();
            same(record.timestamp(), 1234567890123L);
            same(record.value(), null);
            same(record.headers().toArray().length, 3);
            same(record.headers().lastHeader("none").value(), null);
        }
    }

    static void offsetsByTime() throws Exception {
        String topic = made("times", 1, Map.of());
        var partition = new TopicPartition(topic, 0);
        try (var producer = producer(Map.of("linger.ms", 100))) {
            for (int n = 0; n < 10; n++) {
                producer.send(new ProducerRecord<>(topic, 0, 1_700_000_000_000L + n * 1000, null, "" + n));
            }
        }
        try (var reader = consumer(null, Map.of())) {
            var found = reader.offsetsForTimes(Map.of(partition, 1_700_000_003_500L)).get(partition);
            same(found.offset(), 4L);
            same(found.timestamp(), 1_700_000_004_000L);
            same(reader.offsetsForTimes(Map.of(partition, 1_800_000_000_000L)).get(partition), null);
        }
    }

    static void specialOffsets() throws Exception {
        String topic = made("special", 1, Map.of());
        var partition = new TopicPartition(topic, 0);
        try (var producer = producer(Map.of())) {
            for (long time : new long[] {5000, 9000, 7000}) {
                producer.send(new ProducerRecord<>(topic, 0, 1_700_000_000_000L + time, null, "v")).get();
            }
        }
        try (Admin admin = admin()) {
            for (var asked : List.of(Map.entry(OffsetSpec.earliest(), 0L), Map.entry(OffsetSpec.latest(), 3L),
                    Map.entry(OffsetSpec.maxTimestamp(), 1L), Map.entry(OffsetSpec.earliestLocal(), 0L))) {
                same(admin.listOffsets(Map.of(partition, asked.getKey())).partitionResult(partition).get().offset(),
                    asked.getValue());
            }
        }
    }

    static void committedOffsets() throws Exception {
        String topic = made("commits", 1, Map.of());
        String group = unique("group");
        var partition = new TopicPartition(topic, 0);
        send(topic, values(10), Map.of());
        try (var reader = consumer(group, Map.of("enable.auto.commit", "false"))) {
            reader.subscribe(List.of(topic));
            receive(reader, 10, 30);
            reader.commitSync(Map.of(partition, new OffsetAndMetadata(6, "a note")));
        }
        try (var reader = consumer(group, Map.of())) {
            OffsetAndMetadata found = reader.committed(Set.of(partition)).get(partition);
            same(found.offset() + " " + found.metadata(), "6 a note");
            reader.subscribe(List.of(topic));
            same(receive(reader, 4, 30), values(10).subList(6, 10));
        }
    }

    // Two members share four partitions; when one leaves, the other gets all.
    static void groupOfTwo(String protocol, Map<String, Object> more) throws Exception {
        String topic = made("shared", 4, Map.of());
        String group = unique("group");
        Map<String, Object> settings = new HashMap<>(more);
        settings.put("group.protocol", protocol);
        try (var one = consumer(group, settings)) {
            try (var two = consumer(group, settings)) {
                one.subscribe(List.of(topic));
                two.subscribe(List.of(topic));
                settle(List.of(one, two), List.of(2, 2));
                send(topic, values(100), Map.of());
                List<String> found = new ArrayList<>(receive(one, 100, 4));
                found.addAll(receive(two, 100 - found.size(), 10));
                same(sorted(found), sorted(values(100)));
            }
            settle(List.of(one), List.of(4));
        }
    }

    static void settle(List<KafkaConsumer<String, String>> members, List<Integer> wanted) {
        long until = System.nanoTime() + 45_000_000_000L;
        List<Integer> found = List.of();
        while (System.nanoTime() < until) {
            members.forEach(member -> member.poll(Duration.ofMillis(100)));
            found = members.stream().map(member -> member.assignment().size()).toList();
            if (found.equals(wanted)) {
                return;
            }
        }
        throw new AssertionError("no assignment of " + wanted + ", but " + found);
    }

    static void regexByTheBroker() throws Exception {
        String prefix = unique("pattern");
        try (Admin admin = admin()) {
            admin.createTopics(List.of(new NewTopic(prefix + "-a", 1, (short) 1),
                new NewTopic(prefix + "-b", 1, (short) 1), new NewTopic("not-" + prefix, 1, (short) 1))).all().get();
        }
        try (var reader = consumer(unique("group"), Map.of("group.protocol", "consumer"))) {
            reader.subscribe(new SubscriptionPattern(prefix + "-.*"));
            settle(List.of(reader), List.of(2));
        }
        try (var reader = consumer(unique("group"), Map.of("group.protocol", "consumer"))) {
            reader.subscribe(new SubscriptionPattern("(unclosed"));
            refused(InvalidRegularExpression.class, () -> receive(reader, 1, 20));
        }
    }

    static void staticMember() throws Exception {
        for (String protocol : List.of("classic", "consumer")) {
            String topic = made("static", 4, Map.of());
            String group = unique("group");
            Map<String, Object> settings = Map.of("group.protocol", protocol, "group.instance.id", "one");
            send(topic, values(10), Map.of());
            try (var first = consumer(group, settings)) {
                first.subscribe(List.of(topic));
                same(receive(first, 10, 30).size(), 10);
            }
            send(topic, values(10), Map.of());
            try (var again = consumer(group, settings)) {
                again.subscribe(List.of(topic));
                same(receive(again, 10, 30).size(), 10);
            }
        }
    }

    static void upgradeToTheConsumerProtocol() throws Exception {
        String topic = made("upgraded", 4, Map.of());
        String group = unique("group");
        try (var one = consumer(group, Map.of("group.protocol", "classic"))) {
            one.subscribe(List.of(topic));
            settle(List.of(one), List.of(4));
            try (var two = consumer(group, Map.of("group.protocol", "consumer"))) {
                two.subscribe(List.of(topic));
                settle(List.of(one, two), List.of(2, 2));
            }
            settle(List.of(one), List.of(4));
        }
    }

    static void transactions() throws Exception {
        String topic = made("transactions", 1, Map.of());
        try (var producer = producer(Map.of("transactional.id", unique("tx")))) {
            producer.initTransactions();
            for (String value : List.of("a", "b", "c")) {
                producer.beginTransaction();
                producer.send(new ProducerRecord<>(topic, value)).get();
                if (value.equals("b")) {
                    producer.abortTransaction();
                } else {
                    producer.commitTransaction();
                }
            }
            producer.beginTransaction();
            producer.send(new ProducerRecord<>(topic, "open")).get();
            same(readAll(topic, 2, "read_committed"), List.of("a", "c"));
            same(readAll(topic, 4, "read_uncommitted"), List.of("a", "b", "c", "open"));
            producer.abortTransaction();
        }
    }

    static void manyTransactions() throws Exception {
        String topic = made("many", 1, Map.of());
        List<String> committed = new ArrayList<>();
        try (var producer = producer(Map.of("transactional.id", unique("tx")))) {
            producer.initTransactions();
            for (int n = 0; n < 60; n++) {
                producer.beginTransaction();
                producer.send(new ProducerRecord<>(topic, "value-" + n));
                if (n % 3 == 0) {
                    producer.abortTransaction();
                } else {
                    producer.commitTransaction();
                    committed.add("value-" + n);
                }
            }
        }
        same(readAll(topic, committed.size(), "read_committed"), committed);
    }

    static void newerProducerFencesOlder() throws Exception {
        String topic = made("fenced", 1, Map.of());
        String id = unique("tx");
        Map<String, Object> settings = Map.of("transactional.id", id);
        try (var older = producer(settings); var newer = producer(settings)) {
            older.initTransactions();
            older.beginTransaction();
            older.send(new ProducerRecord<>(topic, "old")).get();
            newer.initTransactions();
            refused(ProducerFencedException.class, older::commitTransaction);
            newer.beginTransaction();
            newer.send(new ProducerRecord<>(topic, "new"));
            newer.commitTransaction();
        }
        same(readAll(topic, 1, "read_committed"), List.of("new"));
    }

    static void consumeTransformProduce() throws Exception {
        String source = made("source", 1, Map.of());
        String target = made("target", 1, Map.of());
        String group = unique("group");
        var partition = new TopicPartition(source, 0);
        send(source, values(20), Map.of());
        try (var producer = producer(Map.of("transactional.id", unique("tx")))) {
            producer.initTransactions();
            for (boolean commits : new boolean[] {false, true}) {
                try (var reader = consumer(group, Map.of("enable.auto.commit", "false"))) {
                    reader.subscribe(List.of(source));
                    List<String> read = receive(reader, 20, 30);
                    producer.beginTransaction();
                    read.forEach(value -> producer.send(new ProducerRecord<>(target, value)));
                    producer.sendOffsetsToTransaction(
                        Map.of(partition, new OffsetAndMetadata(reader.position(partition))), reader.groupMetadata());
                    if (commits) {
                        producer.commitTransaction();
                    } else {
                        producer.abortTransaction();
                    }
                }
            }
        }
        try (var reader = consumer(group, Map.of())) {
            same(reader.committed(Set.of(partition)).get(partition).offset(), 20L);
        }
        same(readAll(target, 20, "read_committed"), values(20));
    }

    static void recordTooLarge() throws Exception {
        String topic = made("large", 1, Map.of("max.message.bytes", "1000"));
        try (var producer = producer(Map.of())) {
            refused(RecordTooLargeException.class,
                () -> producer.send(new ProducerRecord<>(topic, "x".repeat(2000))).get());
            producer.send(new ProducerRecord<>(topic, "x")).get();
        }
    }

    static void compactedTopicNeedsKeys() throws Exception {
        String topic = made("compacted", 1, Map.of("cleanup.policy", "compact"));
        try (var producer = producer(Map.of())) {
            refused(InvalidRecordException.class, () -> producer.send(new ProducerRecord<>(topic, "v")).get());
            producer.send(new ProducerRecord<>(topic, "k", "v")).get();
        }
    }

    static void recreatedTopic() throws Exception {
        String topic = made("again", 1, Map.of());
        try (Admin admin = admin(); var producer = producer(Map.of())) {
            producer.send(new ProducerRecord<>(topic, "old")).get();
            Uuid first = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).topicId();
            admin.deleteTopics(List.of(topic)).all().get();
            eventually(() -> admin.listTopics().names().get().contains(topic), false);
            admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1))).all().get();
            eventually(() -> described(admin, List.of(topic)), Set.of(topic));
            Uuid second = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).topicId();
            ensure(!first.equals(second), "the topic has its old id");
            producer.send(new ProducerRecord<>(topic, "new")).get();
        }
        same(readAll(topic, 1, "read_uncommitted"), List.of("new"));
    }

    static void topics() throws Exception {
        String topic = unique("life");
        try (Admin admin = admin()) {
            var created = admin.createTopics(List.of(new NewTopic(topic, Optional.empty(), Optional.empty())));
            same(created.numPartitions(topic).get(), 4);
            ensure(!created.topicId(topic).get().equals(Uuid.ZERO_UUID), "no topic id");
            ensure(created.config(topic).get().get("retention.ms") != null, "no configs in the answer");
            eventually(() -> admin.listTopics().names().get().contains(topic), true);
            admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(6))).all().get();
            eventually(() -> partitions(admin, topic), 6);
            TopicDescription described = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
            same(described.partitions().get(5).isr().size(), 1);
            Uuid id = described.topicId();
            var ids = TopicCollection.ofTopicIds(List.of(id));
            same(admin.describeTopics(ids).allTopicIds().get().get(id).name(), topic);
            admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all().get();
        }
    }

    static void invalidTopics() throws Exception {
        String topic = made("valid", 2, Map.of());
        try (Admin admin = admin()) {
            refused(TopicExistsException.class, () -> create(admin, new NewTopic(topic, 1, (short) 1)));
            refused(InvalidTopicException.class, () -> create(admin, new NewTopic("not a topic", 1, (short) 1)));
            refused(InvalidPartitionsException.class, () -> create(admin, new NewTopic(unique("x"), 0, (short) 1)));
            refused(InvalidReplicationFactorException.class,
                () -> create(admin, new NewTopic(unique("x"), 1, (short) 3)));
            refused(InvalidConfigurationException.class,
                () -> create(admin, new NewTopic(unique("x"), 1, (short) 1).configs(Map.of("no.such", "1"))));
            refused(InvalidConfigurationException.class,
                () -> create(admin, new NewTopic(unique("x"), 1, (short) 1).configs(Map.of("retention.ms", "soon"))));
            refused(InvalidPartitionsException.class,
                () -> admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(1))).all().get());
            refused(UnknownTopicOrPartitionException.class, () -> admin.deleteTopics(List.of(unique("x"))).all().get());
            String tried = unique("tried");
            admin.createTopics(List.of(new NewTopic(tried, 1, (short) 1)), new CreateTopicsOptions().validateOnly(true))
                .all().get();
            ensure(!admin.listTopics().names().get().contains(tried), "validate only made the topic");
        }
    }

    static void create(Admin admin, NewTopic topic) throws Exception {
        admin.createTopics(List.of(topic)).all().get();
    }

    static Config described(Admin admin, ConfigResource resource) throws Exception {
        return admin.describeConfigs(List.of(resource)).all().get().get(resource);
    }

    static void alter(Admin admin, ConfigResource resource, String name, String value, AlterConfigOp.OpType how)
            throws Exception {
        admin.incrementalAlterConfigs(
            Map.of(resource, List.of(new AlterConfigOp(new ConfigEntry(name, value), how)))).all().get();
    }

    static void configs() throws Exception {
        String topic = made("configured", 1, Map.of("retention.ms", "7654321"));
        var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        try (Admin admin = admin()) {
            ConfigEntry entry = described(admin, resource).get("retention.ms");
            same(entry.value() + " " + entry.source(), "7654321 DYNAMIC_TOPIC_CONFIG");
            same(described(admin, resource).get("cleanup.policy").isDefault(), true);
            alter(admin, resource, "cleanup.policy", "compact", AlterConfigOp.OpType.APPEND);
            eventually(() -> Set.of(described(admin, resource).get("cleanup.policy").value().split(",")),
                Set.of("delete", "compact"));
            alter(admin, resource, "cleanup.policy", "delete", AlterConfigOp.OpType.SUBTRACT);
            eventually(() -> described(admin, resource).get("cleanup.policy").value(), "compact");
            alter(admin, resource, "retention.ms", "", AlterConfigOp.OpType.DELETE);
            eventually(() -> described(admin, resource).get("retention.ms").value(), "604800000");
            refused(InvalidConfigurationException.class,
                () -> alter(admin, resource, "retention.ms", "soon", AlterConfigOp.OpType.SET));
            Set<String> names = described(admin, resource).entries().stream().map(ConfigEntry::name)
                .collect(Collectors.toSet());
            for (String name : List.of("segment.bytes", "min.insync.replicas", "compression.type", "max.message.bytes",
                    "message.timestamp.type", "retention.bytes", "min.cleanable.dirty.ratio", "delete.retention.ms")) {
                ensure(names.contains(name), "no " + name + " among the configs");
            }
        }
    }

    static void brokerConfigs() throws Exception {
        try (Admin admin = admin()) {
            String node = admin.describeCluster().nodes().get().iterator().next().idString();
            var resource = new ConfigResource(ConfigResource.Type.BROKER, node);
            same(described(admin, resource).get("num.partitions").value(), "4");
            for (String name : List.of("log.retention.ms", "message.max.bytes", "auto.create.topics.enable")) {
                ensure(described(admin, resource).get(name) != null, "no " + name + " among the broker's configs");
            }
            admin.listConfigResources().all().get();
        }
    }

    static void deleteRecords() throws Exception {
        String topic = made("records", 1, Map.of());
        var partition = new TopicPartition(topic, 0);
        send(topic, values(10), Map.of());
        try (Admin admin = admin()) {
            same(admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(4))).lowWatermarks().get(partition)
                .get().lowWatermark(), 4L);
            refused(org.apache.kafka.common.errors.OffsetOutOfRangeException.class,
                () -> admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(99))).all().get());
        }
        same(readAll(topic, 6, "read_uncommitted"), values(10).subList(4, 10));
    }

    static void groupAdministration() throws Exception {
        for (String protocol : List.of("classic", "consumer")) {
            String topic = made("groups", 1, Map.of());
            String group = unique("group");
            var partition = new TopicPartition(topic, 0);
            send(topic, values(10), Map.of());
            try (Admin admin = admin()) {
                try (var reader = consumer(group, Map.of("group.protocol", protocol))) {
                    reader.subscribe(List.of(topic));
                    receive(reader, 10, 30);
                    reader.commitSync();
                    var described = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
                    same(described.groupState() + " " + described.members().size(), GroupState.STABLE + " 1");
                    same(described.type().toString().toLowerCase(), protocol);
                    same(described.members().iterator().next().assignment().topicPartitions(), Set.of(partition));
                    refused(GroupNotEmptyException.class, () -> admin.deleteConsumerGroups(List.of(group)).all().get());
                }
                ensure(admin.listGroups(ListGroupsOptions.forConsumerGroups()).all().get().stream()
                    .anyMatch(listed -> listed.groupId().equals(group)), "the group is not listed");
                same(offset(admin, group, partition).offset(), 10L);
                admin.alterConsumerGroupOffsets(group, Map.of(partition, new OffsetAndMetadata(3))).all().get();
                same(offset(admin, group, partition).offset(), 3L);
                admin.deleteConsumerGroupOffsets(group, Set.of(partition)).all().get();
                same(offset(admin, group, partition), null);
                admin.deleteConsumerGroups(List.of(group)).all().get();
            }
        }
    }

    static OffsetAndMetadata offset(Admin admin, String group, TopicPartition partition) throws Exception {
        return admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(partition);
    }

    static void describeCluster() throws Exception {
        try (Admin admin = admin()) {
            var cluster = admin.describeCluster();
            ensure(!cluster.clusterId().get().isEmpty(), "no cluster id");
            Node node = cluster.nodes().get().iterator().next();
            same(node.host() + ":" + node.port(), address);
            same(cluster.controller().get().id(), node.id());
        }
    }

    static void describeQuorum() throws Exception {
        try (Admin admin = admin()) {
            QuorumInfo quorum = admin.describeMetadataQuorum().quorumInfo().get();
            same(quorum.voters().size(), 1);
            same(quorum.voters().get(0).replicaId(), quorum.leaderId());
        }
    }

    static void describeFeatures() throws Exception {
        try (Admin admin = admin()) {
            var finalized = admin.describeFeatures().featureMetadata().get().finalizedFeatures();
            same(finalized.get("group.version").maxVersionLevel(), (short) 1);
            same(finalized.get("transaction.version").maxVersionLevel(), (short) 2);
            ensure(finalized.containsKey("metadata.version"), "no metadata.version");
        }
    }

    static void describeLogDirs() throws Exception {
        String topic = made("dirs", 1, Map.of());
        send(topic, values(100), Map.of());
        try (Admin admin = admin()) {
            int node = admin.describeCluster().nodes().get().iterator().next().id();
            var dirs = admin.describeLogDirs(List.of(node)).allDescriptions().get().get(node);
            long size = dirs.values().stream().map(LogDirDescription::replicaInfos)
                .map(infos -> infos.get(new TopicPartition(topic, 0))).filter(Objects::nonNull)
                .mapToLong(ReplicaInfo::size).sum();
            ensure(size > 1000, "the partition's size is " + size);
        }
    }

    static void describeProducersAndTransactions() throws Exception {
        String topic = made("told", 1, Map.of());
        String id = unique("tx");
        var partition = new TopicPartition(topic, 0);
        try (Admin admin = admin(); var producer = producer(Map.of("transactional.id", id))) {
            producer.initTransactions();
            producer.beginTransaction();
            producer.send(new ProducerRecord<>(topic, "v")).get();
            var active = admin.describeProducers(List.of(partition)).partitionResult(partition).get().activeProducers();
            same(active.size(), 1);
            ensure(active.get(0).currentTransactionStartOffset().isPresent(), "no open transaction of the producer");
            ensure(admin.listTransactions().all().get().stream().anyMatch(t -> t.transactionalId().equals(id)),
                "the transaction is not listed");
            TransactionDescription told = admin.describeTransactions(List.of(id)).description(id).get();
            same(told.state(), TransactionState.ONGOING);
            same(told.topicPartitions(), Set.of(partition));
            producer.commitTransaction();
        }
    }

    static void acls() throws Exception {
        var pattern = new ResourcePattern(ResourceType.TOPIC, unique("guarded"), PatternType.PREFIXED);
        var entry = new AccessControlEntry("User:alice", "*", AclOperation.READ, AclPermissionType.ALLOW);
        var binding = new AclBinding(pattern, entry);
        try (Admin admin = admin()) {
            admin.createAcls(List.of(binding)).all().get();
            eventually(() -> List.copyOf(admin.describeAcls(binding.toFilter()).values().get()), List.of(binding));
            var match = new ResourcePatternFilter(ResourceType.TOPIC, pattern.name() + "-x", PatternType.MATCH);
            var filter = new AclBindingFilter(match, AccessControlEntryFilter.ANY);
            same(List.copyOf(admin.describeAcls(filter).values().get()), List.of(binding));
            same(List.copyOf(admin.deleteAcls(List.of(binding.toFilter())).all().get()), List.of(binding));
            eventually(() -> admin.describeAcls(binding.toFilter()).values().get().size(), 0);
        }
    }

    static void scramCredentials() throws Exception {
        String user = unique("user");
        try (Admin admin = admin()) {
            for (ScramMechanism mechanism : List.of(ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512)) {
                var info = new ScramCredentialInfo(mechanism, 4096);
                admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion(user, info, "secret"))).all()
                    .get();
            }
            var both = Set.of(ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512);
            eventually(() -> mechanisms(admin, user), both);
            admin.alterUserScramCredentials(
                List.of(new UserScramCredentialDeletion(user, ScramMechanism.SCRAM_SHA_256))).all().get();
            eventually(() -> mechanisms(admin, user), Set.of(ScramMechanism.SCRAM_SHA_512));
        }
    }

    static Set<ScramMechanism> mechanisms(Admin admin, String user) throws Exception {
        return admin.describeUserScramCredentials(List.of(user)).description(user).get().credentialInfos().stream()
            .map(ScramCredentialInfo::mechanism).collect(Collectors.toSet());
    }

    static void quotas() throws Exception {
        var entity = new ClientQuotaEntity(Map.of(ClientQuotaEntity.USER, unique("user")));
        try (Admin admin = admin()) {
            admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity,
                List.of(new ClientQuotaAlteration.Op("producer_byte_rate", 1e6))))).all().get();
            eventually(() -> admin.describeClientQuotas(ClientQuotaFilter.all()).entities().get().get(entity),
                Map.of("producer_byte_rate", 1e6));
            admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity,
                List.of(new ClientQuotaAlteration.Op("producer_byte_rate", null))))).all().get();
        }
    }

    static void electLeadersAndReassignments() throws Exception {
        String topic = made("elected", 1, Map.of());
        var partition = new TopicPartition(topic, 0);
        try (Admin admin = admin()) {
            refused(ElectionNotNeededException.class, () -> {
                var errors = admin.electLeaders(ElectionType.PREFERRED, Set.of(partition)).partitions().get();
                throw (Exception) errors.get(partition).get();
            });
            same(admin.listPartitionReassignments().reassignments().get().size(), 0);
        }
    }
}
