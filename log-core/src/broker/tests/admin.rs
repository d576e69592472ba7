//! Administration, and that what was set holds: at once, and when the directory is opened again.

use super::*;
use crate::record::{BatchBuilder, BatchHeader, Compression, records};
use crate::service::{
    AlterConfigs, AlterQuotas, AlterReassignments, AlterScramUsers, CreateAcls, CreatePartitions, CreateTopics,
    DeleteAcls, DeleteTopic, DescribeAcls, DescribeConfigs, DescribeLogDirs, DescribeQuotas, DescribeScramUsers,
    DescribeTopics, ElectLeaders, Fetch, FetchPartition, IncrementalAlterConfigs, MorePartitions, NewTopic, Produce,
    ScramUpsertion, Service, UpdateFeatures,
};
use crate::types::{
    AclBinding, AclFilter, AclOperation, AclPermission, ConfigChange, ConfigOperation, ConfigResource, ConfigSource,
    Flush, PatternType, QuotaEntity, QuotaMatch, QuotaName, ResourceType, ScramMechanism, TopicConfig, TopicId,
};

fn new_topic(name: &str) -> NewTopic {
    NewTopic { name: name.into(), ..NewTopic::default() }
}

fn configs(values: &[(&str, &str)]) -> Vec<(String, Option<String>)> {
    values.iter().map(|(name, value)| ((*name).into(), Some((*value).into()))).collect()
}

async fn create_all(broker: &Broker, topics: Vec<NewTopic>) -> Vec<Result<u32, &'static str>> {
    let created = broker.create_topics(CreateTopics { topics, validate_only: false }).await;
    created.into_iter().map(|r| r.map(|t| t.partitions.len() as u32).map_err(|e| e.code())).collect()
}

async fn config_of(broker: &Broker, name: &str) -> TopicConfig {
    let request = DescribeTopics { topics: Some(vec![topic(name)]), include_internal: true };
    broker.describe_topics(request).await.unwrap().remove(0).config
}

async fn set(broker: &Broker, resource: ConfigResource, values: &[(&str, &str)]) -> Result<(), Error> {
    let change = |(name, value): &(&str, &str)| ConfigChange {
        name: (*name).into(),
        operation: ConfigOperation::Set,
        value: Some((*value).into()),
    };
    let resources = vec![(resource, values.iter().map(change).collect())];
    broker.incremental_alter_configs(IncrementalAlterConfigs { resources, validate_only: false }).await.remove(0)
}

#[tokio::test]
async fn topics_are_created_as_kafka_creates_them() {
    let sim = Sim::new();
    let (broker, _log) = sim.broker();
    set(&broker, ConfigResource::Broker(None), &[("num.partitions", "4")]).await.unwrap();
    let mut topics = vec![new_topic("a.b"), new_topic("a_b"), new_topic("no/path"), new_topic("__metadata")];
    topics.push(NewTopic { partitions: Some(0), ..new_topic("none") });
    topics.push(NewTopic { partitions: Some(2), replication_factor: Some(1), ..new_topic("two") });
    topics.push(NewTopic { replication_factor: Some(3), ..new_topic("copies") });
    topics.push(NewTopic { assignments: vec![(1, vec![0]), (0, vec![0])], ..new_topic("assigned") });
    topics.push(NewTopic { assignments: vec![(1, vec![0])], ..new_topic("gap") });
    topics.push(NewTopic { assignments: vec![(0, vec![2])], ..new_topic("elsewhere") });
    topics.push(NewTopic { assignments: vec![(0, vec![0])], partitions: Some(1), ..new_topic("both") });
    topics.push(NewTopic { configs: configs(&[("retention.ms", "5"), ("nonsense", "5")]), ..new_topic("bad") });
    topics.push(NewTopic { configs: configs(&[("retention.ms", "5")]), ..new_topic("good") });
    topics.extend([new_topic("twice"), new_topic("twice")]);
    let created = create_all(&broker, topics).await;
    let expected = [
        Ok(4),
        Err("TW0101"),
        Err("TW0101"),
        Err("TW0107"),
        Err("TW0152"),
        Ok(2),
        Err("TW0153"),
        Ok(2),
        Err("TW0154"),
        Err("TW0154"),
        Err("TW0107"),
        Err("TW0151"),
        Ok(4),
        Err("TW0107"),
        Err("TW0107"),
    ];
    assert_eq!(created, expected);
    assert_eq!(config_of(&broker, "good").await.retention, Some(Duration::from_millis(5)));
    assert_eq!(create_all(&broker, vec![new_topic("good")]).await, [Err("TW0103")]);

    let topics = vec![NewTopic { configs: configs(&[("segment.bytes", "9000")]), ..new_topic("later") }];
    let mut checked = broker.create_topics(CreateTopics { topics: topics.clone(), validate_only: true }).await;
    let checked = checked.remove(0).unwrap();
    assert_eq!((checked.partitions.len(), checked.config.segment_bytes), (4, 9000));
    assert_eq!(create_all(&broker, topics).await, [Ok(4)], "it was only checked before");
}

#[tokio::test]
async fn topics_are_deleted_by_identity() {
    let sim = Sim::new();
    let (broker, log) = sim.broker();
    create(&log, "t", 1).await;
    let first = log.admin().describe_topic("t").await.unwrap().id;
    broker.delete_topic(DeleteTopic { topic: first.into() }).await.unwrap();
    create(&log, "t", 1).await;
    let gone = broker.delete_topic(DeleteTopic { topic: first.into() }).await;
    assert!(matches!(gone, Err(Error::UnknownTopicId { id: TopicId(_) })), "the name has another now");
    assert!(log.admin().describe_topic("t").await.is_ok());
}

#[tokio::test]
async fn partitions_are_added_and_stay() {
    let sim = Sim::new();
    let (broker, log) = sim.broker();
    create(&log, "t", 2).await;
    fill(&log, "t", 10).await;
    let before = log.admin().describe_topic("t").await.unwrap().partitions[1].offsets;
    let more = |count, assignments: Option<Vec<Vec<i32>>>, validate_only| {
        let topics = vec![MorePartitions { topic: topic("t"), count, assignments }];
        let broker = broker.clone();
        async move {
            let mut made = broker.create_partitions(CreatePartitions { topics, validate_only }).await;
            made.remove(0).map_err(|error| error.code())
        }
    };
    assert_eq!(more(2, None, false).await, Err("TW0152"));
    assert_eq!(more(1, None, false).await, Err("TW0152"));
    assert_eq!(more(4, Some(vec![vec![0]]), false).await, Err("TW0154"));
    assert_eq!(more(3, Some(vec![vec![7]]), false).await, Err("TW0154"));
    assert_eq!(more(20_000, None, false).await, Err("TW0152"));
    assert_eq!(more(4, None, true).await, Ok(()));
    assert_eq!(log.admin().describe_topic("t").await.unwrap().partitions.len(), 2);
    assert_eq!(more(4, Some(vec![vec![0], vec![0]]), false).await, Ok(()));
    let batch = one_batch(Compression::None, &[record("k", "v")]);
    broker.produce(Produce { partition: partition("t", 3), batch, transaction: None }).await.unwrap();
    log.close().await.unwrap();
    let log = sim.open().await;
    let partitions = log.admin().describe_topic("t").await.unwrap().partitions;
    assert_eq!((partitions.len(), partitions[1].offsets, partitions[3].offsets.high_watermark), (4, before, 1));
}

fn one_batch(codec: Compression, records: &[Record]) -> Bytes {
    let mut builder = BatchBuilder::new(codec);
    records.iter().for_each(|record| builder.push(record));
    builder.finish()
}

async fn stored(broker: &Broker, name: &str) -> Bytes {
    let partitions = vec![FetchPartition { partition: partition(name, 0), offset: 0, max_bytes: 1 << 20 }];
    let isolation = crate::types::Isolation::ReadUncommitted;
    let fetch = Fetch { partitions, max_wait: Duration::ZERO, min_bytes: 0, isolation };
    let mut fetched = broker.fetch(fetch).await.unwrap();
    fetched.remove(0).batches
}

#[tokio::test]
async fn settings_hold_for_the_next_batch() {
    let sim = Sim::new();
    let (broker, log) = sim.broker();
    create(&log, "t", 1).await;
    let a_topic = || ConfigResource::Topic(topic("t"));
    let send = |record: Record, codec| {
        let broker = broker.clone();
        async move {
            let batch = one_batch(codec, &[record]);
            broker.produce(Produce { partition: partition("t", 0), batch, transaction: None }).await
        }
    };
    let big = || Record { value: Some(Bytes::from(vec![b'x'; 2000])), ..record("k", "") };

    set(&broker, a_topic(), &[("max.message.bytes", "1000")]).await.unwrap();
    assert!(matches!(send(big(), Compression::None).await, Err(Error::RecordTooLarge { max: 1000, .. })));
    send(big(), Compression::Lz4).await.expect("it counts as it is sent");

    set(&broker, a_topic(), &[("max.message.bytes", "100000"), ("compression.type", "zstd")]).await.unwrap();
    send(big(), Compression::None).await.unwrap();
    set(&broker, a_topic(), &[("compression.type", "uncompressed")]).await.unwrap();
    send(big(), Compression::Gzip).await.unwrap();
    let codecs: Vec<_> =
        crate::record::batches(stored(&broker, "t").await).map(|batch| batch.unwrap().header.compression).collect();
    assert_eq!(codecs, [Compression::Lz4, Compression::Zstd, Compression::None]);

    let bounds = [("message.timestamp.before.max.ms", "1000"), ("message.timestamp.after.max.ms", "2000")];
    set(&broker, a_topic(), &bounds).await.unwrap();
    let at = |offset: i64| Record { timestamp: Timestamp(START.0 + offset), ..record("k", "v") };
    for (offset, taken) in [(-1000, true), (-1001, false), (2000, true), (2001, false)] {
        let sent = send(at(offset), Compression::None).await;
        assert_eq!(matches!(sent, Err(Error::InvalidTimestamp { .. })), !taken, "{offset}: {sent:?}");
    }
    set(&broker, a_topic(), &[("message.timestamp.type", "LogAppendTime")]).await.unwrap();
    let sent = send(at(-100_000), Compression::Lz4).await.unwrap();
    assert_eq!(sent.append_time, Some(START), "the producer's time does not count");
    let last = records(stored(&broker, "t").await).last().unwrap().unwrap();
    assert_eq!(last.timestamp, START);
    let header = BatchHeader::parse(&one_batch(Compression::None, &[at(0)])).unwrap().unwrap();
    assert_eq!(header.timestamp_type, crate::types::TimestampType::CreateTime);

    set(&broker, a_topic(), &[("cleanup.policy", "compact")]).await.unwrap();
    let keyless = Record { key: None, ..record("", "v") };
    let refused = send(keyless, Compression::None).await.unwrap_err();
    assert!(matches!(&refused, Error::InvalidRecord { records, .. } if records.len() == 1), "{refused}");

    set(&broker, a_topic(), &[("min.insync.replicas", "2")]).await.unwrap();
    let refused = send(record("k", "v"), Compression::None).await.unwrap_err();
    assert!(matches!(refused, Error::NotEnoughReplicas { in_sync: 1, needed: 2 }));
}

#[tokio::test]
async fn how_records_are_flushed_changes_on_an_open_partition() {
    let sim = Sim::new();
    let (broker, log) = sim.broker();
    create(&log, "t", 1).await;
    fill(&log, "t", 5).await;
    let a_topic = || ConfigResource::Topic(topic("t"));
    set(&broker, a_topic(), &[("tailwater.flush", "os"), ("segment.bytes", "4096")]).await.unwrap();
    sim.disk.trace_calls();
    let syncs = || sim.disk.trace().iter().filter(|call| call.contains("sync")).count();
    let before = syncs();
    fill(&log, "t", 5).await;
    assert_eq!(syncs(), before, "nothing is synced before it is acknowledged");
    set(&broker, a_topic(), &[("tailwater.flush", "durable")]).await.unwrap();
    assert!(syncs() > before, "what was written is made durable");
    let before = syncs();
    fill(&log, "t", 500).await;
    assert!(syncs() > before);
    let described = log.admin().describe_topic("t").await.unwrap();
    assert!(described.partitions[0].segments > 1, "segments are small now");
    assert_eq!(values(&log, "t", 0).await.len(), 510);
    log.close().await.unwrap();
    let (broker, _log) = sim.broker();
    let config = config_of(&broker, "t").await;
    assert_eq!((config.flush, config.segment_bytes), (Flush::Durable, 4096));
}

#[tokio::test]
async fn settings_are_described_with_their_sources() {
    let sim = Sim::new();
    let (broker, log) = sim.broker();
    create(&log, "t", 1).await;
    let a_topic = ConfigResource::Topic(topic("t"));
    set(&broker, a_topic.clone(), &[("retention.ms", "40")]).await.unwrap();
    set(&broker, ConfigResource::Broker(Some(0)), &[("log.retention.ms", "30")]).await.unwrap();
    let request = DescribeConfigs {
        resources: vec![
            (a_topic.clone(), Some(vec!["retention.ms".into(), "no.such".into()])),
            (ConfigResource::Broker(Some(0)), None),
            (ConfigResource::Topic(topic("other")), None),
            (ConfigResource::Broker(Some(2)), None),
        ],
        include_synonyms: true,
        include_documentation: true,
    };
    let described = broker.describe_configs(request).await;
    let of_topic = described[0].as_ref().unwrap();
    assert_eq!(of_topic.len(), 1);
    let entry = &of_topic[0];
    assert_eq!((entry.value.as_deref(), entry.source, entry.read_only), (Some("40"), ConfigSource::Topic, false));
    let synonyms: Vec<_> =
        entry.synonyms.iter().map(|s| (s.name.as_str(), s.value.as_deref().unwrap(), s.source)).collect();
    let expected = [
        ("retention.ms", "40", ConfigSource::Topic),
        ("log.retention.ms", "30", ConfigSource::Broker),
        ("log.retention.ms", "-1", ConfigSource::Default),
    ];
    assert_eq!(synonyms, expected);
    assert!(entry.documentation.is_some());
    assert!(described[1].as_ref().unwrap().iter().any(|entry| entry.name == "node.id" && entry.read_only));
    assert!(matches!(described[2], Err(Error::UnknownTopic { .. })));
    assert!(matches!(described[3], Err(Error::InvalidRequest { .. })));

    // All at once: what is not named goes back to what the broker has.
    let resources = vec![(a_topic.clone(), configs(&[("max.message.bytes", "5000")]))];
    let altered = |validate_only| AlterConfigs { resources: resources.clone(), validate_only };
    broker.alter_configs(altered(true)).await.remove(0).unwrap();
    assert_eq!(config_of(&broker, "t").await.retention, Some(Duration::from_millis(40)), "it was only checked");
    broker.alter_configs(altered(false)).await.remove(0).unwrap();
    let config = config_of(&broker, "t").await;
    assert_eq!((config.batch_bytes_max, config.retention), (5000, Some(Duration::from_millis(30))));
    log.close().await.unwrap();
    let (broker, _log) = sim.broker();
    assert_eq!(config_of(&broker, "t").await, config);
    assert_eq!(broker.list_config_resources().await.unwrap(), [a_topic, ConfigResource::Broker(Some(0))]);
}

fn upsertion(user: &str, mechanism: ScramMechanism, iterations: u32) -> ScramUpsertion {
    let salted_password = vec![1; mechanism.key_bytes()];
    ScramUpsertion { user: user.into(), mechanism, iterations, salt: vec![1, 2], salted_password }
}

#[tokio::test]
async fn users_entries_and_quotas_stay() {
    let sim = Sim::new();
    let (broker, log) = sim.broker();
    let users = |broker: Arc<Broker>, users: Option<Vec<String>>| async move {
        let described = broker.describe_scram_users(DescribeScramUsers { users }).await.unwrap();
        let short = |(user, found): (String, Result<crate::service::ScramUser, Error>)| {
            (user, found.map(|found| found.credentials.len()).map_err(|error| error.code()))
        };
        described.into_iter().map(short).collect::<Vec<_>>()
    };
    let (sha256, sha512) = (ScramMechanism::Sha256, ScramMechanism::Sha512);
    let request = AlterScramUsers {
        deletions: vec![("nobody".into(), sha256)],
        upsertions: vec![
            upsertion("alice", sha256, 4096),
            upsertion("alice", sha512, 16_384),
            upsertion("bob", sha256, 4095),
            upsertion("carol", sha256, 4096),
            upsertion("carol", sha256, 5000),
            upsertion("", sha256, 4096),
        ],
    };
    let altered = broker.alter_scram_users(request).await.unwrap();
    let altered: Vec<_> = altered.iter().map(|(u, r)| (u.as_str(), r.as_ref().map_err(|e| e.code()).err())).collect();
    let expected = [
        ("", Some("TW0158")),
        ("alice", None),
        ("bob", Some("TW0158")),
        ("carol", Some("TW0160")),
        ("nobody", Some("TW0159")),
    ];
    assert_eq!(altered, expected);
    assert_eq!(users(broker.clone(), None).await, [("alice".to_owned(), Ok(2))]);
    let named = Some(vec!["bob".to_owned(), "alice".into()]);
    assert_eq!(users(broker.clone(), named).await, [("alice".to_owned(), Ok(2)), ("bob".into(), Err("TW0159"))]);

    let entry = |name: &str| AclBinding {
        resource_type: ResourceType::Topic,
        pattern_type: PatternType::Literal,
        resource_name: name.into(),
        principal: "User:alice".into(),
        host: "*".into(),
        operation: AclOperation::Read,
        permission: AclPermission::Allow,
    };
    let bad = AclBinding { principal: "alice".into(), ..entry("c") };
    let created = broker.create_acls(CreateAcls { entries: vec![entry("a"), bad, entry("b"), entry("a")] }).await;
    assert_eq!(created.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true, true]);
    let filter = AclFilter { resource_name: Some("a".into()), ..AclFilter::default() };
    let removed = broker.delete_acls(DeleteAcls { filters: vec![filter.clone(), filter] }).await;
    assert_eq!(removed.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [vec![entry("a")], vec![entry("a")]]);

    let alice = QuotaEntity { user: Some(QuotaName::Exactly("alice".into())), ..QuotaEntity::default() };
    let alter = |key: &str, value: Option<f64>| AlterQuotas {
        entries: vec![(alice.clone(), vec![(key.into(), value)])],
        validate_only: false,
    };
    broker.alter_quotas(alter("producer_byte_rate", Some(1000.0))).await.remove(0).unwrap();
    broker.alter_quotas(alter("consumer_byte_rate", Some(2000.0))).await.remove(0).unwrap();
    broker.alter_quotas(alter("consumer_byte_rate", None)).await.remove(0).unwrap();
    for (key, value) in [("producer_byte_rate", 0.0), ("nonsense", 1.0), ("connection_creation_rate", 1.0)] {
        assert!(broker.alter_quotas(alter(key, Some(value))).await.remove(0).is_err(), "{key}");
    }

    log.close().await.unwrap();
    let (broker, _log) = sim.broker();
    assert_eq!(users(broker.clone(), None).await, [("alice".to_owned(), Ok(2))]);
    assert_eq!(broker.describe_acls(DescribeAcls::default()).await.unwrap(), [entry("b")]);
    let parts = vec![("user".into(), QuotaMatch::Any)];
    let quotas = broker.describe_quotas(DescribeQuotas { parts, strict: true }).await.unwrap();
    assert_eq!((quotas.len(), quotas[0].values.len(), &quotas[0].entity), (1, 1, &alice));
    let parts = vec![("ip".into(), QuotaMatch::Default)];
    assert!(broker.describe_quotas(DescribeQuotas { parts, strict: false }).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_cluster_of_one_broker() {
    let sim = Sim::new();
    let (broker, log) = sim.broker();
    create(&log, "t", 2).await;
    fill(&log, "t", 3).await;
    let cluster = broker.describe_cluster().await.unwrap();
    assert_eq!((cluster.controller_id, cluster.brokers.as_slice()), (0, &[0][..]));
    let dirs = broker.describe_log_dirs(DescribeLogDirs::default()).await.unwrap();
    assert_eq!((dirs[0].path.as_str(), dirs[0].partitions.len()), ("/data", 2));
    assert!(dirs[0].partitions.iter().any(|(_, bytes)| *bytes > 0));
    let wanted = Some(vec![partition("t", 0), partition("t", 9)]);
    let elected = broker.elect_leaders(ElectLeaders { partitions: wanted }).await.unwrap();
    let codes: Vec<_> = elected.iter().map(|(_, result)| result.as_ref().unwrap_err().code()).collect();
    assert_eq!(codes, ["TW0163", "TW0104"]);
    assert!(broker.elect_leaders(ElectLeaders { partitions: None }).await.unwrap().is_empty());
    let moves = [None, Some(vec![0]), Some(vec![2])].map(|brokers| (partition("t", 0), brokers)).to_vec();
    let moved = broker.alter_reassignments(AlterReassignments { partitions: moves }).await;
    let codes: Vec<_> = moved.iter().map(|result| result.as_ref().err().map(Error::code)).collect();
    assert_eq!(codes, [Some("TW0164"), None, Some("TW0154")]);

    let level = |broker: Arc<Broker>| async move {
        let features = broker.describe_features().await.unwrap();
        features.into_iter().find(|feature| feature.name == "transaction.version").unwrap().level
    };
    assert_eq!(level(broker.clone()).await, 2);
    let update = |level, may_go_down| UpdateFeatures {
        updates: vec![("transaction.version".into(), level, may_go_down)],
        validate_only: false,
    };
    assert!(broker.update_features(update(0, false)).await.is_err());
    assert!(broker.update_features(update(3, false)).await.is_err());
    broker.update_features(update(0, true)).await.unwrap();
    log.close().await.unwrap();
    let (broker, _log) = sim.broker();
    assert_eq!(level(broker.clone()).await, 0);
    assert_eq!(broker.describe_cluster().await.unwrap(), cluster);
}

/// A metadata log that is mostly out of date begins anew when it is opened, and says the same.
#[tokio::test]
async fn the_metadata_log_stays_short() {
    let sim = Sim::new();
    let (broker, log) = sim.broker();
    create(&log, "kept", 2).await;
    set(&broker, ConfigResource::Topic(topic("kept")), &[("retention.ms", "40")]).await.unwrap();
    create(&log, "gone", 1).await;
    log.admin().delete_topic("gone").await.unwrap();
    let mut end = crate::types::limits::PRODUCER_ID_FIRST;
    for _ in 0..1100 {
        let block = broker.producer_id_block().await.unwrap();
        assert_eq!((block.start, block.end), (end, end + 1000));
        end = block.end;
    }
    log.close().await.unwrap();
    drop((broker, log));
    let records = |broker: &Broker| {
        let mut records = 0;
        broker.quorum.replay(&mut |_| records += 1).unwrap();
        records
    };
    for open in 0..3 {
        // Killed at once, it was shortened all the same.
        let (broker, log) = sim.broker();
        assert!(records(&broker) < 10, "open {open}: {}", records(&broker));
        assert_eq!(config_of(&broker, "kept").await.retention, Some(Duration::from_millis(40)));
        let topics: Vec<_> = log.admin().list_topics(false).await.unwrap().into_iter().map(|t| t.name).collect();
        assert_eq!(topics, [topic("kept")]);
        let block = broker.producer_id_block().await.unwrap();
        assert_eq!(block.start, end, "no id is given twice");
        end = block.end;
        if open == 1 {
            log.close().await.unwrap();
        }
        drop((broker, log));
    }
}

#[tokio::test]
async fn a_user_authenticates_and_may_do_what_is_allowed() {
    use crate::access::{Principal, Request, ScramClient, Step};
    let sim = Sim::new();
    let started = [("super.users".to_owned(), "User:root".to_owned())].into();
    let disk = Arc::new(sim.disk.clone());
    let broker = Broker::open_with(disk, sim.clock.clone(), Path::new("/data"), started).unwrap();
    let admin = Log::over(broker.clone()).admin();
    let (alice, root) = (Principal::user("alice"), Principal::user("root"));
    let may = |principal: &Principal, operation, resource: &str| {
        let resource_type = ResourceType::Topic;
        broker.authorize(&Request { principal, host: "127.0.0.1", operation, resource_type, resource }).is_ok()
    };
    assert!(broker.is_open_to_everyone() && may(&alice, AclOperation::Delete, "t"));

    admin.set_user("alice", "secret").await.unwrap();
    assert!(!broker.is_open_to_everyone());
    assert!(!may(&alice, AclOperation::Read, "t") && may(&root, AclOperation::Delete, "t"));
    let entry = AclBinding {
        resource_type: ResourceType::Topic,
        pattern_type: PatternType::Literal,
        resource_name: "t".into(),
        principal: "User:alice".into(),
        host: "*".into(),
        operation: AclOperation::Read,
        permission: AclPermission::Allow,
    };
    admin.add_acls(vec![entry.clone()]).await.unwrap();
    assert!(may(&alice, AclOperation::Read, "t") && !may(&alice, AclOperation::Write, "t"));
    let any = |operation| broker.is_allowed_on_any(&alice, "127.0.0.1", operation, ResourceType::Topic);
    assert!(any(AclOperation::Read) && !any(AclOperation::Write));

    assert_eq!(broker.check_plain(b"\0alice\0secret").unwrap(), alice);
    assert!(broker.check_plain(b"\0alice\0wrong").is_err());
    assert!(broker.check_plain(b"\0bob\0secret").is_err());
    for mechanism in ScramMechanism::ALL {
        let mut server = broker.scram_server(mechanism);
        let mut client = ScramClient::new(mechanism, "alice", "secret", "nonce".into());
        let credential = |user: &str| broker.credential(user, mechanism);
        let Step::Continue(challenge) = server.step(&client.first(), credential).unwrap() else { panic!() };
        let answer = client.answer(&challenge).unwrap();
        let Step::Done { message, user } = server.step(&answer, credential).unwrap() else { panic!() };
        client.verify(&message).unwrap();
        assert_eq!(user, "alice");
    }

    let bob = QuotaEntity { user: Some(QuotaName::Default), ..QuotaEntity::default() };
    admin.change_quotas(bob, vec![("producer_byte_rate".into(), Some(10.0))]).await.unwrap();
    let (bucket, limit) = broker.quota("bob", "c", crate::types::QuotaKey::ProducerByteRate).unwrap();
    assert_eq!((bucket.user.as_deref(), limit), (Some("bob"), 10.0));

    assert_eq!(admin.users().await.unwrap().len(), 1);
    admin.remove_user("alice").await.unwrap();
    assert!(matches!(admin.remove_user("alice").await, Err(Error::ResourceNotFound { .. })));
    assert_eq!(admin.remove_acls(AclFilter::default()).await.unwrap(), [entry]);
    assert!(broker.is_open_to_everyone());
}
