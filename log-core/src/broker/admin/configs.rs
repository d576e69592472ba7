//! Settings: described with their sources, changed, and made to hold on partitions that are open.

use super::super::Broker;
use super::super::metadata::{MetadataImage, MetadataRecord};
use super::super::topics::Topic;
use crate::config::{self, BrokerSettings, Described, Overrides};
use crate::service::{AlterConfigs, ConfigEntry, ConfigSynonym, DescribeConfigs, IncrementalAlterConfigs};
use crate::types::{ConfigResource, Error, Result};
use std::sync::Arc;

impl Broker {
    /// What this broker was told, for those that work by a broker's settings.
    pub(in crate::broker) fn broker_settings(&self) -> BrokerSettings {
        self.image.read().broker_settings(&self.started)
    }

    pub(in crate::broker) fn describe_settings(&self, request: &DescribeConfigs) -> Vec<Result<Vec<ConfigEntry>>> {
        let image = self.image.read();
        let brokers = image.broker_settings(&self.started);
        let described = request.resources.iter().map(|(resource, names)| {
            self.check_open()?;
            self.exists(&image, resource)?;
            let all = config::describe(resource, &image.configs(resource), &brokers);
            let wanted = all.into_iter().filter(|described| {
                names.as_ref().is_none_or(|names| names.iter().any(|name| name == described.setting.name))
            });
            Ok(wanted.map(|described| entry(described, request)).collect())
        });
        described.collect()
    }

    pub(in crate::broker) async fn replace_settings(&self, request: AlterConfigs) -> Vec<Result<()>> {
        let mut altered = Vec::with_capacity(request.resources.len());
        for (resource, values) in request.resources {
            let decide = |_: &Overrides| config::checked(&resource, values.iter().map(|(name, value)| (name, value)));
            altered.push(self.alter(&resource, request.validate_only, decide).await);
        }
        altered
    }

    pub(in crate::broker) async fn change_settings(&self, request: IncrementalAlterConfigs) -> Vec<Result<()>> {
        let mut altered = Vec::with_capacity(request.resources.len());
        for (resource, changes) in request.resources {
            let decide = |current: &Overrides| config::changed(&resource, current, &changes);
            altered.push(self.alter(&resource, request.validate_only, decide).await);
        }
        altered
    }

    async fn alter(
        &self,
        resource: &ConfigResource,
        validate_only: bool,
        decide: impl FnOnce(&Overrides) -> Result<Overrides>,
    ) -> Result<()> {
        let _one_at_a_time = self.topology.lock().await;
        self.check_open()?;
        let (current, values) = {
            let image = self.image.read();
            self.exists(&image, resource)?;
            let current = image.configs(resource);
            let values = decide(&current)?;
            (current, values)
        };
        if validate_only || values == current {
            return Ok(());
        }
        self.decide(vec![MetadataRecord::Configs { resource: resource.clone(), values }])?;
        match resource {
            ConfigResource::Topic(name) => self.topic(name).map(|topic| self.reconfigure(&topic))?,
            // What topics do not set themselves may be other now.
            ConfigResource::Broker(_) => {
                let topics: Vec<_> = self.topics.iter().map(|topic| topic.clone()).collect();
                topics.iter().for_each(|topic| self.reconfigure(topic));
            }
            ConfigResource::Group(_) => {}
        }
        Ok(())
    }

    pub(in crate::broker) fn configured(&self) -> Result<Vec<ConfigResource>> {
        self.check_open()?;
        let image = self.image.read();
        let topics = image.topics().values().map(|topic| ConfigResource::Topic(topic.name.clone()));
        let others = image.configured().filter(|resource| !matches!(resource, ConfigResource::Topic(_))).cloned();
        let this = ConfigResource::Broker(Some(self.node_id));
        let others = others.filter(|resource| *resource != this);
        Ok(topics.chain([this.clone()]).chain(others).collect())
    }

    /// Makes a topic work by what is set now. The caller holds `topology`.
    fn reconfigure(&self, topic: &Topic) {
        let config = {
            let image = self.image.read();
            image.topic_config(&topic.name, &image.broker_settings(&self.started))
        };
        if config == topic.config {
            return;
        }
        topic.partitions.iter().for_each(|partition| partition.configure(&config));
        let Topic { name, id, partitions, .. } = topic;
        let changed = Topic { name: name.clone(), id: *id, config, partitions: partitions.clone() };
        self.topics.insert(name.clone(), Arc::new(changed));
    }

    fn exists(&self, image: &MetadataImage, resource: &ConfigResource) -> Result<()> {
        match resource {
            ConfigResource::Topic(name) if image.topic_id(name).is_none() => self.topic(name).map(drop),
            ConfigResource::Broker(Some(id)) if *id != self.node_id => {
                let why = format!("there is no broker {id}; the only one is {}", self.node_id);
                Err(Error::InvalidRequest { why })
            }
            _ => Ok(()),
        }
    }
}

fn entry(described: Described, request: &DescribeConfigs) -> ConfigEntry {
    let Described { setting, synonyms } = described;
    let holds = synonyms.first().cloned();
    let synonyms = synonyms.into_iter().filter(|_| request.include_synonyms).map(|synonym| ConfigSynonym {
        name: synonym.name.to_owned(),
        value: synonym.value,
        source: synonym.source,
    });
    ConfigEntry {
        name: setting.name.to_owned(),
        value: holds.as_ref().and_then(|holds| holds.value.clone()),
        read_only: setting.is_read_only,
        source: holds.map_or(crate::types::ConfigSource::Default, |holds| holds.source),
        kind: setting.kind,
        synonyms: synonyms.collect(),
        documentation: request.include_documentation.then(|| setting.doc.to_owned()),
    }
}
