//! What holds: the state that the records of the metadata log lead to.

use super::features::FEATURES;
use super::records::MetadataRecord;
use crate::access::{Acls, Credentials, Quotas};
use crate::config::{BrokerSettings, Overrides, overrides_of, topic_config};
use crate::types::{ConfigResource, PartitionIndex, Timestamp, TopicConfig, TopicId, TopicName};
use std::collections::{BTreeMap, BTreeSet};

/// A topic, without its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::broker) struct TopicImage {
    pub(in crate::broker) name: TopicName,
    pub(in crate::broker) partitions: PartitionIndex,
    pub(in crate::broker) created_at: Timestamp,
}

/// All that was decided.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::broker) struct MetadataImage {
    topics: BTreeMap<TopicId, TopicImage>,
    names: BTreeMap<TopicName, TopicId>,
    /// Topics that were deleted, as far as the log remembers.
    deleted: BTreeSet<TopicId>,
    configs: BTreeMap<ConfigResource, Overrides>,
    acls: Acls,
    credentials: Credentials,
    quotas: Quotas,
    next_producer_id: i64,
    features: BTreeMap<String, i16>,
    cluster_id: Option<String>,
}

impl MetadataImage {
    pub(in crate::broker) fn apply(&mut self, record: MetadataRecord) {
        match record {
            MetadataRecord::TopicCreated { name, id, partitions, config, created_at } => {
                let values = overrides_of(&config.into());
                self.apply(MetadataRecord::Topic { id, name: name.clone(), partitions, created_at });
                self.apply(MetadataRecord::Configs { resource: ConfigResource::Topic(name), values });
            }
            MetadataRecord::TopicDeleted { name, id } => {
                self.topics.remove(&id);
                if self.names.get(&name) == Some(&id) {
                    self.names.remove(&name);
                    self.configs.remove(&ConfigResource::Topic(name));
                }
                self.deleted.insert(id);
            }
            MetadataRecord::Topic { id, name, partitions, created_at } => {
                self.names.insert(name.clone(), id);
                self.topics.insert(id, TopicImage { name, partitions, created_at });
            }
            MetadataRecord::Configs { resource, values } if values.is_empty() => {
                self.configs.remove(&resource);
            }
            MetadataRecord::Configs { resource, values } => {
                self.configs.insert(resource, values);
            }
            MetadataRecord::Acl { entry, present: true } => {
                self.acls.insert(entry);
            }
            MetadataRecord::Acl { entry, present: false } => {
                self.acls.remove(&entry);
            }
            MetadataRecord::Credential { user, credential: Some(credential), .. } => {
                self.credentials.insert(user, credential);
            }
            MetadataRecord::Credential { user, mechanism, credential: None } => {
                self.credentials.remove(&user, mechanism);
            }
            MetadataRecord::Quotas { entity, values } => self.quotas.set(entity, values.into_iter().collect()),
            MetadataRecord::ProducerIds { next } => self.next_producer_id = next,
            MetadataRecord::Feature { name, level } => {
                self.features.insert(name, level);
            }
            MetadataRecord::Cluster { id } => self.cluster_id = Some(id),
            MetadataRecord::Cleared => *self = Self::default(),
        }
    }

    /// The records that lead to this image, but for topics that were deleted and whose id `remembered` does not have.
    pub(in crate::broker) fn records(&self, remembered: impl Fn(TopicId) -> bool) -> Vec<MetadataRecord> {
        let cluster = self.cluster_id.iter().map(|id| MetadataRecord::Cluster { id: id.clone() });
        let deleted = self.deleted.iter().filter(|id| remembered(**id)).map(|id| MetadataRecord::TopicDeleted {
            // Nobody asks for the name of what is gone.
            name: TopicName::new("deleted").expect("it follows the rule"),
            id: *id,
        });
        let topics = self.topics.iter().map(|(id, topic)| {
            let TopicImage { name, partitions, created_at } = topic.clone();
            MetadataRecord::Topic { id: *id, name, partitions, created_at }
        });
        let configs = self
            .configs
            .iter()
            .map(|(resource, values)| MetadataRecord::Configs { resource: resource.clone(), values: values.clone() });
        let acls = self.acls.iter().map(|entry| MetadataRecord::Acl { entry: entry.clone(), present: true });
        let credentials = self.credentials.iter().flat_map(|(user, credentials)| {
            credentials.iter().map(|(mechanism, credential)| MetadataRecord::Credential {
                user: user.to_owned(),
                mechanism: *mechanism,
                credential: Some(credential.clone()),
            })
        });
        let quotas = self.quotas.iter().map(|(entity, values)| MetadataRecord::Quotas {
            entity: entity.clone(),
            values: values.iter().map(|(key, value)| (*key, *value)).collect(),
        });
        let ids = (self.next_producer_id > 0).then_some(MetadataRecord::ProducerIds { next: self.next_producer_id });
        let features =
            self.features.iter().map(|(name, level)| MetadataRecord::Feature { name: name.clone(), level: *level });
        // Before the topics: a name that is used again would be taken away by a deletion behind it.
        cluster
            .chain(deleted)
            .chain(topics)
            .chain(configs)
            .chain(acls)
            .chain(credentials)
            .chain(quotas)
            .chain(ids)
            .chain(features)
            .collect()
    }

    pub(in crate::broker) fn topics(&self) -> &BTreeMap<TopicId, TopicImage> {
        &self.topics
    }

    pub(in crate::broker) fn topic_id(&self, name: &TopicName) -> Option<TopicId> {
        self.names.get(name).copied()
    }

    /// A topic whose name differs from this one by `.` and `_` alone: their metrics would have one name.
    pub(in crate::broker) fn colliding(&self, name: &TopicName) -> Option<&TopicName> {
        if !name.as_str().contains(['.', '_']) {
            return None;
        }
        let plain = |name: &TopicName| name.as_str().replace('.', "_");
        let wanted = plain(name);
        self.names.keys().find(|other| *other != name && plain(other) == wanted)
    }

    pub(in crate::broker) fn deleted(&self) -> &BTreeSet<TopicId> {
        &self.deleted
    }

    /// What is set for a resource.
    pub(in crate::broker) fn configs(&self, resource: &ConfigResource) -> Overrides {
        self.configs.get(resource).cloned().unwrap_or_default()
    }

    /// The resources for which something is set.
    pub(in crate::broker) fn configured(&self) -> impl Iterator<Item = &ConfigResource> {
        self.configs.keys()
    }

    /// What the broker was told; `started` is what it was given at the start.
    pub(in crate::broker) fn broker_settings(&self, started: &Overrides) -> BrokerSettings {
        BrokerSettings {
            own: self.configs(&ConfigResource::Broker(Some(BrokerSettings::node_id(started)))),
            cluster: self.configs(&ConfigResource::Broker(None)),
            started: started.clone(),
        }
    }

    /// The settings that a topic works by.
    pub(in crate::broker) fn topic_config(&self, name: &TopicName, brokers: &BrokerSettings) -> TopicConfig {
        let nothing = Overrides::new();
        topic_config(self.configs.get(&ConfigResource::Topic(name.clone())).unwrap_or(&nothing), brokers)
    }

    pub(in crate::broker) fn acls(&self) -> &Acls {
        &self.acls
    }

    pub(in crate::broker) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    pub(in crate::broker) fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// The first producer id that was not given out.
    pub(in crate::broker) fn next_producer_id(&self) -> i64 {
        self.next_producer_id
    }

    /// The level of every feature.
    pub(in crate::broker) fn features(&self) -> impl Iterator<Item = (&'static str, i16)> + '_ {
        FEATURES
            .iter()
            .map(|feature| (feature.name, self.features.get(feature.name).copied().unwrap_or(feature.default_level)))
    }

    pub(in crate::broker) fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }
}
