//! What a broker can be told. In order of name. Those that are read-only are given at the start.

use super::setting::{AT_LEAST_0, AT_LEAST_1, Check, OR_UNBOUNDED, Setting};
use super::topic::{BATCH_BYTES, CODECS, FOREVER, NO_EFFECT, NO_EFFECT_FLUSH, POLICIES, SEGMENT_BYTES, TIMESTAMPS};
use crate::types::ConfigType::{Boolean, Double, Int, List, Long, String};

const FOR_TOPICS: &str = "What holds for topics that do not set it themselves.";

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new("advertised.listeners", String, "", Check::Any, "The addresses that clients are told to use.")
        .without_default()
        .read_only(),
    Setting::new(
        "allow.everyone.if.no.acl.found",
        Boolean,
        "false",
        Check::Any,
        "Whether everyone may do everything to a resource that no entry of access control is about.",
    )
    .read_only(),
    Setting::new(
        "auto.create.topics.enable",
        Boolean,
        "true",
        Check::Any,
        "Whether a topic that a client asks for comes to be.",
    )
    .read_only(),
    Setting::new("background.threads", Int, "10", AT_LEAST_1, NO_EFFECT),
    Setting::new("broker.id", Int, "0", AT_LEAST_0, "The broker's id, as it was called before `node.id`.").read_only(),
    Setting::new("compression.gzip.level", Int, "-1", Check::Within(-1, 9), NO_EFFECT),
    Setting::new("compression.lz4.level", Int, "9", Check::Within(1, 17), NO_EFFECT),
    Setting::new("compression.type", String, "producer", CODECS, FOR_TOPICS),
    Setting::new("compression.zstd.level", Int, "3", Check::Within(-131_072, 22), NO_EFFECT),
    Setting::new(
        "connections.max.idle.ms",
        Long,
        "600000",
        AT_LEAST_1,
        "A connection that is silent for longer is closed.",
    )
    .read_only(),
    Setting::new(
        "connections.max.reauth.ms",
        Long,
        "0",
        AT_LEAST_0,
        "How long a peer is taken for who it said it is; 0 for as long as it is connected.",
    )
    .read_only(),
    Setting::new(
        "default.replication.factor",
        Int,
        "1",
        Check::Within(1, i16::MAX as i64),
        "The replication factor of a topic that is created without one.",
    ),
    Setting::new("delete.topic.enable", Boolean, "true", Check::Any, "Whether topics can be deleted.").read_only(),
    Setting::new(
        "fetch.max.bytes",
        Int,
        "57671680",
        Check::Within(1024, i32::MAX as i64),
        "Bytes of one fetch at most, whatever the client asks for.",
    )
    .read_only(),
    Setting::new(
        "group.consumer.heartbeat.interval.ms",
        Int,
        "5000",
        AT_LEAST_1,
        "How often members of the consumer protocol say that they live.",
    )
    .read_only(),
    Setting::new(
        "group.consumer.session.timeout.ms",
        Int,
        "45000",
        AT_LEAST_1,
        "A member of the consumer protocol that is silent for longer is taken to be dead.",
    )
    .read_only(),
    Setting::new(
        "group.initial.rebalance.delay.ms",
        Int,
        "3000",
        AT_LEAST_0,
        "How long an empty group waits for more members before it assigns partitions.",
    )
    .read_only(),
    Setting::new("group.max.session.timeout.ms", Int, "1800000", AT_LEAST_1, "The longest session of a member.")
        .read_only(),
    Setting::new("group.max.size", Int, "2147483647", AT_LEAST_1, "Members of one group at most.").read_only(),
    Setting::new("group.min.session.timeout.ms", Int, "6000", AT_LEAST_1, "The shortest session of a member.")
        .read_only(),
    Setting::new("listeners", String, "", Check::Any, "The addresses that the broker listens on.")
        .without_default()
        .read_only(),
    Setting::new("log.cleaner.delete.retention.ms", Long, "86400000", AT_LEAST_0, FOR_TOPICS),
    Setting::new("log.cleaner.max.compaction.lag.ms", Long, FOREVER, AT_LEAST_1, NO_EFFECT),
    Setting::new("log.cleaner.min.cleanable.ratio", Double, "0.5", Check::Fraction, FOR_TOPICS),
    Setting::new("log.cleaner.min.compaction.lag.ms", Long, "0", AT_LEAST_0, NO_EFFECT),
    Setting::new("log.cleanup.policy", List, "delete", POLICIES, FOR_TOPICS),
    Setting::new("log.dirs", String, "", Check::Any, "The data directory.").without_default().read_only(),
    Setting::new("log.flush.interval.messages", Long, FOREVER, AT_LEAST_1, NO_EFFECT_FLUSH),
    Setting::new("log.flush.interval.ms", Long, FOREVER, AT_LEAST_0, NO_EFFECT_FLUSH),
    Setting::new("log.index.interval.bytes", Int, "4096", AT_LEAST_0, NO_EFFECT),
    Setting::new("log.index.size.max.bytes", Int, "10485760", AT_LEAST_0, NO_EFFECT),
    Setting::new("log.message.timestamp.after.max.ms", Long, FOREVER, AT_LEAST_0, FOR_TOPICS),
    Setting::new("log.message.timestamp.before.max.ms", Long, FOREVER, AT_LEAST_0, FOR_TOPICS),
    Setting::new("log.message.timestamp.type", String, "CreateTime", TIMESTAMPS, FOR_TOPICS),
    Setting::new("log.preallocate", Boolean, "false", Check::Any, NO_EFFECT),
    Setting::new("log.retention.bytes", Long, "-1", OR_UNBOUNDED, FOR_TOPICS),
    Setting::new("log.retention.ms", Long, "-1", OR_UNBOUNDED, FOR_TOPICS),
    Setting::new("log.roll.jitter.ms", Long, "0", AT_LEAST_0, NO_EFFECT),
    Setting::new("log.roll.ms", Long, "604800000", AT_LEAST_1, FOR_TOPICS),
    Setting::new("log.segment.bytes", Int, "134217728", SEGMENT_BYTES, FOR_TOPICS),
    Setting::new("log.segment.delete.delay.ms", Long, "60000", AT_LEAST_0, NO_EFFECT),
    Setting::new("max.connections", Int, "2147483647", AT_LEAST_0, "Connections at most.").read_only(),
    Setting::new("max.connections.per.ip", Int, "2147483647", AT_LEAST_0, "Connections of one address at most.")
        .read_only(),
    Setting::new("message.max.bytes", Int, "1048588", BATCH_BYTES, FOR_TOPICS),
    Setting::new("min.insync.replicas", Int, "1", Check::Within(1, i16::MAX as i64), FOR_TOPICS),
    Setting::new("node.id", Int, "0", AT_LEAST_0, "The broker's id.").read_only(),
    Setting::new(
        "num.partitions",
        Int,
        "1",
        Check::Within(1, crate::types::limits::PARTITIONS_MAX as i64),
        "The partitions of a topic that is created without a number.",
    ),
    Setting::new(
        "offset.metadata.max.bytes",
        Int,
        "4096",
        AT_LEAST_0,
        "Bytes of a text that is committed with an offset.",
    )
    .read_only(),
    Setting::new(
        "offsets.retention.minutes",
        Int,
        "10080",
        AT_LEAST_1,
        "How long the offsets of a group without members are kept.",
    )
    .read_only(),
    Setting::new("producer.id.expiration.ms", Int, "604800000", AT_LEAST_1, "When an idle producer is forgotten.")
        .read_only(),
    Setting::new("queued.max.request.bytes", Long, "-1", OR_UNBOUNDED, "Memory for requests that are being answered.")
        .read_only(),
    Setting::new("sasl.enabled.mechanisms", List, "", Check::Any, "How peers may authenticate.").read_only(),
    Setting::new("sasl.kerberos.min.time.before.relogin", Long, "60000", AT_LEAST_0, NO_EFFECT),
    Setting::new("socket.request.max.bytes", Int, "104857600", AT_LEAST_1, "Bytes of one request at most.").read_only(),
    Setting::new("super.users", String, "", Check::Any, "Principals that may do everything: User:alice;User:bob.")
        .read_only(),
    Setting::new("tailwater.flush", String, "durable", Check::Flush, FOR_TOPICS),
    Setting::new(
        "transaction.max.timeout.ms",
        Int,
        "900000",
        AT_LEAST_1,
        "The longest that a transaction may ask to stay open.",
    )
    .read_only(),
    Setting::new(
        "transactional.id.expiration.ms",
        Int,
        "604800000",
        AT_LEAST_1,
        "When an idle transactional id is forgotten.",
    )
    .read_only(),
    Setting::new("unclean.leader.election.enable", Boolean, "false", Check::Any, NO_EFFECT),
];
