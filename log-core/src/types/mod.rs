//! The vocabulary: names, positions, moments, limits and errors that every other layer speaks.
//!
//! These types follow Kafka's terms of art, one meaning each. This layer imports nothing of ours.

mod acl;
mod batch;
mod config;
mod error;
mod group;
pub mod limits;
mod offset;
mod quota;
mod scram;
mod settings;
mod share;
mod timestamp;
mod topic;
mod transaction;

pub use acl::{
    AclBinding, AclFilter, AclOperation, AclPermission, CLUSTER_NAME, PatternFilter, PatternType, ResourceType,
    WILDCARD,
};
pub use batch::{Compression, TimestampType};
pub use config::{Cleanup, Flush, TopicConfig, TopicSpec};
pub use error::{Error, ErrorKind, Result};
pub use group::{
    CommittedPosition, ConsumerHeartbeat, ConsumerHeartbeatAnswer, GroupClient, GroupRefusal, GroupState, JoinGroup,
    JoinedGroup, JoinedMember, Membership, OwnedPartitions, SyncGroup, SyncedGroup,
};
pub use offset::{LogOffsets, Offset, OffsetRange, OffsetSpec};
pub use quota::{QuotaEntity, QuotaKey, QuotaMatch, QuotaName};
pub use scram::{SCRAM_ITERATIONS, ScramCredential, ScramMechanism};
pub use settings::{ConfigChange, ConfigOperation, ConfigResource, ConfigSource, ConfigType};
pub use share::ShareOutcome;
pub use timestamp::{Instant, Timestamp};
pub use topic::{GroupId, PartitionIndex, TopicId, TopicName, TopicPartition};
pub use transaction::{Isolation, ProducerIdentity, TransactionState, TransactionVersion, TransactionalId};
