//! Entries of access control, users and quotas over the wire; and who may not, in every API.

use super::{Client, Served};
use crate::wire::alter_client_quotas::{self, OpData};
use crate::wire::alter_user_scram_credentials::{ScramCredentialDeletion, ScramCredentialUpsertion};
use crate::wire::create_acls::AclCreation;
use crate::wire::delete_acls::DeleteAclsFilter;
use crate::wire::describe_client_quotas::ComponentData;
use crate::wire::describe_user_scram_credentials::UserName;
use crate::wire::{
    AlterClientQuotasRequest, AlterUserScramCredentialsRequest, ApiKey, CreateAclsRequest, DeleteAclsRequest,
    DescribeAclsRequest, DescribeClientQuotasRequest, DescribeClientQuotasResponse,
    DescribeUserScramCredentialsRequest, ErrorCode, Request, Response,
};

fn code(number: i16) -> ErrorCode {
    ErrorCode::from_number(number)
}

/// An entry that allows `User:ANONYMOUS` to read what begins with `t`.
fn reading() -> AclCreation {
    AclCreation {
        resource_type: 2,
        resource_name: "t".into(),
        resource_pattern_type: 4,
        principal: "User:ANONYMOUS".into(),
        host: "*".into(),
        operation: 3,
        permission_type: 3,
    }
}

/// The same for everything that can be done to the cluster, so that the test can go on.
fn all_of_cluster() -> AclCreation {
    let resource_name = "kafka-cluster".into();
    AclCreation { resource_type: 4, resource_name, resource_pattern_type: 3, operation: 2, ..reading() }
}

async fn create(client: &mut Client, creations: Vec<AclCreation>, version: i16) -> Vec<ErrorCode> {
    let request = Request::CreateAcls(CreateAclsRequest { creations });
    let Response::CreateAcls(made) = client.ask(request, version).await else { panic!() };
    made.results.iter().map(|one| code(one.error_code)).collect()
}

#[tokio::test]
async fn entries_are_made_found_and_taken_away() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let version = *ApiKey::CreateAcls.versions().end();
    let creations = vec![
        all_of_cluster(),
        reading(),
        AclCreation { operation: 1, ..reading() },
        AclCreation { resource_type: 0, ..reading() },
        AclCreation { resource_pattern_type: 2, ..reading() },
        AclCreation { permission_type: 1, ..reading() },
        AclCreation { principal: "nobody".into(), ..reading() },
        AclCreation { permission_type: 2, operation: 4, ..reading() },
    ];
    let invalid = ErrorCode::InvalidRequest;
    let (ok, made) = (ErrorCode::None, create(&mut client, creations, version).await);
    assert_eq!(made, [ok, ok, invalid, invalid, invalid, invalid, invalid, ok]);

    let any = DescribeAclsRequest {
        resource_type_filter: 1,
        pattern_type_filter: 1,
        operation: 1,
        permission_type: 1,
        ..Default::default()
    };
    for version in ApiKey::DescribeAcls.versions() {
        let Response::DescribeAcls(all) = client.ask(Request::DescribeAcls(any.clone()), version).await else {
            panic!()
        };
        let found: Vec<_> =
            all.resources.iter().map(|one| (one.resource_type, &*one.resource_name, one.acls.len())).collect();
        assert_eq!(found, [(2, "t", 2), (4, "kafka-cluster", 1)]);
        assert_eq!(all.resources[0].pattern_type, 4);
        let covering = DescribeAclsRequest {
            resource_name_filter: Some("topic".into()),
            pattern_type_filter: 2,
            permission_type: 3,
            ..any.clone()
        };
        let Response::DescribeAcls(some) = client.ask(Request::DescribeAcls(covering), version).await else { panic!() };
        assert_eq!((some.resources.len(), some.resources[0].acls.len()), (1, 1));
    }
    let wrong = DescribeAclsRequest { operation: 99, ..any };
    let Response::DescribeAcls(wrong) = client.ask(Request::DescribeAcls(wrong), 3).await else { panic!() };
    assert_eq!(code(wrong.error_code), invalid);

    let filter = DeleteAclsFilter {
        resource_type_filter: 2,
        resource_name_filter: Some("t".into()),
        pattern_type_filter: 4,
        operation: 1,
        permission_type: 1,
        ..Default::default()
    };
    let filters = vec![filter.clone(), DeleteAclsFilter { permission_type: 9, ..filter.clone() }];
    let request = Request::DeleteAcls(DeleteAclsRequest { filters });
    let Response::DeleteAcls(gone) = client.ask(request, 3).await else { panic!() };
    assert_eq!(gone.filter_results[0].matching_acls.len(), 2);
    assert_eq!(code(gone.filter_results[1].error_code), invalid);
    let request = Request::DeleteAcls(DeleteAclsRequest { filters: vec![filter] });
    let Response::DeleteAcls(gone) = client.ask(request, 1).await else { panic!() };
    assert!(gone.filter_results[0].matching_acls.is_empty());
}

fn upsert(name: &str, mechanism: i8, iterations: i32) -> ScramCredentialUpsertion {
    let salted_password = vec![7; if mechanism == 2 { 64 } else { 32 }].into();
    let salt = vec![1; 16].into();
    ScramCredentialUpsertion { name: name.into(), mechanism, iterations, salt, salted_password }
}

async fn alter(
    client: &mut Client,
    deletions: Vec<ScramCredentialDeletion>,
    upsertions: Vec<ScramCredentialUpsertion>,
) -> Vec<(String, ErrorCode)> {
    let request = AlterUserScramCredentialsRequest { deletions, upsertions };
    let Response::AlterUserScramCredentials(altered) = client.ask(Request::AlterUserScramCredentials(request), 0).await
    else {
        panic!()
    };
    altered.results.iter().map(|one| (one.user.to_string(), code(one.error_code))).collect()
}

async fn users(client: &mut Client, users: Option<&[&str]>) -> Vec<(String, ErrorCode, Vec<(i8, i32)>)> {
    let name = |name: &&str| UserName { name: (*name).into() };
    let request = DescribeUserScramCredentialsRequest { users: users.map(|all| all.iter().map(name).collect()) };
    let Response::DescribeUserScramCredentials(told) =
        client.ask(Request::DescribeUserScramCredentials(request), 0).await
    else {
        panic!()
    };
    assert_eq!(told.error_code, 0);
    let each = told.results.iter().map(|one| {
        let infos = one.credential_infos.iter().map(|info| (info.mechanism, info.iterations));
        (one.user.to_string(), code(one.error_code), infos.collect())
    });
    each.collect()
}

#[tokio::test]
async fn users_are_made_described_and_taken_away() {
    let served = Served::start().await;
    let mut client = served.client().await;
    create(&mut client, vec![all_of_cluster()], 3).await;
    let named = |name: &str, code| (name.to_owned(), code);
    let upsertions = vec![
        upsert("alice", 1, 4096),
        upsert("alice", 2, 8192),
        upsert("bob", 1, 5),
        upsert("carol", 9, 4096),
        upsert("carol", 1, 4096),
        upsert("dave", 1, -1),
        upsert("", 1, 4096),
    ];
    let altered = alter(&mut client, Vec::new(), upsertions).await;
    let bad = ErrorCode::UnacceptableCredential;
    let expected = [
        named("", bad),
        named("alice", ErrorCode::None),
        named("bob", bad),
        named("dave", bad),
        named("carol", ErrorCode::UnsupportedSaslMechanism),
    ];
    assert_eq!(altered, expected);
    let alice = ("alice".to_owned(), ErrorCode::None, vec![(1, 4096), (2, 8192)]);
    for all in [None, Some(&[][..])] {
        assert_eq!(users(&mut client, all).await, std::slice::from_ref(&alice));
    }
    let told = users(&mut client, Some(&["bob", "alice", "bob"])).await;
    assert_eq!(told[0], alice);
    assert_eq!(told[1].1, ErrorCode::DuplicateResource);
    assert_eq!(users(&mut client, Some(&["bob"])).await[0].1, ErrorCode::ResourceNotFound);

    let deletion = |name: &str, mechanism| ScramCredentialDeletion { name: name.into(), mechanism };
    let gone = alter(&mut client, vec![deletion("alice", 2), deletion("bob", 1)], Vec::new()).await;
    assert_eq!(gone, [named("alice", ErrorCode::None), named("bob", ErrorCode::ResourceNotFound)]);
    assert_eq!(users(&mut client, None).await[0].2, [(1, 4096)]);
}

async fn quotas(client: &mut Client, parts: &[(&str, i8, Option<&str>)], strict: bool) -> DescribeClientQuotasResponse {
    let part = |(kind, match_type, name): &(&str, i8, Option<&str>)| ComponentData {
        entity_type: (*kind).into(),
        match_type: *match_type,
        r#match: name.map(Into::into),
    };
    let request = DescribeClientQuotasRequest { components: parts.iter().map(part).collect(), strict };
    let Response::DescribeClientQuotas(told) = client.ask(Request::DescribeClientQuotas(request), 1).await else {
        panic!()
    };
    told
}

#[tokio::test]
async fn quotas_are_set_and_found() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let entry = |parts: &[(&str, Option<&str>)], key: &str, value: Option<f64>| alter_client_quotas::EntryData {
        entity: parts
            .iter()
            .map(|(kind, name)| alter_client_quotas::EntityData {
                entity_type: (*kind).into(),
                entity_name: name.map(Into::into),
            })
            .collect(),
        ops: vec![OpData { key: key.into(), value: value.unwrap_or(0.0), remove: value.is_none() }],
    };
    let (producer, rate) = ("producer_byte_rate", Some(1000.0));
    let entries = vec![
        entry(&[("user", Some("alice"))], producer, rate),
        entry(&[("user", None)], producer, rate),
        entry(&[("user", Some("alice")), ("client-id", Some("app"))], "consumer_byte_rate", rate),
        entry(&[("ip", Some("10.0.0.1"))], "connection_creation_rate", rate),
        entry(&[("ip", Some("10.0.0.1"))], producer, rate),
        entry(&[("user", Some("alice")), ("user", None)], producer, rate),
        entry(&[("planet", Some("mars"))], producer, rate),
        entry(&[("user", Some(""))], producer, rate),
        entry(&[], producer, rate),
        entry(&[("user", Some("alice"))], "no_such", rate),
        entry(&[("user", Some("alice"))], producer, Some(-1.0)),
    ];
    let request =
        |entries, validate_only| Request::AlterClientQuotas(AlterClientQuotasRequest { entries, validate_only });
    for validate_only in [true, false] {
        let Response::AlterClientQuotas(altered) = client.ask(request(entries.clone(), validate_only), 1).await else {
            panic!()
        };
        let codes: Vec<_> = altered.entries.iter().map(|one| code(one.error_code)).collect();
        assert_eq!(codes[..4], [ErrorCode::None; 4], "{altered:?}");
        assert_eq!(codes[4..], [ErrorCode::InvalidRequest; 7]);
        assert_eq!(altered.entries[0].entity[0].entity_name.as_deref(), Some("alice"));
        let told = quotas(&mut client, &[], false).await;
        assert_eq!(told.entries.unwrap().len(), if validate_only { 0 } else { 4 });
    }
    let count = |told: DescribeClientQuotasResponse| told.entries.map(|entries| entries.len());
    assert_eq!(count(quotas(&mut client, &[("user", 0, Some("alice"))], false).await), Some(2));
    let told = quotas(&mut client, &[("user", 0, Some("alice"))], true).await;
    assert_eq!(told.entries.as_ref().unwrap()[0].values[0].value, 1000.0);
    assert_eq!(count(told), Some(1));
    let told = quotas(&mut client, &[("user", 1, None)], true).await;
    assert_eq!(told.entries.as_ref().unwrap()[0].entity[0].entity_name, None, "the default");
    assert_eq!(count(quotas(&mut client, &[("user", 2, None)], true).await), Some(2));
    for wrong in [("user", 0, None), ("user", 1, Some("alice")), ("user", 7, None)] {
        let told = quotas(&mut client, &[wrong], false).await;
        assert_eq!((code(told.error_code), told.entries), (ErrorCode::InvalidRequest, None));
    }
    let told = quotas(&mut client, &[("planet", 2, None)], false).await;
    assert_eq!(code(told.error_code), ErrorCode::UnsupportedVersion, "as Kafka says it");

    let gone = entry(&[("user", None)], producer, None);
    let Response::AlterClientQuotas(altered) = client.ask(request(vec![gone], false), 0).await else { panic!() };
    assert_eq!(altered.entries[0].error_code, 0);
    assert_eq!(count(quotas(&mut client, &[], false).await), Some(3));
}

#[tokio::test]
async fn tokens_are_not_given_out() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let disabled = ErrorCode::DelegationTokenAuthDisabled.number();
    for request in [
        Request::CreateDelegationToken(Default::default()),
        Request::RenewDelegationToken(Default::default()),
        Request::ExpireDelegationToken(Default::default()),
        Request::DescribeDelegationToken(Default::default()),
    ] {
        for version in request.key().versions() {
            let told = match client.ask(request.clone(), version).await {
                Response::CreateDelegationToken(told) => told.error_code,
                Response::RenewDelegationToken(told) => told.error_code,
                Response::ExpireDelegationToken(told) => told.error_code,
                Response::DescribeDelegationToken(told) => told.error_code,
                other => panic!("{other}"),
            };
            assert_eq!(told, disabled);
        }
    }
}
