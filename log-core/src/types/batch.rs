//! Properties of a record batch that settings speak of too.

/// Whose clock a batch's timestamps are from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's: each record has its own.
    #[default]
    CreateTime,
    /// The broker's at the append: every record has the batch's `max_timestamp`.
    LogAppendTime,
}

/// How a batch's records are compressed. The discriminants are Kafka's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Compression {
    /// Not at all.
    #[default]
    None = 0,
    /// Deflate (RFC 1952): small and slow.
    Gzip = 1,
    /// Fast, large.
    Snappy = 2,
    /// The fastest.
    Lz4 = 3,
    /// The smallest for its speed (RFC 8878); the one to choose unless a peer cannot read it.
    Zstd = 4,
}
