//! The table keeps its own rules, and values go through it and back.

use super::*;
use crate::types::{
    Cleanup, Compression, ConfigChange, ConfigOperation, ConfigSource, Error, Flush, TimestampType, TopicConfig,
    TopicName,
};
use std::time::Duration;

fn a_topic() -> ConfigResource {
    ConfigResource::Topic(TopicName::new("t").unwrap())
}

fn change(name: &str, operation: ConfigOperation, value: &str) -> ConfigChange {
    ConfigChange { name: name.into(), operation, value: Some(value.into()) }
}

#[test]
fn the_tables_are_in_order_and_their_defaults_pass_their_own_checks() {
    for settings in [topic::SETTINGS, broker::SETTINGS, group::SETTINGS] {
        assert!(settings.is_sorted_by(|a, b| a.name < b.name), "by name, none twice");
        for setting in settings {
            if let Some(default) = setting.default {
                assert_eq!(setting.checked(default).unwrap(), default, "{}", setting.name);
            }
            if let Some(fallback) = setting.fallback {
                let of_broker = find(broker::SETTINGS, fallback).unwrap_or_else(|| panic!("{fallback}"));
                assert_eq!((of_broker.kind, of_broker.default), (setting.kind, setting.default), "{fallback}");
            }
        }
    }
}

#[test]
fn nothing_set_is_the_default_of_the_typed_settings() {
    assert_eq!(topic_config(&Overrides::new(), &BrokerSettings::default()), TopicConfig::default());
    assert_eq!(overrides_of(&TopicConfig::default()), Overrides::new());
}

#[test]
fn typed_settings_survive_being_written_by_name() {
    let config = TopicConfig {
        flush: Flush::Interval(Duration::from_millis(200)),
        batch_bytes_max: 2048,
        segment_bytes: 8192,
        segment_age: Duration::from_secs(60),
        cleanup: Cleanup::CompactAndDelete,
        timestamps: TimestampType::LogAppendTime,
        timestamp_before: Some(Duration::from_secs(1)),
        timestamp_after: Some(Duration::from_secs(2)),
        compression: Some(Compression::None),
        replicas_in_sync_min: 2,
        dirty_permille: 250,
        retention: Some(Duration::from_hours(1)),
        retention_bytes: Some(1 << 40),
        tombstone_delay: Duration::ZERO,
        deliveries_max: 7,
        lease: Duration::from_millis(1),
        schema: Some("{}".into()),
    };
    let overrides = overrides_of(&config);
    assert_eq!(overrides.len(), 17, "each of them: {overrides:?}");
    let values: Vec<_> = overrides.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
    let checked = checked(&a_topic(), values.iter().map(|(name, value)| (name, value))).unwrap();
    assert_eq!(topic_config(&checked, &BrokerSettings::default()), config);
}

#[test]
fn values_are_checked_by_type_and_range() {
    let set =
        |name: &str, value: &str| changed(&a_topic(), &Overrides::new(), &[change(name, ConfigOperation::Set, value)]);
    for (name, value) in [
        ("retention.ms", "-1"),
        ("cleanup.policy", " compact , delete "),
        ("cleanup.policy", ""),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("preallocate", "TRUE"),
        ("tailwater.flush", "interval:5ms"),
        ("max.message.bytes", "134217728"),
    ] {
        set(name, value).unwrap();
    }
    for (name, value) in [
        ("retention.ms", "-2"),
        ("retention.ms", "week"),
        ("segment.bytes", "2147483648"),
        ("cleanup.policy", "compact,burn"),
        ("min.cleanable.dirty.ratio", "1.1"),
        ("min.cleanable.dirty.ratio", "NaN"),
        ("preallocate", "yes"),
        ("tailwater.flush", "interval:0ms"),
        ("max.message.bytes", "134217729"),
        ("compression.type", "br"),
        ("no.such.thing", "1"),
    ] {
        let error = set(name, value).unwrap_err();
        assert!(matches!(&error, Error::InvalidConfig { name: n, .. } if n == name), "{name}={value}: {error}");
    }
    let broker = ConfigResource::Broker(None);
    let fixed = changed(&broker, &Overrides::new(), &[change("node.id", ConfigOperation::Set, "7")]);
    assert!(matches!(fixed, Err(Error::InvalidConfig { .. })), "it is given at the start");
}

#[test]
fn lists_are_appended_to_and_subtracted_from() {
    use ConfigOperation::{Append, Delete, Set, Subtract};
    let apply = |current: &Overrides, operation, value: &str| {
        changed(&a_topic(), current, &[change("cleanup.policy", operation, value)])
    };
    let both = apply(&Overrides::new(), Append, "compact").unwrap();
    assert_eq!(both["cleanup.policy"], "delete,compact", "to the default");
    assert_eq!(apply(&both, Append, "compact,delete").unwrap(), both, "what is there is not added again");
    let one = apply(&both, Subtract, "delete").unwrap();
    assert_eq!(one["cleanup.policy"], "compact");
    assert!(apply(&one, Delete, "").unwrap().is_empty());
    assert!(apply(&one, Append, "burn").is_err());
    let number = changed(&a_topic(), &one, &[change("retention.ms", Append, "1")]);
    assert!(matches!(number, Err(Error::InvalidConfig { .. })), "not a list");
    let twice = [change("retention.ms", Set, "1"), change("retention.ms", Delete, "")];
    assert!(matches!(changed(&a_topic(), &one, &twice), Err(Error::InvalidRequest { .. })));
    let nothing = ConfigChange { name: "retention.ms".into(), operation: Set, value: None };
    assert!(changed(&a_topic(), &one, &[nothing]).is_err());
}

#[test]
fn a_value_is_found_by_going_down_the_sources() {
    let name = |of: &str| of.to_owned();
    let mut brokers = BrokerSettings::default();
    let mut topic = Overrides::new();
    let mut seen = Vec::new();
    let mut look = |topic: &Overrides, brokers: &BrokerSettings| {
        let all = describe(&a_topic(), topic, brokers);
        let retention = all.iter().find(|described| described.setting.name == "retention.ms").unwrap();
        let first = &retention.synonyms[0];
        seen.push((first.source, first.value.clone().unwrap(), retention.synonyms.len()));
        assert_eq!(topic_config(topic, brokers).retention.map(|span| span.as_millis().to_string()), {
            first.value.clone().filter(|value| value != "-1")
        });
    };
    look(&topic, &brokers);
    brokers.started.insert(name("log.retention.ms"), name("10"));
    look(&topic, &brokers);
    brokers.cluster.insert(name("log.retention.ms"), name("20"));
    look(&topic, &brokers);
    brokers.own.insert(name("log.retention.ms"), name("30"));
    look(&topic, &brokers);
    topic.insert(name("retention.ms"), name("40"));
    look(&topic, &brokers);
    assert_eq!(
        seen,
        [
            (ConfigSource::Default, name("-1"), 1),
            (ConfigSource::Started, name("10"), 2),
            (ConfigSource::DefaultBroker, name("20"), 3),
            (ConfigSource::Broker, name("30"), 4),
            (ConfigSource::Topic, name("40"), 5),
        ]
    );
    let all = describe(&ConfigResource::Broker(None), &Overrides::new(), &brokers);
    assert_eq!(all.len(), 1, "of all brokers only what was set");
    assert_eq!(describe(&ConfigResource::Broker(Some(1)), &Overrides::new(), &brokers).len(), broker::SETTINGS.len());
    assert_eq!(brokers.value("log.retention.ms"), Some("30"));
    assert_eq!(brokers.parsed::<u32>("num.partitions"), Some(1));
}

#[test]
fn what_is_given_at_the_start_is_checked() {
    let given = |name: &str, value: &str| started([(name.to_owned(), value.to_owned())].into());
    let both = given("broker.id", "7").unwrap();
    assert_eq!((both["node.id"].as_str(), BrokerSettings::node_id(&both)), ("7", 7));
    assert_eq!(BrokerSettings::node_id(&given("node.id", "3").unwrap()), 3);
    assert_eq!(BrokerSettings::node_id(&Overrides::new()), 0);
    for (name, value) in [("node.id", "-1"), ("node.id", "one"), ("num.partition", "4"), ("num.partitions", "0")] {
        assert!(matches!(given(name, value), Err(Error::InvalidConfig { .. })), "{name}={value}");
    }
}
