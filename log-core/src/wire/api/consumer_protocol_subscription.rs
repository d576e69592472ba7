//! What a member of the classic protocol says to the leader of its group: the metadata of JoinGroup when the protocol
//! type is `consumer`. An i16 version, then the message; see [`versioned`](crate::wire::read_versioned).
//!
//! Versions:
//! - 1: what the member owns, for cooperative rebalancing (KIP-429). 2: the generation in which it did (KIP-792). 3:
//!   the rack (KIP-881).

use crate::wire::Str;
use crate::wire::declare::wire;
use bytes::Bytes;

wire! {
    /// What a member subscribes to.
    pub(crate) struct ConsumerProtocolSubscription {
        [0+] topics: Vec<Str>,
        [0+] user_data: Option<Bytes>,
        [1+] owned_partitions: Vec<TopicPartition>,
        [2+] generation_id: i32 = -1,
        [3+] rack_id: Option<Str>,
    }

    /// A topic with the partitions of it that the member owns.
    pub(crate) struct TopicPartition {
        [1+] topic: Str,
        [1+] partitions: Vec<i32>,
    }
}
