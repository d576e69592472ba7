//! What the leader of a group says to a member in the classic protocol: the assignment of SyncGroup when the protocol
//! type is `consumer`. An i16 version, then the message; see [`versioned`](crate::wire::read_versioned). All versions
//! are the same.

use crate::wire::Str;
use crate::wire::declare::wire;
use bytes::Bytes;

wire! {
    /// What a member gets.
    pub(crate) struct ConsumerProtocolAssignment {
        [0+] assigned_partitions: Vec<TopicPartition>,
        [0+] user_data: Option<Bytes>,
    }

    /// A topic with the partitions of it that the member gets.
    pub(crate) struct TopicPartition {
        [0+] topic: Str,
        [0+] partitions: Vec<i32>,
    }
}
