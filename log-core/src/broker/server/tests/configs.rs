//! Settings over the wire.

use super::{Client, Served};
use crate::wire::describe_configs::{DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResult};
use crate::wire::incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
use crate::wire::{
    AlterConfigsRequest, ApiKey, DescribeConfigsRequest, ErrorCode, IncrementalAlterConfigsRequest,
    ListConfigResourcesRequest, ListConfigResourcesResponse, Request, Response, alter_configs,
};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const LOGGER: i8 = 8;
const METRICS: i8 = 16;
const GROUP: i8 = 32;

async fn describe(
    client: &mut Client,
    resources: &[(i8, &str, Option<&[&str]>)],
    version: i16,
) -> Vec<DescribeConfigsResult> {
    let resource = |&(resource_type, name, keys): &(i8, &str, Option<&[&str]>)| DescribeConfigsResource {
        resource_type,
        resource_name: name.into(),
        configuration_keys: keys.map(|keys| keys.iter().map(|key| (*key).into()).collect()),
    };
    let request = DescribeConfigsRequest {
        resources: resources.iter().map(resource).collect(),
        include_synonyms: true,
        include_documentation: true,
    };
    let Response::DescribeConfigs(told) = client.ask(Request::DescribeConfigs(request), version).await else {
        panic!()
    };
    told.results
}

fn setting<'a>(result: &'a DescribeConfigsResult, name: &str) -> &'a DescribeConfigsResourceResult {
    result.configs.iter().find(|config| config.name == name).unwrap_or_else(|| panic!("{name}: {result:?}"))
}

fn codes<'a>(codes: impl IntoIterator<Item = &'a i16>) -> Vec<ErrorCode> {
    codes.into_iter().map(|code| ErrorCode::from_number(*code)).collect()
}

#[tokio::test]
async fn settings_of_every_kind_are_described() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    for version in ApiKey::DescribeConfigs.versions() {
        let resources = [(TOPIC, "t", None), (BROKER, "0", None), (BROKER, "", None), (LOGGER, "0", None)];
        let told = describe(&mut client, &resources, version).await;
        assert!(told.iter().all(|one| one.error_code == 0), "{told:?}");
        let retention = setting(&told[0], "retention.ms");
        assert_eq!((retention.value.as_deref(), retention.config_source, retention.read_only), (Some("-1"), 5, false));
        assert_eq!(retention.synonyms[0].name, "log.retention.ms");
        assert_eq!(
            (retention.config_type, retention.documentation.is_some()),
            if version < 3 { (0, false) } else { (5, true) }
        );
        let partitions = setting(&told[1], "num.partitions");
        assert_eq!((partitions.value.as_deref(), partitions.config_source), (Some("2"), 4), "as it was started");
        assert!(setting(&told[1], "node.id").read_only);
        assert!(told[2].configs.is_empty() && told[3].configs.is_empty());
    }
    let again = describe(&mut client, &[(TOPIC, "t", None), (BROKER, "0", None), (TOPIC, "t", None)], 4).await;
    assert_eq!(again.len(), 2, "what is named again is not answered again");
    let some = [(TOPIC, "t", Some(&["retention.ms", "no.such"][..])), (GROUP, "g", None)];
    let told = describe(&mut client, &some, 4).await;
    assert_eq!(told[0].configs.len(), 1);
    setting(&told[1], "consumer.session.timeout.ms");
    let wrong = [
        (TOPIC, "nowhere", None),
        (TOPIC, "a/b", None),
        (BROKER, "7", None),
        (BROKER, "x", None),
        (LOGGER, "", None),
        (METRICS, "", None),
        (99, "", None),
    ];
    let told = describe(&mut client, &wrong, 4).await;
    let invalid = ErrorCode::InvalidRequest;
    let expected = [
        ErrorCode::UnknownTopicOrPartition,
        ErrorCode::InvalidTopicException,
        invalid,
        invalid,
        invalid,
        invalid,
        invalid,
    ];
    assert_eq!(codes(told.iter().map(|one| &one.error_code)), expected);
}

/// Changes of one resource: (operation, name, value).
type Changes<'a> = (i8, &'a str, &'a [(i8, &'a str, Option<&'a str>)]);

async fn change(client: &mut Client, resources: &[Changes<'_>], validate_only: bool) -> Vec<ErrorCode> {
    let resource = |(resource_type, name, changes): &Changes<'_>| AlterConfigsResource {
        resource_type: *resource_type,
        resource_name: (*name).into(),
        configs: changes
            .iter()
            .map(|(config_operation, name, value)| AlterableConfig {
                name: (*name).into(),
                config_operation: *config_operation,
                value: value.map(Into::into),
            })
            .collect(),
    };
    let request = IncrementalAlterConfigsRequest { resources: resources.iter().map(resource).collect(), validate_only };
    let Response::IncrementalAlterConfigs(told) = client.ask(Request::IncrementalAlterConfigs(request), 1).await else {
        panic!()
    };
    codes(told.responses.iter().map(|one| &one.error_code))
}

#[tokio::test]
async fn settings_are_changed_one_by_one() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    let (ok, invalid) = (ErrorCode::None, ErrorCode::InvalidRequest);
    let set: Changes<'_> = (TOPIC, "t", &[(0, "retention.ms", Some("1000")), (2, "cleanup.policy", Some("compact"))]);
    assert_eq!(change(&mut client, &[set], true).await, [ok]);
    let told = describe(&mut client, &[(TOPIC, "t", None)], 4).await;
    assert_eq!(setting(&told[0], "retention.ms").value.as_deref(), Some("-1"), "it was only checked");
    assert_eq!(change(&mut client, &[set], false).await, [ok]);
    let told = describe(&mut client, &[(TOPIC, "t", None)], 4).await;
    assert_eq!(setting(&told[0], "cleanup.policy").value.as_deref(), Some("delete,compact"));
    let retention = setting(&told[0], "retention.ms");
    assert_eq!((retention.value.as_deref(), retention.config_source, retention.synonyms.len()), (Some("1000"), 1, 2));
    let back: Changes<'_> = (TOPIC, "t", &[(1, "retention.ms", None), (3, "cleanup.policy", Some("delete"))]);
    assert_eq!(change(&mut client, &[back], false).await, [ok]);
    let told = describe(&mut client, &[(TOPIC, "t", None)], 4).await;
    assert_eq!(setting(&told[0], "cleanup.policy").value.as_deref(), Some("compact"));
    assert_eq!(setting(&told[0], "retention.ms").config_source, 5);

    let resources: [Changes<'_>; 9] = [
        (TOPIC, "t", &[(0, "retention.ms", Some("week"))]),
        (TOPIC, "nowhere", &[(0, "retention.ms", Some("1"))]),
        (BROKER, "", &[(0, "log.retention.ms", Some("5000"))]),
        (BROKER, "0", &[(0, "node.id", Some("5"))]),
        (BROKER, "1", &[]),
        (GROUP, "g", &[(0, "consumer.session.timeout.ms", Some("50000"))]),
        (GROUP, "h", &[(7, "consumer.session.timeout.ms", Some("50000"))]),
        (LOGGER, "0", &[]),
        (METRICS, "m", &[]),
    ];
    let expected = [
        ErrorCode::InvalidConfig,
        ErrorCode::UnknownTopicOrPartition,
        ok,
        ErrorCode::InvalidConfig,
        invalid,
        ok,
        invalid,
        invalid,
        invalid,
    ];
    assert_eq!(change(&mut client, &resources, false).await, expected);
    let twice = [back, (TOPIC, "t", &[])];
    assert_eq!(change(&mut client, &twice, false).await, [invalid, invalid]);
    let told = describe(&mut client, &[(BROKER, "", None), (GROUP, "g", None), (TOPIC, "t", None)], 4).await;
    assert_eq!(setting(&told[0], "log.retention.ms").config_source, 3);
    assert_eq!(setting(&told[1], "consumer.session.timeout.ms").config_source, 8);
    assert_eq!(setting(&told[2], "retention.ms").value.as_deref(), Some("5000"), "that of all brokers");
}

#[tokio::test]
async fn settings_are_replaced_as_a_whole() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    let with = |name: &str, value: &str| alter_configs::AlterConfigsResource {
        resource_type: TOPIC,
        resource_name: "t".into(),
        configs: vec![alter_configs::AlterableConfig { name: name.into(), value: Some(value.into()) }],
    };
    for version in ApiKey::AlterConfigs.versions() {
        for (name, value, expected) in [
            ("retention.ms", "1000", ErrorCode::None),
            ("retention.ms", "week", ErrorCode::InvalidConfig),
            ("max.message.bytes", "5000", ErrorCode::None),
        ] {
            let request = AlterConfigsRequest { resources: vec![with(name, value)], validate_only: false };
            let Response::AlterConfigs(told) = client.ask(Request::AlterConfigs(request), version).await else {
                panic!()
            };
            assert_eq!(codes([&told.responses[0].error_code]), [expected]);
            assert_eq!(told.responses[0].error_message.is_some(), expected != ErrorCode::None);
        }
        let told = describe(&mut client, &[(TOPIC, "t", None)], 4).await;
        assert_eq!(setting(&told[0], "retention.ms").config_source, 5, "what was not named is set no more");
        assert_eq!(setting(&told[0], "max.message.bytes").config_source, 1);
    }
}

async fn list(client: &mut Client, resource_types: &[i8], version: i16) -> ListConfigResourcesResponse {
    let request = ListConfigResourcesRequest { resource_types: resource_types.to_vec() };
    let Response::ListConfigResources(listed) = client.ask(Request::ListConfigResources(request), version).await else {
        panic!()
    };
    listed
}

#[tokio::test]
async fn what_has_settings_is_listed() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    change(&mut client, &[(BROKER, "", &[(0, "log.retention.ms", Some("1"))])], false).await;
    change(&mut client, &[(GROUP, "g", &[(0, "consumer.session.timeout.ms", Some("50000"))])], false).await;
    let names = |listed: ListConfigResourcesResponse| {
        let each = listed.config_resources.into_iter();
        each.map(|one| (one.resource_type, one.resource_name.to_string())).collect::<Vec<_>>()
    };
    assert!(names(list(&mut client, &[], 0).await).is_empty(), "client metrics alone");
    let all = [(TOPIC, "t"), (BROKER, "0"), (GROUP, "g"), (LOGGER, "0")].map(|(kind, name)| (kind, name.to_owned()));
    assert_eq!(names(list(&mut client, &[], 1).await), all);
    assert_eq!(names(list(&mut client, &[GROUP, METRICS], 1).await), all[2..3]);
    assert_eq!(codes([&list(&mut client, &[TOPIC, 3], 1).await.error_code]), [ErrorCode::UnsupportedVersion]);
}
