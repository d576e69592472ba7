//! Settings: one table of all that topics, brokers and groups can be told, under Kafka's names.
//!
//! ```text
//!                     name          type   default  check        falls back to (of the broker)
//!   topic, broker,    retention.ms  Long   -1       Range(-1..)  log.retention.ms
//!   group             …
//! ```
//! A value is found by going down: set for the topic, for this broker, for all brokers, at the start, default. What is
//! set for a topic is kept as it was written (`Overrides`), checked when it is set; [`topic_config`] makes the typed
//! [`TopicConfig`](crate::types::TopicConfig) of it, which the broker works by.
//!
//! Settings of ours begin with `tailwater.`. Where a default differs from Kafka's it says so: nothing is deleted and no
//! event time refused unless somebody asks for it.
//!
//! Settings that Kafka has and that mean nothing here (log cleaner threads, ZooKeeper, …) are left out; a few that tools
//! set as a matter of course are taken and say in their documentation that they have no effect.

mod alter;
mod broker;
mod effective;
mod group;
mod setting;
#[cfg(test)]
mod tests;
mod topic;

pub(crate) use alter::{changed, checked, started};
pub(crate) use effective::{BrokerSettings, Described, describe, overrides_of, topic_config};
pub(crate) use setting::{Overrides, Setting};

use crate::types::ConfigResource;

/// The settings that a resource can have, by name.
pub(crate) fn settings_of(resource: &ConfigResource) -> &'static [Setting] {
    match resource {
        ConfigResource::Topic(_) => topic::SETTINGS,
        ConfigResource::Broker(_) => broker::SETTINGS,
        ConfigResource::Group(_) => group::SETTINGS,
    }
}

/// A setting by its name.
pub(crate) fn find(settings: &'static [Setting], name: &str) -> Option<&'static Setting> {
    settings.iter().find(|setting| setting.name == name)
}
