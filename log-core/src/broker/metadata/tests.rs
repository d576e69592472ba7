//! Records keep their form, and an image is what its records lead to, however often it is written anew.

use super::records::OldTopicConfig;
use super::*;
use crate::codec::{from_bincode, to_bincode};
use crate::types::{
    AclBinding, AclOperation, AclPermission, ConfigResource, PatternType, QuotaEntity, QuotaKey, QuotaName,
    ResourceType, ScramCredential, ScramMechanism, Timestamp, TopicConfig, TopicId, TopicName,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use uuid::Uuid;

fn bytes(record: &MetadataRecord) -> Vec<u8> {
    let mut bytes = Vec::new();
    to_bincode(record, &mut bytes);
    bytes
}

/// What a version before had written: a record must be read for ever.
#[test]
fn a_topic_of_a_version_before_is_read() {
    let old = [
        &[1, 0, 5][..],
        b"lines",
        &[16],
        &[7; 16],
        // Partitions, flush, batch limit, segment bytes, segment age (seconds, nanoseconds), cleanup.
        &[3, 1, 252, 12, 0, 16, 0, 252, 0, 0, 0, 8, 252, 128, 58, 9, 0, 0, 1],
        // No retention, tombstones (86,400 s), deliveries, lease (30 s), no schema, created at -1.
        &[0, 0, 252, 128, 81, 1, 0, 0, 5, 30, 0, 0, 1],
    ]
    .concat();
    let record: MetadataRecord = from_bincode(&old).unwrap();
    let config = TopicConfig {
        flush: crate::types::Flush::Os,
        cleanup: crate::types::Cleanup::Compact,
        ..TopicConfig::default()
    };
    let (name, id) = (TopicName::new("lines").unwrap(), TopicId(Uuid::from_bytes([7; 16])));
    let expected = MetadataRecord::TopicCreated {
        name: name.clone(),
        id,
        partitions: 3,
        config: OldTopicConfig::from(config.clone()),
        created_at: Timestamp(-1),
    };
    assert_eq!(record, expected);
    assert_eq!(bytes(&expected), old);
    let mut image = MetadataImage::default();
    image.apply(record);
    assert_eq!(image.topics()[&id].partitions, 3);
    assert_eq!(image.topic_config(&name, &image.broker_settings(&Default::default())), config);
}

/// The first byte behind the version is the variant: none may move.
#[test]
fn variants_keep_their_numbers() {
    let samples = samples();
    let numbers: Vec<_> = samples.iter().map(|record| bytes(record)[1]).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    for record in &samples {
        assert_eq!(&from_bincode::<MetadataRecord>(&bytes(record)).unwrap(), record);
    }
}

fn samples() -> Vec<MetadataRecord> {
    let (name, id) = (TopicName::new("t").unwrap(), TopicId(Uuid::nil()));
    vec![
        MetadataRecord::TopicDeleted { name: name.clone(), id },
        MetadataRecord::Topic { id, name: name.clone(), partitions: 1, created_at: Timestamp(0) },
        MetadataRecord::Configs {
            resource: ConfigResource::Topic(name),
            values: BTreeMap::from([("retention.ms".into(), "1".into())]),
        },
        MetadataRecord::Acl { entry: entry("t"), present: true },
        MetadataRecord::Credential {
            user: "alice".into(),
            mechanism: ScramMechanism::Sha256,
            credential: Some(credential(ScramMechanism::Sha256)),
        },
        MetadataRecord::Quotas { entity: entity("alice"), values: vec![(QuotaKey::ProducerByteRate, 1.0)] },
        MetadataRecord::ProducerIds { next: 1000 },
        MetadataRecord::Feature { name: "group.version".into(), level: 0 },
        MetadataRecord::Cluster { id: "c".into() },
        MetadataRecord::Cleared,
    ]
}

fn entry(name: &str) -> AclBinding {
    AclBinding {
        resource_type: ResourceType::Topic,
        pattern_type: PatternType::Literal,
        resource_name: name.into(),
        principal: "User:alice".into(),
        host: "*".into(),
        operation: AclOperation::Read,
        permission: AclPermission::Allow,
    }
}

fn entity(user: &str) -> QuotaEntity {
    QuotaEntity { user: Some(QuotaName::Exactly(user.into())), ..QuotaEntity::default() }
}

fn credential(mechanism: ScramMechanism) -> ScramCredential {
    let keys = vec![1; mechanism.key_bytes()];
    ScramCredential { mechanism, salt: vec![2], iterations: 4096, stored_key: keys.clone(), server_key: keys }
}

#[test]
fn secrets_are_not_in_the_log_of_the_program() {
    let text: String = samples().iter().map(|record| format!("{record}\n{record:?}\n")).collect();
    assert!(!text.contains("1, 1, 1"), "{text}");
}

fn any_record() -> impl Strategy<Value = MetadataRecord> {
    let name = prop::sample::select(vec!["a", "b", "deleted"]).prop_map(|name| TopicName::new(name).unwrap());
    let id = (0..4_u8).prop_map(|id| TopicId(Uuid::from_bytes([id; 16])));
    let resource = prop_oneof![
        name.clone().prop_map(ConfigResource::Topic),
        Just(ConfigResource::Broker(None)),
        Just(ConfigResource::Broker(Some(1)))
    ];
    let mechanism = prop::sample::select(ScramMechanism::ALL.to_vec());
    let who = prop::sample::select(vec!["alice", "bob"]);
    prop_oneof![
        (id.clone(), name.clone(), 1..4_u32).prop_map(|(id, name, partitions)| MetadataRecord::Topic {
            id,
            name,
            partitions,
            created_at: Timestamp(7)
        }),
        (id.clone(), name.clone()).prop_map(|(id, name)| MetadataRecord::TopicDeleted { name, id }),
        (id, name, 1..4_u32).prop_map(|(id, name, partitions)| MetadataRecord::TopicCreated {
            id,
            name,
            partitions,
            config: TopicConfig { batch_bytes_max: 2048, ..TopicConfig::default() }.into(),
            created_at: Timestamp(8),
        }),
        (resource, prop::collection::btree_map("[ab]", "[01]", 0..2))
            .prop_map(|(resource, values)| MetadataRecord::Configs { resource, values }),
        ("[ab]", any::<bool>()).prop_map(|(name, present)| MetadataRecord::Acl { entry: entry(&name), present }),
        (who.clone(), mechanism, any::<bool>()).prop_map(|(user, mechanism, there)| MetadataRecord::Credential {
            user: user.into(),
            mechanism,
            credential: there.then(|| credential(mechanism)),
        }),
        (who, 0..2_u8).prop_map(|(user, n)| MetadataRecord::Quotas {
            entity: entity(user),
            values: (0..n).map(|_| (QuotaKey::ConsumerByteRate, 5.0)).collect(),
        }),
        (0..3_i64).prop_map(|n| MetadataRecord::ProducerIds { next: n * 1000 }),
        (0..2_i16).prop_map(|level| MetadataRecord::Feature { name: "group.version".into(), level }),
        Just(MetadataRecord::Cluster { id: "c".into() }),
    ]
}

proptest! {
    /// A name is used by one topic at a time, as the broker sees to.
    #[test]
    fn an_image_that_is_written_anew_is_the_same(records in prop::collection::vec(any_record(), 0..40)) {
        let mut image = MetadataImage::default();
        for record in records {
            if let MetadataRecord::Topic { id, name, .. } | MetadataRecord::TopicCreated { id, name, .. } = &record {
                let taken = image.topic_id(name).is_some_and(|other| other != *id);
                let renamed = image.topics().get(id).is_some_and(|topic| topic.name != *name);
                if taken || renamed || image.deleted().contains(id) {
                    continue;
                }
            }
            if let MetadataRecord::TopicDeleted { id, name } = &record
                && image.topic_id(name) != Some(*id)
            {
                continue;
            }
            image.apply(record);
        }
        let mut anew = MetadataImage::default();
        anew.apply(MetadataRecord::Topic {
            id: TopicId(Uuid::from_bytes([9; 16])),
            name: TopicName::new("before").unwrap(),
            partitions: 1,
            created_at: Timestamp(0),
        });
        anew.apply(MetadataRecord::Cleared);
        let written = image.records(|_| true);
        let keys: std::collections::BTreeSet<_> = written.iter().map(MetadataRecord::key).collect();
        prop_assert_eq!(keys.len(), written.len(), "one record a key");
        written.into_iter().for_each(|record| anew.apply(record));
        prop_assert_eq!(anew, image);
    }
}
