//! What holds: values found by going from source to source, and the typed settings that the broker works by.

use super::setting::{Overrides, Setting, parts};
use super::{broker, find, settings_of, topic};
use crate::types::{
    Cleanup, Compression, ConfigResource, ConfigSource, ConfigType, Flush, TimestampType, TopicConfig, limits,
};
use std::str::FromStr;
use std::time::Duration;

/// What brokers were told, by source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BrokerSettings {
    /// Set for this broker while it ran.
    pub(crate) own: Overrides,
    /// Set for all brokers while they ran.
    pub(crate) cluster: Overrides,
    /// Given at the start.
    pub(crate) started: Overrides,
}

/// A value of a setting, and where it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Synonym {
    pub(crate) name: &'static str,
    pub(crate) value: Option<String>,
    pub(crate) source: ConfigSource,
}

/// A setting as it is now.
#[derive(Clone, Debug)]
pub(crate) struct Described {
    pub(crate) setting: &'static Setting,
    /// The value that holds comes first.
    pub(crate) synonyms: Vec<Synonym>,
}

impl BrokerSettings {
    /// The id of a broker that was given these at the start.
    pub(crate) fn node_id(started: &Overrides) -> i32 {
        started.get("node.id").and_then(|id| id.parse().ok()).unwrap_or(0)
    }

    /// The values of a broker's setting, the one that holds first.
    fn sources(&self, setting: &'static Setting) -> Vec<Synonym> {
        let name = setting.name;
        let of = |source, overrides: &Overrides| {
            overrides.get(name).map(|value| Synonym { name, value: Some(value.clone()), source })
        };
        let set = [
            of(ConfigSource::Broker, &self.own),
            of(ConfigSource::DefaultBroker, &self.cluster),
            of(ConfigSource::Started, &self.started),
        ];
        let default = Synonym { name, value: setting.default.map(str::to_owned), source: ConfigSource::Default };
        set.into_iter().flatten().chain([default]).collect()
    }

    /// The value of a broker's setting that holds.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let set = [&self.own, &self.cluster, &self.started].into_iter().find_map(|set| set.get(name));
        set.map(String::as_str).or_else(|| find(broker::SETTINGS, name)?.default)
    }

    /// The same as a number or truth; the default where it is none, which the table's test excludes.
    pub(crate) fn parsed<T: FromStr>(&self, name: &str) -> Option<T> {
        let default = || find(broker::SETTINGS, name)?.default?.parse().ok();
        self.value(name).and_then(|value| value.parse().ok()).or_else(default)
    }
}

/// Every setting of a resource with its values. `overrides` are those of the resource itself, if it is not a broker.
pub(crate) fn describe(resource: &ConfigResource, overrides: &Overrides, brokers: &BrokerSettings) -> Vec<Described> {
    let source = match resource {
        ConfigResource::Topic(_) => ConfigSource::Topic,
        ConfigResource::Broker(_) => ConfigSource::Broker,
        ConfigResource::Group(_) => ConfigSource::Group,
    };
    let described = settings_of(resource).iter().map(|setting| {
        if let ConfigResource::Broker(id) = resource {
            let mut synonyms = brokers.sources(setting);
            // What holds for all is not what this one was told.
            synonyms.retain(|synonym| id.is_some() || synonym.source == ConfigSource::DefaultBroker);
            return Described { setting, synonyms };
        }
        let name = setting.name;
        let own = overrides.get(name).map(|value| Synonym { name, value: Some(value.clone()), source });
        let below = match setting.fallback.and_then(|fallback| find(broker::SETTINGS, fallback)) {
            Some(of_broker) => brokers.sources(of_broker),
            None => {
                let value = setting.default.map(str::to_owned);
                vec![Synonym { name, value, source: ConfigSource::Default }]
            }
        };
        Described { setting, synonyms: own.into_iter().chain(below).collect() }
    });
    // Of all brokers only what was set is told, as Kafka does.
    described.filter(|described| !described.synonyms.is_empty()).collect()
}

/// The typed settings of a topic that has these.
pub(crate) fn topic_config(overrides: &Overrides, brokers: &BrokerSettings) -> TopicConfig {
    let value = |name: &str| -> Option<&str> {
        let setting = find(topic::SETTINGS, name)?;
        let below = || setting.fallback.and_then(|fallback| brokers.value(fallback)).or(setting.default);
        overrides.get(name).map(String::as_str).or_else(below)
    };
    let number = |name: &str| value(name).and_then(|value| value.parse::<i64>().ok());
    let bytes = |name: &str, default: u64| number(name).and_then(|n| u64::try_from(n).ok()).unwrap_or(default);
    let span = |name: &str| number(name).and_then(|n| u64::try_from(n).ok()).map(Duration::from_millis);
    let bound = |name: &str| span(name).filter(|span| span.as_millis() < i64::MAX as u128);
    let default = TopicConfig::default();

    let policies = parts(value("cleanup.policy").unwrap_or_default());
    let cleanup = match (policies.contains(&"compact"), policies.contains(&"delete")) {
        (true, true) => Cleanup::CompactAndDelete,
        (true, false) => Cleanup::Compact,
        _ => Cleanup::Delete,
    };
    // An empty list: nothing is ever deleted. So it is with what is only compacted.
    let deletes = policies.contains(&"delete");
    TopicConfig {
        flush: value("tailwater.flush").and_then(|value| Flush::from_str(value).ok()).unwrap_or_default(),
        batch_bytes_max: bytes("max.message.bytes", u64::from(default.batch_bytes_max)) as u32,
        segment_bytes: bytes("segment.bytes", default.segment_bytes),
        segment_age: span("segment.ms").unwrap_or(default.segment_age).max(limits::SEGMENT_AGE_MIN),
        cleanup,
        timestamps: match value("message.timestamp.type") {
            Some("LogAppendTime") => TimestampType::LogAppendTime,
            _ => TimestampType::CreateTime,
        },
        timestamp_before: bound("message.timestamp.before.max.ms"),
        timestamp_after: bound("message.timestamp.after.max.ms"),
        compression: match value("compression.type") {
            Some("uncompressed") => Some(Compression::None),
            Some(name) => Compression::ALL.into_iter().find(|codec| codec.name() == name),
            None => None,
        },
        replicas_in_sync_min: bytes("min.insync.replicas", 1) as u16,
        dirty_permille: value("min.cleanable.dirty.ratio")
            .and_then(|value| value.parse::<f64>().ok())
            .map_or(default.dirty_permille, |ratio| (ratio * 1000.0).round() as u16),
        retention: span("retention.ms").filter(|_| deletes),
        retention_bytes: number("retention.bytes").and_then(|n| u64::try_from(n).ok()).filter(|_| deletes),
        tombstone_delay: span("delete.retention.ms").unwrap_or(default.tombstone_delay),
        deliveries_max: bytes("tailwater.deliveries.max", u64::from(default.deliveries_max)) as u16,
        lease: span("tailwater.lease.ms").unwrap_or(default.lease),
        schema: value("tailwater.schema").filter(|schema| !schema.is_empty()).map(str::to_owned),
    }
}

/// What has to be set for a topic to have these settings where nothing else is set.
pub(crate) fn overrides_of(config: &TopicConfig) -> Overrides {
    let ms = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX).to_string();
    let or_unbounded = |value: Option<String>| value.unwrap_or_else(|| "-1".into());
    let bound = |span: Option<Duration>| span.map_or_else(|| topic::FOREVER.into(), ms);
    let all = [
        (
            "cleanup.policy",
            match config.cleanup {
                Cleanup::Delete => "delete".to_owned(),
                Cleanup::Compact => "compact".into(),
                Cleanup::CompactAndDelete => "compact,delete".into(),
            },
        ),
        (
            "compression.type",
            match config.compression {
                None => "producer".to_owned(),
                Some(Compression::None) => "uncompressed".into(),
                Some(codec) => codec.name().into(),
            },
        ),
        ("delete.retention.ms", ms(config.tombstone_delay)),
        ("max.message.bytes", config.batch_bytes_max.to_string()),
        ("message.timestamp.after.max.ms", bound(config.timestamp_after)),
        ("message.timestamp.before.max.ms", bound(config.timestamp_before)),
        (
            "message.timestamp.type",
            match config.timestamps {
                TimestampType::CreateTime => "CreateTime".to_owned(),
                TimestampType::LogAppendTime => "LogAppendTime".into(),
            },
        ),
        ("min.cleanable.dirty.ratio", (f64::from(config.dirty_permille) / 1000.0).to_string()),
        ("min.insync.replicas", config.replicas_in_sync_min.to_string()),
        ("retention.bytes", or_unbounded(config.retention_bytes.map(|bytes| bytes.to_string()))),
        ("retention.ms", or_unbounded(config.retention.map(ms))),
        ("segment.bytes", config.segment_bytes.to_string()),
        ("segment.ms", ms(config.segment_age)),
        ("tailwater.deliveries.max", config.deliveries_max.to_string()),
        ("tailwater.flush", config.flush.to_string()),
        ("tailwater.lease.ms", ms(config.lease)),
        ("tailwater.schema", config.schema.clone().unwrap_or_default()),
    ];
    let is_default = |name: &str, value: &str| {
        find(topic::SETTINGS, name).is_some_and(|setting| match (setting.kind, setting.default) {
            (ConfigType::Double, Some(default)) => default.parse::<f64>().ok() == value.parse().ok(),
            (_, default) => default.unwrap_or_default() == value,
        })
    };
    all.into_iter()
        .filter(|(name, value)| !is_default(name, value))
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
