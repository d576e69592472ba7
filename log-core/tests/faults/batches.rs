//! What is written: for each partition an endless row of batches, the same in every run, so that no file has to say what
//! was expected.

use bytes::Bytes;
use tailwater_log::record::{BatchBuilder, Compression, Header, ProducerStamp, Record};
use tailwater_log::types::Flush;
use tailwater_log::{TopicName, TopicPartition, TopicSpec};

/// A partition with a producer of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane {
    pub(crate) topic: &'static str,
    pub(crate) partition: u32,
    pub(crate) flush: Flush,
}

/// All partitions that are written.
pub(crate) const LANES: [Lane; 5] = [
    Lane { topic: "durable", partition: 0, flush: Flush::Durable },
    Lane { topic: "durable", partition: 1, flush: Flush::Durable },
    Lane { topic: "os", partition: 0, flush: Flush::Os },
    Lane { topic: "os", partition: 1, flush: Flush::Os },
    Lane { topic: "interval", partition: 0, flush: Flush::Interval(std::time::Duration::from_millis(20)) },
];

impl Lane {
    pub(crate) fn name(self) -> TopicPartition {
        TopicPartition::new(TopicName::new(self.topic).expect("a valid name"), self.partition)
    }

    /// Small segments, so that many are rolled.
    pub(crate) fn spec(self) -> TopicSpec {
        let partitions = LANES.iter().filter(|lane| lane.topic == self.topic).count() as u32;
        let mut spec = TopicSpec::new(self.topic, partitions).expect("a valid topic");
        spec.config.flush = self.flush;
        spec.config.segment_bytes = 48 * 1024;
        spec
    }
}

/// One batch of a lane.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) number: u64,
    /// The offset that it has to get, which is also its first sequence.
    pub(crate) base_offset: i64,
    pub(crate) bytes: Bytes,
}

/// The batches of a lane from `number` on.
pub(crate) fn batches(lane: usize, from: u64) -> impl Iterator<Item = Sent> {
    let mut base_offset: i64 = (0..from).map(|number| count(lane, number)).sum();
    (from..).map(move |number| {
        let sent = Sent { number, base_offset, bytes: batch(lane, number, base_offset) };
        base_offset += count(lane, number);
        sent
    })
}

/// The offset behind batch `number`, which begins at `offset`.
pub(crate) fn next_offset(lane: usize, number: u64, offset: i64) -> i64 {
    offset + count(lane, number)
}

fn count(lane: usize, number: u64) -> i64 {
    1 + (mix(lane as u64, number) % 6) as i64
}

fn batch(lane: usize, number: u64, base_offset: i64) -> Bytes {
    let compression = match number % 8 {
        0 => Compression::Zstd,
        4 => Compression::Lz4,
        _ => Compression::None,
    };
    let base_sequence = i32::try_from(base_offset).expect("no run is that long");
    let stamp = ProducerStamp { producer_id: 1000 + lane as i64, producer_epoch: 0, base_sequence };
    let mut builder = BatchBuilder::new(compression).stamp(stamp);
    for n in 0..count(lane, number) {
        let drawn = mix(number, n as u64);
        let filler: String = (0..drawn % 300).map(|at| char::from(b'a' + (mix(drawn, at) % 26) as u8)).collect();
        let value = format!("record {n} of batch {number} of lane {lane} {filler}");
        builder.push(&Record {
            key: (!drawn.is_multiple_of(3)).then(|| Bytes::from(format!("k{}", drawn % 97))),
            value: (!drawn.is_multiple_of(11)).then(|| Bytes::from(value)),
            timestamp: tailwater_log::Timestamp(1_700_000_000_000 + (number * 10) as i64 + n),
            headers: if drawn.is_multiple_of(5) { vec![Header { key: "h".into(), value: None }] } else { Vec::new() },
        });
    }
    builder.finish()
}

/// A number that looks like chance (Steele and Vigna's splitmix64).
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let mut z =
        a.wrapping_mul(0xD129_0B26_96CF_DC43).wrapping_add(b).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
