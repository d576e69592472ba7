//! What a topic can be told. In order of name.

use super::setting::{AT_LEAST_0, AT_LEAST_1, Check, OR_UNBOUNDED, Setting};
use crate::types::ConfigType::{Boolean, Double, Int, List, Long, String};
use crate::types::limits;

/// Codecs under the names that `compression.type` has.
pub(super) const CODECS: Check = Check::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]);
pub(super) const POLICIES: Check = Check::OneOf(&["compact", "delete"]);
pub(super) const TIMESTAMPS: Check = Check::OneOf(&["CreateTime", "LogAppendTime"]);
pub(super) const FOREVER: &str = "9223372036854775807";
pub(super) const BATCH_BYTES: Check = Check::Within(0, limits::BATCH_BYTES_HARD_MAX as i64);
pub(super) const SEGMENT_BYTES: Check = Check::Within(4096, i32::MAX as i64);
pub(super) const NO_EFFECT_FLUSH: &str = "Taken for compatibility; tailwater.flush says when a record is on disk.";
pub(super) const NO_EFFECT: &str = "Taken for compatibility, without effect.";

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "cleanup.policy",
        List,
        "delete",
        POLICIES,
        "What becomes of records that are no longer needed: delete old segments, compact to the last record of each \
         key, or both.",
    )
    .falls_back_to("log.cleanup.policy"),
    Setting::new("compression.gzip.level", Int, "-1", Check::Within(-1, 9), NO_EFFECT)
        .falls_back_to("compression.gzip.level"),
    Setting::new("compression.lz4.level", Int, "9", Check::Within(1, 17), NO_EFFECT)
        .falls_back_to("compression.lz4.level"),
    Setting::new(
        "compression.type",
        String,
        "producer",
        CODECS,
        "The codec that batches are kept in; `producer` keeps them as they were sent.",
    )
    .falls_back_to("compression.type"),
    Setting::new("compression.zstd.level", Int, "3", Check::Within(-131_072, 22), NO_EFFECT)
        .falls_back_to("compression.zstd.level"),
    Setting::new(
        "delete.retention.ms",
        Long,
        "86400000",
        AT_LEAST_0,
        "How long a compacted topic keeps a tombstone after a compaction first met it.",
    )
    .falls_back_to("log.cleaner.delete.retention.ms"),
    Setting::new("file.delete.delay.ms", Long, "60000", AT_LEAST_0, NO_EFFECT)
        .falls_back_to("log.segment.delete.delay.ms"),
    Setting::new("flush.messages", Long, FOREVER, AT_LEAST_1, NO_EFFECT_FLUSH)
        .falls_back_to("log.flush.interval.messages"),
    Setting::new("flush.ms", Long, FOREVER, AT_LEAST_0, NO_EFFECT_FLUSH).falls_back_to("log.flush.interval.ms"),
    Setting::new("follower.replication.throttled.replicas", List, "", Check::Any, NO_EFFECT),
    Setting::new("index.interval.bytes", Int, "4096", AT_LEAST_0, NO_EFFECT).falls_back_to("log.index.interval.bytes"),
    Setting::new("leader.replication.throttled.replicas", List, "", Check::Any, NO_EFFECT),
    Setting::new("local.retention.bytes", Long, "-2", Check::Within(-2, i64::MAX), NO_EFFECT),
    Setting::new("local.retention.ms", Long, "-2", Check::Within(-2, i64::MAX), NO_EFFECT),
    Setting::new("max.compaction.lag.ms", Long, FOREVER, AT_LEAST_1, NO_EFFECT)
        .falls_back_to("log.cleaner.max.compaction.lag.ms"),
    Setting::new(
        "max.message.bytes",
        Int,
        "1048588",
        BATCH_BYTES,
        "The largest batch that is taken, as it is sent: compressed, with its header.",
    )
    .falls_back_to("message.max.bytes"),
    Setting::new(
        "message.timestamp.after.max.ms",
        Long,
        FOREVER,
        AT_LEAST_0,
        "How far a record's time may lie ahead of the broker's clock. Kafka's default is an hour.",
    )
    .falls_back_to("log.message.timestamp.after.max.ms"),
    Setting::new(
        "message.timestamp.before.max.ms",
        Long,
        FOREVER,
        AT_LEAST_0,
        "How far a record's time may lie behind the broker's clock.",
    )
    .falls_back_to("log.message.timestamp.before.max.ms"),
    Setting::new(
        "message.timestamp.type",
        String,
        "CreateTime",
        TIMESTAMPS,
        "Whose clock stamps records: the producer's (CreateTime) or the broker's at the append (LogAppendTime).",
    )
    .falls_back_to("log.message.timestamp.type"),
    Setting::new(
        "min.cleanable.dirty.ratio",
        Double,
        "0.5",
        Check::Fraction,
        "The part of a partition that has to be dirty before it is compacted.",
    )
    .falls_back_to("log.cleaner.min.cleanable.ratio"),
    Setting::new("min.compaction.lag.ms", Long, "0", AT_LEAST_0, NO_EFFECT)
        .falls_back_to("log.cleaner.min.compaction.lag.ms"),
    Setting::new(
        "min.insync.replicas",
        Int,
        "1",
        Check::Within(1, i16::MAX as i64),
        "Replicas that have to be in sync for an append with acks=all to be taken.",
    )
    .falls_back_to("min.insync.replicas"),
    Setting::new("preallocate", Boolean, "false", Check::Any, NO_EFFECT).falls_back_to("log.preallocate"),
    Setting::new("remote.log.copy.disable", Boolean, "false", Check::Any, NO_EFFECT),
    Setting::new("remote.log.delete.on.disable", Boolean, "false", Check::Any, NO_EFFECT),
    Setting::new("remote.storage.enable", Boolean, "false", Check::OneOf(&["false"]), NO_EFFECT),
    Setting::new(
        "retention.bytes",
        Long,
        "-1",
        OR_UNBOUNDED,
        "Bytes of one partition above which its oldest segments go; -1 is without a bound.",
    )
    .falls_back_to("log.retention.bytes"),
    Setting::new(
        "retention.ms",
        Long,
        "-1",
        OR_UNBOUNDED,
        "How long records are kept at least; -1 is for ever. Kafka's default is seven days.",
    )
    .falls_back_to("log.retention.ms"),
    Setting::new(
        "segment.bytes",
        Int,
        "134217728",
        SEGMENT_BYTES,
        "A segment file rolls before it would grow over this many bytes. Kafka's default is 1 GiB.",
    )
    .falls_back_to("log.segment.bytes"),
    Setting::new("segment.index.bytes", Int, "10485760", AT_LEAST_0, NO_EFFECT)
        .falls_back_to("log.index.size.max.bytes"),
    Setting::new("segment.jitter.ms", Long, "0", AT_LEAST_0, NO_EFFECT).falls_back_to("log.roll.jitter.ms"),
    Setting::new(
        "segment.ms",
        Long,
        "604800000",
        AT_LEAST_1,
        "A segment also rolls when its first record was appended that long ago; a second at the soonest.",
    )
    .falls_back_to("log.roll.ms"),
    Setting::new(
        "tailwater.deliveries.max",
        Int,
        "5",
        Check::Within(1, u16::MAX as i64),
        "Deliveries of one queue record before it goes to the dead-letter topic.",
    ),
    Setting::new(
        "tailwater.flush",
        String,
        "durable",
        Check::Flush,
        "When an acknowledged record is on disk: durable (before it is acknowledged), os, or interval:200ms.",
    )
    .falls_back_to("tailwater.flush"),
    Setting::new(
        "tailwater.lease.ms",
        Long,
        "30000",
        AT_LEAST_1,
        "How long a queue worker holds a record before it is given to another.",
    ),
    Setting::new("tailwater.schema", String, "", Check::Any, "The schema of the topic's values, as JSON.")
        .without_default(),
    Setting::new("unclean.leader.election.enable", Boolean, "false", Check::Any, NO_EFFECT)
        .falls_back_to("unclean.leader.election.enable"),
];
