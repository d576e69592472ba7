//! Every hard limit in one place, each with its reason.

use std::time::Duration;

/// Kafka's limit: a name with a suffix must still fit a 255-byte file name.
pub const TOPIC_NAME_BYTES_MAX: usize = 249;
/// The same for groups.
pub const GROUP_ID_BYTES_MAX: usize = 249;
/// Room for an application's name and a task's in it.
pub const TRANSACTIONAL_ID_BYTES_MAX: usize = 1024;

/// Transactional ids that are remembered at once: each costs memory, up to [`TRANSACTIONAL_ID_EXPIRY`] after its last use.
pub const TRANSACTIONAL_IDS_MAX: usize = 100_000;
/// Partitions of one transaction: each gets a marker when it ends.
pub const TRANSACTION_PARTITIONS_MAX: usize = 10_000;
/// A transaction may take this long (Kafka's `transaction.max.timeout.ms`): while it is open, readers of committed records
/// wait behind it.
pub const TRANSACTION_TIMEOUT_MAX: Duration = Duration::from_mins(15);
/// A transactional id that was not used for so long is forgotten (Kafka's `transactional.id.expiration.ms`).
pub const TRANSACTIONAL_ID_EXPIRY: Duration = Duration::from_hours(7 * 24);
/// Markers that could not be written are tried again after this.
pub const MARKERS_RETRY: Duration = Duration::from_secs(1);
/// Requests of one transactional id that wait for the one before them to be stored; those beyond are told to come back.
pub const PARKED_REQUESTS_MAX: usize = 100;
/// The first producer id that the log gives out. Those below are for loaders that choose their own.
pub const PRODUCER_ID_FIRST: i64 = 1 << 32;

/// Partitions of one topic. Each open partition costs memory and a file.
pub const PARTITIONS_MAX: u32 = 10_000;

/// The default limit on one batch on disk, header included (Kafka's `message.max.bytes`).
pub const BATCH_BYTES_DEFAULT_MAX: u32 = 1024 * 1024 + 12;
/// No topic may raise its limit above this, so that a length field can be trusted up to here.
pub const BATCH_BYTES_HARD_MAX: u32 = 128 * 1024 * 1024;

/// A segment rolls here, which bounds what an unclean open has to scan.
pub const SEGMENT_BYTES_DEFAULT: u64 = 128 * 1024 * 1024;
/// A segment also rolls at this age (Kafka's `segment.ms`), so that retention and compaction reach a quiet partition.
pub const SEGMENT_AGE_DEFAULT: Duration = Duration::from_hours(7 * 24);
/// Segments that roll faster make a directory of tiny files.
pub const SEGMENT_AGE_MIN: Duration = Duration::from_secs(1);
/// How long a tombstone stays (Kafka's `delete.retention.ms`): a reader may be a day behind.
pub const TOMBSTONE_DELAY_DEFAULT: Duration = Duration::from_hours(24);
/// One entry of the offset index per this many bytes of log.
pub const INDEX_STEP_BYTES: u32 = 32 * 1024;

/// Bytes of a partition that may be written and not synced; appends wait beyond it. It bounds what recovery may take for
/// a torn tail. One larger batch goes alone; topics with flush os have no bound.
pub const UNSYNCED_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// A topic with flush os is synced this often all the same, so that an open after a crash does not scan all of it; the
/// kernel writes dirty pages back after as long (`vm.dirty_expire_centisecs`).
pub const OS_FLUSH_INTERVAL: Duration = Duration::from_secs(30);
/// Or when it has this many unsynced bytes, in the background.
pub const OS_FLUSH_BYTES: u64 = 256 * 1024 * 1024;
/// Commands that wait for a shard's thread; who submits more waits.
pub const SHARD_COMMANDS_MAX: usize = 4096;
/// Files of segments that stay open while nobody uses them; the usual limit of a process is 1024 files.
pub const OPEN_SEGMENTS_MAX: usize = 512;
/// Memory for the batches that were appended last, over all partitions.
pub const TAIL_CACHE_BYTES: usize = 64 * 1024 * 1024;
/// Memory for reads that is kept while nobody uses it: a few fetches' worth.
pub const READ_BUFFERS_BYTES: usize = 8 * 1024 * 1024;

/// Memory for keys while a partition is compacted, one at a time: about a million of them. With more, a pass takes in
/// as much of the log as there is room for.
pub const COMPACTION_KEY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Room held back on the disk, of which a full disk needs a few kilobytes to be helped.
pub const BALLAST_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A segment rolls when its index takes more memory than this: tiny batches with huge gaps cannot make it grow.
pub const INDEX_BYTES_MAX: usize = 1024 * 1024;

/// Room is reserved ahead of a segment once it has this many bytes: a quiet partition takes none.
pub const RESERVE_BYTES_MIN: u64 = 1024 * 1024;
/// The most that is reserved at once.
pub const RESERVE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What one decompressed batch may grow to: a bomb ends here.
pub const DECOMPRESSED_BATCH_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Bytes that one fetch returns unless it asks for less.
pub const FETCH_BYTES_DEFAULT: u32 = 1024 * 1024;

/// Idempotent producers that one partition remembers. A client that takes a new producer id with every connection must
/// not fill memory: this is 2 MB, and 1 MB in a snapshot. Few partitions see a hundredth of it in a day, and a producer
/// that is forgotten too early has to begin a new epoch, no more.
pub const PRODUCERS_PER_PARTITION_MAX: usize = 10_000;
/// An idempotent producer that wrote nothing for so long is forgotten (Kafka forgets after a day): a client that was
/// suspended over a weekend goes on.
pub const PRODUCER_IDLE: Duration = Duration::from_hours(7 * 24);
/// A snapshot of a partition's state is not read above this, nor written: the log is walked instead. Far above what
/// the limit on producers leads to, so that only open and aborted transactions without end reach it.
pub const SNAPSHOT_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// A queue record is dead-lettered after this many deliveries (KIP-932's `share.delivery.count.limit`).
pub const DELIVERIES_DEFAULT_MAX: u16 = 5;
/// Records that one queue partition may have leased at once (KIP-932's record lock limit).
pub const LEASED_RECORDS_MAX: usize = 2000;

/// Bytes of a name in an access control entry.
pub const ACL_TEXT_BYTES_MAX: usize = 1024;
/// Access control entries in all: each request walks a few, and all of them are in memory.
pub const ACLS_MAX: usize = 100_000;
/// Users with a credential.
pub const USERS_MAX: usize = 100_000;
/// Entities with a quota.
pub const QUOTA_ENTITIES_MAX: usize = 100_000;
/// Bytes of one configuration value; a topic's schema is the longest.
pub const CONFIG_VALUE_BYTES_MAX: usize = 1024 * 1024;
/// Topics of one request to create or delete some.
pub const TOPICS_PER_REQUEST_MAX: usize = 10_000;
/// Producer ids that are taken from the metadata log at a time (Kafka's block).
pub const PRODUCER_ID_BLOCK: i64 = 1000;

const _: () = assert!(BATCH_BYTES_DEFAULT_MAX <= BATCH_BYTES_HARD_MAX);
const _: () = assert!((INDEX_STEP_BYTES as u64) < SEGMENT_BYTES_DEFAULT);
