//! Settings, users, permissions and quotas: the rest of [`Admin`].

use super::Admin;
use crate::access::salted_password;
use crate::env::secret;
use crate::service::{
    AlterQuotas, AlterScramUsers, ClusterDescription, ConfigEntry, CreateAcls, CreatePartitions, DeleteAcls,
    DescribeAcls, DescribeConfigs, DescribeQuotas, DescribeScramUsers, IncrementalAlterConfigs, MorePartitions,
    QuotaDescription, QuotaValues, ScramUpsertion, ScramUser,
};
use crate::types::{
    AclBinding, AclFilter, ConfigChange, ConfigResource, Error, PartitionIndex, QuotaEntity, Result, SCRAM_ITERATIONS,
    ScramMechanism, TopicName,
};

impl Admin {
    /// Gives a topic more partitions: `count` in all. Records stay where they are, so a key may be in two partitions
    /// from then on.
    pub async fn add_partitions(&self, topic: impl AsRef<str>, count: PartitionIndex) -> Result<()> {
        let topics = vec![MorePartitions { topic: TopicName::new(topic)?, count, assignments: None }];
        only(self.service.create_partitions(CreatePartitions { topics, validate_only: false }).await)
    }

    /// Every setting of a topic, a broker or a group, with its value and where that comes from.
    pub async fn settings(&self, of: ConfigResource) -> Result<Vec<ConfigEntry>> {
        let request =
            DescribeConfigs { resources: vec![(of, None)], include_documentation: true, ..Default::default() };
        only(self.service.describe_configs(request).await)
    }

    /// Changes settings: all of them or none. They hold at once.
    pub async fn change_settings(&self, of: ConfigResource, changes: Vec<ConfigChange>) -> Result<()> {
        let request = IncrementalAlterConfigs { resources: vec![(of, changes)], validate_only: false };
        only(self.service.incremental_alter_configs(request).await)
    }

    /// The cluster with its brokers.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription> {
        self.service.describe_cluster().await
    }

    /// Gives a user a password, for SCRAM-SHA-256, SCRAM-SHA-512 and PLAIN; a user that is not there is made. The password
    /// itself does not leave this process. Takes milliseconds of this thread.
    ///
    /// With the first user or the first entry of access control, what no entry allows is refused.
    pub async fn set_user(&self, user: impl Into<String>, password: &str) -> Result<()> {
        let user = user.into();
        let upsertion = |mechanism| {
            let (salt, iterations) = (secret::<16>().to_vec(), *SCRAM_ITERATIONS.start());
            let salted_password = salted_password(mechanism, password.as_bytes(), &salt, iterations);
            ScramUpsertion { user: user.clone(), mechanism, iterations, salt, salted_password }
        };
        let upsertions = ScramMechanism::ALL.into_iter().map(upsertion).collect();
        self.alter_users(AlterScramUsers { deletions: Vec::new(), upsertions }).await
    }

    /// Takes a user away. [`Error::ResourceNotFound`] if there is none of that name.
    pub async fn remove_user(&self, user: impl Into<String>) -> Result<()> {
        let user = user.into();
        let request = DescribeScramUsers { users: Some(vec![user.clone()]) };
        let found = self.service.describe_scram_users(request).await?;
        let (_, found) = found.into_iter().next().ok_or(Error::Closed)?;
        let deletions = found?.credentials.into_iter().map(|(mechanism, _)| (user.clone(), mechanism)).collect();
        self.alter_users(AlterScramUsers { deletions, upsertions: Vec::new() }).await
    }

    async fn alter_users(&self, request: AlterScramUsers) -> Result<()> {
        self.service.alter_scram_users(request).await?.into_iter().try_for_each(|(_, result)| result)
    }

    /// All users, by name.
    pub async fn users(&self) -> Result<Vec<ScramUser>> {
        let users = self.service.describe_scram_users(DescribeScramUsers { users: None }).await?;
        users.into_iter().map(|(_, user)| user).collect()
    }

    /// Adds entries of access control.
    pub async fn add_acls(&self, entries: Vec<AclBinding>) -> Result<()> {
        self.service.create_acls(CreateAcls { entries }).await.into_iter().collect()
    }

    /// The entries of access control that a filter chooses; the default filter chooses all.
    pub async fn acls(&self, filter: AclFilter) -> Result<Vec<AclBinding>> {
        self.service.describe_acls(DescribeAcls { filter }).await
    }

    /// Takes the entries away that a filter chooses, and returns them.
    pub async fn remove_acls(&self, filter: AclFilter) -> Result<Vec<AclBinding>> {
        only(self.service.delete_acls(DeleteAcls { filters: vec![filter] }).await)
    }

    /// All quotas.
    pub async fn quotas(&self) -> Result<Vec<QuotaDescription>> {
        self.service.describe_quotas(DescribeQuotas::default()).await
    }

    /// Changes quotas of an entity, by Kafka's names; `None` takes one away.
    pub async fn change_quotas(&self, entity: QuotaEntity, values: QuotaValues) -> Result<()> {
        let request = AlterQuotas { entries: vec![(entity, values)], validate_only: false };
        only(self.service.alter_quotas(request).await)
    }
}

/// The answer to a request for one thing.
fn only<T>(answers: Vec<Result<T>>) -> Result<T> {
    answers.into_iter().next().unwrap_or(Err(Error::Closed))
}
