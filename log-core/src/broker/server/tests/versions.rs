//! What is spoken: every version of what is served has an answer, and ApiVersions says what that is.

use super::super::dispatch::SERVED;
use super::{Served, empty};
use crate::wire::{ApiKey, ApiVersionsRequest, ErrorCode, Request, Response};

fn api_versions() -> Request {
    let name = |text: &str| text.into();
    let (client_software_name, client_software_version) = (name("test"), name("1.0"));
    Request::ApiVersions(ApiVersionsRequest { client_software_name, client_software_version })
}

#[tokio::test]
async fn what_is_advertised_is_what_is_served() {
    let served = Served::start().await;
    let mut client = served.client().await;
    for version in ApiKey::ApiVersions.versions() {
        let Response::ApiVersions(told) = client.ask(api_versions(), version).await else { panic!() };
        assert_eq!(told.error_code, 0);
        let keys: Vec<_> = told.api_keys.iter().map(|api| api.api_key).collect();
        assert_eq!(keys, SERVED.iter().map(|key| key.number()).collect::<Vec<_>>());
        assert!(keys.is_sorted());
        assert_eq!(told.finalized_features.is_empty(), version < 3);
        assert!(version > 3 || told.supported_features.iter().all(|feature| feature.min_version > 0));
    }
    let Request::ApiVersions(mut request) = api_versions() else { panic!() };
    request.client_software_name = "no spaces".into();
    let Response::ApiVersions(told) = client.ask(Request::ApiVersions(request), 3).await else { panic!() };
    assert_eq!(told.error_code, ErrorCode::InvalidRequest.number());
}

#[tokio::test]
async fn a_client_that_is_too_new_learns_what_is_spoken() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let newer = [0, 18, 0, 99, 0, 0, 0, 42, 0xff, 0xff, 0, 1, 2, 3];
    client.raw(&(newer.len() as u32).to_be_bytes()).await;
    client.raw(&newer).await;
    let Response::ApiVersions(told) = client.receive(ApiKey::ApiVersions, 0, 42).await else { panic!() };
    assert_eq!(told.error_code, ErrorCode::UnsupportedVersion.number());
    assert_eq!(told.api_keys.len(), SERVED.len());
    // And it can go on.
    client.next_id = 43;
    assert!(matches!(client.ask(api_versions(), 0).await, Response::ApiVersions(told) if told.error_code == 0));
}

#[tokio::test]
async fn what_is_not_served_ends_the_connection() {
    let served = Served::start().await;
    let unserved = *ApiKey::ALL.iter().find(|key| !SERVED.contains(key)).unwrap();
    // An API that is not served, versions that are not spoken, an API that there is not, no header at all.
    let heads: [&[u8]; 5] =
        [&[0, unserved.number() as u8, 0, 1], &[0, 0, 0, 2], &[0, 3, 0, 99], &[0x7f, 0xff, 0, 0], &[1]];
    for head in heads {
        let mut client = served.client().await;
        let content = [head, &[0, 0, 0, 1, 0xff, 0xff, 0, 0, 0]].concat();
        client.raw(&(content.len() as u32).to_be_bytes()).await;
        client.raw(&content).await;
        assert!(client.is_closed().await, "{head:?}");
    }
    let mut client = served.client().await;
    client.raw(&[0, 0, 0, 0]).await;
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn every_version_of_every_api_is_answered() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    for &key in SERVED {
        for version in key.versions() {
            let request = empty(key);
            let response = client.ask(request, version).await;
            assert_eq!(response.key(), key, "version {version}");
        }
    }
}
