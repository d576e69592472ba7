//! The requests and responses of administration: topics, settings, the cluster, users, permissions, quotas.

use crate::config::overrides_of;
use crate::types::{
    AclBinding, AclFilter, ConfigChange, ConfigResource, ConfigSource, ConfigType, PartitionIndex, QuotaEntity,
    QuotaKey, QuotaMatch, Result, ScramMechanism, TopicId, TopicName, TopicPartition, TopicSpec,
};

/// Settings by name, each with its value; what has none is an error where it has to have one.
pub type ConfigValues = Vec<(String, Option<String>)>;
/// Quotas by Kafka's names, each with its value or none.
pub type QuotaValues = Vec<(String, Option<f64>)>;
/// What has become of each partition of a request.
pub type ByPartition<T> = Vec<(TopicPartition, Result<T>)>;
/// What has become of each user of a request.
pub type ByUser<T> = Vec<(String, Result<T>)>;

/// Makes topics (Kafka's CreateTopics).
#[derive(Clone, Debug, Default)]
pub struct CreateTopics {
    /// What to make.
    pub topics: Vec<NewTopic>,
    /// Whether to check only, and make nothing.
    pub validate_only: bool,
}

/// A topic to make, by Kafka's names.
#[derive(Clone, Debug, Default)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; `None` is as the broker is set (`num.partitions`), or as assigned.
    pub partitions: Option<PartitionIndex>,
    /// How many replicas of each; `None` is as the broker is set, or as assigned.
    pub replication_factor: Option<i16>,
    /// Which brokers have which partition, instead of the two above.
    pub assignments: Vec<(PartitionIndex, Vec<i32>)>,
    /// Its settings, by Kafka's names or ours.
    pub configs: ConfigValues,
}

/// A topic, by name or by identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicRef {
    /// By name.
    Name(TopicName),
    /// By identity.
    Id(TopicId),
}

/// Deletes a topic with its records (Kafka's DeleteTopics).
#[derive(Clone, Debug)]
pub struct DeleteTopic {
    /// The topic.
    pub topic: TopicRef,
}

/// Gives topics more partitions (Kafka's CreatePartitions).
#[derive(Clone, Debug, Default)]
pub struct CreatePartitions {
    /// Which topics.
    pub topics: Vec<MorePartitions>,
    /// Whether to check only, and make nothing.
    pub validate_only: bool,
}

/// How many partitions a topic is to have.
#[derive(Clone, Debug)]
pub struct MorePartitions {
    /// The topic.
    pub topic: TopicName,
    /// How many in all: more than it has.
    pub count: PartitionIndex,
    /// Which brokers have each of the new ones, if that is given.
    pub assignments: Option<Vec<Vec<i32>>>,
}

/// Asks for settings (Kafka's DescribeConfigs).
#[derive(Clone, Debug, Default)]
pub struct DescribeConfigs {
    /// Of what, and which: `None` is all.
    pub resources: Vec<(ConfigResource, Option<Vec<String>>)>,
    /// Whether to say where else a value could come from.
    pub include_synonyms: bool,
    /// Whether to say what a setting is for.
    pub include_documentation: bool,
}

/// A setting as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its name.
    pub name: String,
    /// Its value; `None` is none.
    pub value: Option<String>,
    /// Whether it cannot be changed while the broker runs.
    pub read_only: bool,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// How the value is written.
    pub kind: ConfigType,
    /// Where it comes from, and where it would if that were not there; empty unless asked for.
    pub synonyms: Vec<ConfigSynonym>,
    /// What it is for, if asked for.
    pub documentation: Option<String>,
}

/// A value that holds unless another goes before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSynonym {
    /// The name that it is set by there.
    pub name: String,
    /// The value.
    pub value: Option<String>,
    /// Where.
    pub source: ConfigSource,
}

/// Replaces all that is set for some resources (Kafka's AlterConfigs).
#[derive(Clone, Debug, Default)]
pub struct AlterConfigs {
    /// What is to be set for each; what is not named is set no more.
    pub resources: Vec<(ConfigResource, ConfigValues)>,
    /// Whether to check only.
    pub validate_only: bool,
}

/// Changes what is set for some resources (Kafka's IncrementalAlterConfigs).
#[derive(Clone, Debug, Default)]
pub struct IncrementalAlterConfigs {
    /// The changes for each: all of them or none.
    pub resources: Vec<(ConfigResource, Vec<ConfigChange>)>,
    /// Whether to check only.
    pub validate_only: bool,
}

/// The cluster as it is now (Kafka's DescribeCluster). Addresses are the server's to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterDescription {
    /// The name that it goes by; stays the same for the life of the data.
    pub cluster_id: String,
    /// The broker that decides on metadata.
    pub controller_id: i32,
    /// The ids of all brokers.
    pub brokers: Vec<i32>,
}

/// Asks where partitions lie (Kafka's DescribeLogDirs).
#[derive(Clone, Debug, Default)]
pub struct DescribeLogDirs {
    /// Which partitions; `None` is all.
    pub partitions: Option<Vec<TopicPartition>>,
}

/// A data directory with what lies in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogDirDescription {
    /// Its path.
    pub path: String,
    /// Bytes that may still be written there, if that is known.
    pub free_bytes: Option<u64>,
    /// The partitions, with their bytes on disk.
    pub partitions: Vec<(TopicPartition, u64)>,
}

/// Has the preferred replicas lead again (Kafka's ElectLeaders).
#[derive(Clone, Debug, Default)]
pub struct ElectLeaders {
    /// Of which partitions; `None` is all.
    pub partitions: Option<Vec<TopicPartition>>,
}

/// Moves partitions to other brokers (Kafka's AlterPartitionReassignments).
#[derive(Clone, Debug, Default)]
pub struct AlterReassignments {
    /// Which brokers are to have each; `None` cancels a move under way.
    pub partitions: Vec<(TopicPartition, Option<Vec<i32>>)>,
}

/// Adds entries of access control (Kafka's CreateAcls).
#[derive(Clone, Debug, Default)]
pub struct CreateAcls {
    /// The entries.
    pub entries: Vec<AclBinding>,
}

/// Asks for entries of access control (Kafka's DescribeAcls).
#[derive(Clone, Debug, Default)]
pub struct DescribeAcls {
    /// Which.
    pub filter: AclFilter,
}

/// Takes entries of access control away (Kafka's DeleteAcls).
#[derive(Clone, Debug, Default)]
pub struct DeleteAcls {
    /// Which.
    pub filters: Vec<AclFilter>,
}

/// Asks which users there are (Kafka's DescribeUserScramCredentials).
#[derive(Clone, Debug, Default)]
pub struct DescribeScramUsers {
    /// Which; `None` is all.
    pub users: Option<Vec<String>>,
}

/// A user's credentials, without what is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScramUser {
    /// The user.
    pub user: String,
    /// The mechanisms that there is a credential for, with its iterations.
    pub credentials: Vec<(ScramMechanism, u32)>,
}

/// Adds, changes and takes away users (Kafka's AlterUserScramCredentials).
#[derive(Clone, Debug, Default)]
pub struct AlterScramUsers {
    /// Credentials to take away.
    pub deletions: Vec<(String, ScramMechanism)>,
    /// Credentials to set.
    pub upsertions: Vec<ScramUpsertion>,
}

/// A credential to set. The password itself stays with the client.
#[derive(Clone)]
pub struct ScramUpsertion {
    /// The user.
    pub user: String,
    /// The mechanism.
    pub mechanism: ScramMechanism,
    /// Iterations of PBKDF2, 4096 to 16384.
    pub iterations: u32,
    /// Random.
    pub salt: Vec<u8>,
    /// PBKDF2 of the password.
    pub salted_password: Vec<u8>,
}

/// Without the password.
impl std::fmt::Debug for ScramUpsertion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ScramUpsertion({} {} ×{}, password not shown)", self.user, self.mechanism, self.iterations)
    }
}

/// Asks for quotas (Kafka's DescribeClientQuotas).
#[derive(Clone, Debug, Default)]
pub struct DescribeQuotas {
    /// What each part (`user`, `client-id`, `ip`) of an entity has to be.
    pub parts: Vec<(String, QuotaMatch)>,
    /// Whether entities with other parts are left out.
    pub strict: bool,
}

/// The quotas of an entity.
#[derive(Clone, Debug, PartialEq)]
pub struct QuotaDescription {
    /// Whom they are for.
    pub entity: QuotaEntity,
    /// The quotas.
    pub values: Vec<(QuotaKey, f64)>,
}

/// Changes quotas (Kafka's AlterClientQuotas).
#[derive(Clone, Debug, Default)]
pub struct AlterQuotas {
    /// Whose, and which by name; `None` takes one away.
    pub entries: Vec<(QuotaEntity, QuotaValues)>,
    /// Whether to check only.
    pub validate_only: bool,
}

/// Features that the cluster has agreed on (part of Kafka's ApiVersions).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureDescription {
    /// The feature.
    pub name: &'static str,
    /// The lowest level that this build knows.
    pub min_level: i16,
    /// The highest.
    pub max_level: i16,
    /// The level that was agreed on; 0 is not at all.
    pub level: i16,
}

/// Changes the levels of features (Kafka's UpdateFeatures).
#[derive(Clone, Debug, Default)]
pub struct UpdateFeatures {
    /// Which, to what level, and whether it may be lower than now.
    pub updates: Vec<(String, i16, bool)>,
    /// Whether to check only.
    pub validate_only: bool,
}

impl From<TopicName> for TopicRef {
    fn from(name: TopicName) -> Self {
        Self::Name(name)
    }
}

impl From<TopicId> for TopicRef {
    fn from(id: TopicId) -> Self {
        Self::Id(id)
    }
}

impl From<TopicSpec> for NewTopic {
    fn from(spec: TopicSpec) -> Self {
        let TopicSpec { name, partitions, config } = spec;
        let configs = overrides_of(&config).into_iter().map(|(name, value)| (name, Some(value))).collect();
        Self { name: name.to_string(), partitions: Some(partitions), configs, ..Self::default() }
    }
}
