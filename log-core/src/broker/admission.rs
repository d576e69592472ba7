//! What a producer's batch has to be for a topic to take it, and what the topic makes of it.
//!
//! ```text
//!   size ─▶ header, checksum ─▶ [records: keys, times] ─▶ [codec of the topic] ─▶ [time of the append] ─▶ shard
//! ```
//! What is in brackets is done only for topics that ask for it: records of others are never decoded. The rules and their
//! errors are those of Kafka's `LogValidator`.
//!
//! Where records are decoded, they may not be much more than a batch may be: a batch of a mebibyte can say a gibibyte, and
//! it is decompressed while others wait.

use super::topics::Topic;
use crate::record::{Batch, BatchHeader, recompress, records_within, stamp_append_time, validate};
use crate::types::{Error, Result, Timestamp, TimestampType};
use bytes::{Bytes, BytesMut};

/// Records of a batch that are named in an error; more would only make it long.
const ERRORS_MAX: usize = 10;
/// What the records of a batch may have decompressed: so many times what a batch may have, and this in any case.
const DECOMPRESSED_TIMES: usize = 4;
const DECOMPRESSED_BYTES_MIN: usize = 16 * 1024 * 1024;
/// A record without a timestamp, in Kafka.
const NO_TIMESTAMP: Timestamp = Timestamp(-1);

/// A batch as it goes to the log.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) batch: Bytes,
    /// The time that the broker has given its records, if the topic asks for that.
    pub(super) append_time: Option<Timestamp>,
}

/// Checks a batch of a producer against its topic's settings, at the wall clock's `now`.
pub(super) fn admit(topic: &Topic, batch: Bytes, now: Timestamp) -> Result<(BatchHeader, Admitted)> {
    let config = &topic.config;
    let (bytes, max) = (batch.len() as u64, u64::from(config.batch_bytes_max));
    let too_large = |bytes: u64| Error::RecordTooLarge { topic: topic.name.clone(), bytes, max };
    if bytes > max {
        return Err(too_large(bytes));
    }
    let header = validate(&batch, config.batch_bytes_max)?;
    if header.timestamp_type == TimestampType::LogAppendTime {
        let why = "the batch says that its time is that of the append, which is the broker's to say".into();
        return Err(Error::InvalidTimestamp { why });
    }
    if config.replicas_in_sync_min > 1 {
        // The leader alone, as long as there is one broker.
        return Err(Error::NotEnoughReplicas { in_sync: 1, needed: config.replicas_in_sync_min });
    }
    let is_stamped = config.timestamps == TimestampType::LogAppendTime;
    let has_bounds = !is_stamped && (config.timestamp_before.is_some() || config.timestamp_after.is_some());
    if config.cleanup.compacts() || has_bounds {
        check_records(topic, &Batch { header, bytes: batch.clone() }, has_bounds, now)?;
    }
    let mut batch = batch;
    if let Some(codec) = config.compression.filter(|codec| *codec != header.compression) {
        batch = recompress(&Batch { header, bytes: batch }, codec, decompressed_bytes_max(topic))?;
        if batch.len() as u64 > max {
            return Err(too_large(batch.len() as u64));
        }
    }
    if is_stamped {
        let mut stamped = BytesMut::from(&batch[..]);
        stamp_append_time(&mut stamped, now);
        batch = stamped.freeze();
    }
    Ok((header, Admitted { batch, append_time: is_stamped.then_some(now) }))
}

fn decompressed_bytes_max(topic: &Topic) -> usize {
    (topic.config.batch_bytes_max as usize).saturating_mul(DECOMPRESSED_TIMES).max(DECOMPRESSED_BYTES_MIN)
}

/// Compaction keeps the last record of each key, so without a key there is nothing that it could keep.
fn check_records(topic: &Topic, batch: &Batch, has_bounds: bool, now: Timestamp) -> Result<()> {
    let needs_key = topic.config.cleanup.compacts();
    let mut keyless = Vec::new();
    for (index, record) in (0..).zip(records_within(batch, decompressed_bytes_max(topic))?) {
        let record = record?;
        if needs_key && record.key.is_none() && keyless.len() < ERRORS_MAX {
            keyless.push((index, "it has no key".to_owned()));
        }
        if has_bounds {
            check_time(topic, record.timestamp, index, now)?;
        }
    }
    let Some((first, _)) = keyless.first() else { return Ok(()) };
    let why = format!(
        "record {first} of the batch has no key and `{}` is compacted, which keeps the last record of each key; send a \
         key, or create the topic with   --cleanup delete",
        topic.name
    );
    Err(Error::InvalidRecord { why, records: keyless })
}

fn check_time(topic: &Topic, time: Timestamp, index: u32, now: Timestamp) -> Result<()> {
    if time == NO_TIMESTAMP {
        return Ok(());
    }
    let too_early = topic.config.timestamp_before.filter(|bound| time < now - *bound);
    let too_late = topic.config.timestamp_after.filter(|bound| time > now + *bound);
    let (what, setting) = match (too_early, too_late) {
        (Some(_), _) => ("before", "message.timestamp.before.max.ms"),
        (_, Some(_)) => ("after", "message.timestamp.after.max.ms"),
        (None, None) => return Ok(()),
    };
    let why = format!(
        "record {index} of the batch is of {time}, which is further {what} the broker's clock ({now}) than `{setting}` of \
         `{}` allows",
        topic.name
    );
    Err(Error::InvalidTimestamp { why })
}
