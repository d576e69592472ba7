//! ApiVersions: what the broker speaks.

use crate::broker::server::context::Context;
use crate::broker::server::dispatch::SERVED;
use crate::wire::api_versions::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use crate::wire::{ApiKey, ApiVersionsRequest, ApiVersionsResponse, ErrorCode, Version};

/// The first version that takes features whose lowest level is 0; Java clients before 3.9 fail on them (KAFKA-17011).
const LEVEL_0_FROM: i16 = 4;
/// Features that stand for an API, and so are not told before it is served.
const OF_APIS: &[(&str, ApiKey)] =
    &[("group.version", ApiKey::ConsumerGroupHeartbeat), ("transaction.version", ApiKey::EndTxn)];

pub(in crate::broker::server) fn api_versions(
    context: &Context,
    request: &ApiVersionsRequest,
    version: Version,
) -> ApiVersionsResponse {
    let software = [&request.client_software_name, &request.client_software_version];
    if version.number >= 3 && !software.iter().all(|name| is_software(name)) {
        return ApiVersionsResponse { error_code: ErrorCode::InvalidRequest.number(), ..Default::default() };
    }
    let is_served = |name: &str| OF_APIS.iter().all(|(feature, api)| *feature != name || SERVED.contains(api));
    // None while the broker closes.
    let mut features = context.broker().features().unwrap_or_default();
    features.retain(|feature| is_served(feature.name));
    let supported = features.iter().filter(|feature| feature.min_level > 0 || version.number >= LEVEL_0_FROM);
    let supported = supported.map(|feature| SupportedFeatureKey {
        name: feature.name.into(),
        min_version: feature.min_level,
        max_version: feature.max_level,
    });
    let finalized = features.iter().filter(|feature| feature.level > 0).map(|feature| FinalizedFeatureKey {
        name: feature.name.into(),
        max_version_level: feature.level,
        min_version_level: feature.level,
    });
    ApiVersionsResponse {
        api_keys: served(),
        supported_features: supported.collect(),
        // They are known, and nobody compares them with an earlier answer of another broker.
        finalized_features_epoch: 0,
        finalized_features: finalized.collect(),
        ..Default::default()
    }
}

/// The answer to a version that is not spoken.
pub(in crate::broker::server) fn not_spoken() -> ApiVersionsResponse {
    ApiVersionsResponse { error_code: ErrorCode::UnsupportedVersion.number(), api_keys: served(), ..Default::default() }
}

fn served() -> Vec<ApiVersion> {
    let version = |key: &ApiKey| ApiVersion {
        api_key: key.number(),
        min_version: *key.advertised().start(),
        max_version: *key.advertised().end(),
    };
    SERVED.iter().map(version).collect()
}

/// Kafka's rule for a client's name and version: letters, digits, dots and hyphens, none of the latter two at an end.
fn is_software(name: &str) -> bool {
    let inner = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    let is_end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    inner && is_end(name.bytes().next()) && is_end(name.bytes().last())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_software_follow_kafkas_rule() {
        for good in ["a", "librdkafka", "apache-kafka-java", "4.3.1", "2.15.0-rc1"] {
            assert!(is_software(good), "{good}");
        }
        for bad in ["", "-a", "a-", ".", "a b", "ä", "a/b"] {
            assert!(!is_software(bad), "{bad}");
        }
    }
}
