//! The records of the metadata log.
//!
//! ```text
//!   key    text: what the record is about, such as `topic/<id>`
//!   value  a version byte and bincode of `MetadataRecord`: the variant's number, then its fields
//! ```
//! The key is for tools and for whoever compacts the log by key one day; the value says it all. Records of versions before
//! have no key.

use crate::config::Overrides;
use crate::types::{
    AclBinding, Cleanup, ConfigResource, Flush, PartitionIndex, QuotaEntity, QuotaKey, ScramCredential, ScramMechanism,
    Timestamp, TopicConfig, TopicId, TopicName,
};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// A change of what there is. Stored by position: new variants come last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::broker) enum MetadataRecord {
    /// A topic exists from here on. Read only: written before settings had records of their own.
    TopicCreated {
        name: TopicName,
        id: TopicId,
        partitions: PartitionIndex,
        config: OldTopicConfig,
        created_at: Timestamp,
    },
    /// It does not any more, and has no settings; its directory may be removed.
    TopicDeleted { name: TopicName, id: TopicId },
    /// A topic exists, with so many partitions.
    Topic { id: TopicId, name: TopicName, partitions: PartitionIndex, created_at: Timestamp },
    /// All that is set for a resource; nothing forgets it.
    Configs { resource: ConfigResource, values: Overrides },
    /// An entry of access control is there, or not any more.
    Acl { entry: AclBinding, present: bool },
    /// A user's credential for a mechanism; `None` takes it away.
    Credential { user: String, mechanism: ScramMechanism, credential: Option<ScramCredential> },
    /// All quotas of an entity; nothing forgets it.
    Quotas { entity: QuotaEntity, values: Vec<(QuotaKey, f64)> },
    /// Producer ids below this one were given out.
    ProducerIds { next: i64 },
    /// The level of a feature.
    Feature { name: String, level: i16 },
    /// The name that the cluster goes by.
    Cluster { id: String },
    /// What was before does not count: all of it follows, in the same batch.
    Cleared,
}

impl MetadataRecord {
    /// What it is about.
    pub(super) fn key(&self) -> String {
        match self {
            Self::TopicCreated { id, .. } | Self::TopicDeleted { id, .. } | Self::Topic { id, .. } => {
                format!("topic/{id}")
            }
            Self::Configs { resource, .. } => format!("configs/{}/{}", resource.code(), resource.name()),
            Self::Acl { entry, .. } => {
                let AclBinding { resource_type, pattern_type, resource_name, principal, host, operation, permission } =
                    entry;
                format!(
                    "acl/{resource_type}/{pattern_type}/{operation}/{permission}/{principal}/{host}/{resource_name}"
                )
            }
            Self::Credential { user, mechanism, .. } => format!("scram/{mechanism}/{user}"),
            Self::Quotas { entity, .. } => format!("quotas/{entity}"),
            Self::ProducerIds { .. } => "producer-ids".into(),
            Self::Feature { name, .. } => format!("feature/{name}"),
            Self::Cluster { .. } => "cluster".into(),
            Self::Cleared => "cleared".into(),
        }
    }
}

/// For the log; without what is secret.
impl fmt::Display for MetadataRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TopicCreated { name, id, partitions, .. } => write!(f, "topic {name} {id} created ×{partitions}"),
            Self::TopicDeleted { name, id } => write!(f, "topic {name} {id} deleted"),
            Self::Topic { name, id, partitions, .. } => write!(f, "topic {name} {id} ×{partitions}"),
            Self::Configs { resource, values } => {
                write!(f, "settings of {resource}:")?;
                values.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
            }
            Self::Acl { entry, present: true } => write!(f, "entry: {entry}"),
            Self::Acl { entry, present: false } => write!(f, "no entry any more: {entry}"),
            Self::Credential { user, mechanism, credential } => {
                let what = if credential.is_some() { "set" } else { "taken away" };
                write!(f, "credential of {user} for {mechanism} {what}")
            }
            Self::Quotas { entity, values } => {
                write!(f, "quotas of {entity}:")?;
                values.iter().try_for_each(|(key, value)| write!(f, " {}={value}", key.name()))
            }
            Self::ProducerIds { next } => write!(f, "producer ids below {next} given out"),
            Self::Feature { name, level } => write!(f, "feature {name} at level {level}"),
            Self::Cluster { id } => write!(f, "cluster {id}"),
            Self::Cleared => f.write_str("what was before does not count"),
        }
    }
}

/// The settings of a topic as versions before wrote them: the order of the fields is the format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::broker) struct OldTopicConfig {
    flush: Flush,
    batch_bytes_max: u32,
    segment_bytes: u64,
    segment_age: Duration,
    cleanup: Cleanup,
    retention: Option<Duration>,
    retention_bytes: Option<u64>,
    tombstone_delay: Duration,
    deliveries_max: u16,
    lease: Duration,
    schema: Option<String>,
}

impl From<OldTopicConfig> for TopicConfig {
    fn from(old: OldTopicConfig) -> Self {
        Self {
            flush: old.flush,
            batch_bytes_max: old.batch_bytes_max,
            segment_bytes: old.segment_bytes,
            segment_age: old.segment_age,
            cleanup: old.cleanup,
            retention: old.retention,
            retention_bytes: old.retention_bytes,
            tombstone_delay: old.tombstone_delay,
            deliveries_max: old.deliveries_max,
            lease: old.lease,
            schema: old.schema,
            ..Self::default()
        }
    }
}

#[cfg(test)]
impl From<TopicConfig> for OldTopicConfig {
    fn from(config: TopicConfig) -> Self {
        Self {
            flush: config.flush,
            batch_bytes_max: config.batch_bytes_max,
            segment_bytes: config.segment_bytes,
            segment_age: config.segment_age,
            cleanup: config.cleanup,
            retention: config.retention,
            retention_bytes: config.retention_bytes,
            tombstone_delay: config.tombstone_delay,
            deliveries_max: config.deliveries_max,
            lease: config.lease,
            schema: config.schema,
        }
    }
}
