//! What a broker speaks, as it says when a connection begins: APIs with their versions, and features of its cluster.
//!
//! Of every API the highest version is taken that both sides speak and that the request can be said in.

use crate::service::FeatureDescription;
use crate::types::Error;
use crate::wire::{ApiKey, ApiVersionsResponse, Version};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// The feature by which a cluster says which rules of transactions hold (KIP-890).
const TRANSACTION_VERSION: &str = "transaction.version";

/// What one broker speaks.
#[derive(Clone, Debug, Default)]
pub(super) struct Versions {
    apis: BTreeMap<ApiKey, (i16, i16)>,
    features: Vec<FeatureDescription>,
}

/// The features that have a name here.
const FEATURES: &[&str] =
    &["group.version", "metadata.version", "share.version", "streams.version", TRANSACTION_VERSION];

impl Versions {
    /// What the broker has told. APIs that we do not know are left out.
    pub(super) fn told(response: &ApiVersionsResponse) -> Self {
        let known = response.api_keys.iter().filter_map(|api| {
            let key = ApiKey::from_number(api.api_key)?;
            Some((key, (api.min_version, api.max_version)))
        });
        let feature = |&name: &&'static str| {
            let levels = response.finalized_features.iter().find(|feature| &*feature.name == name);
            let level = levels.map_or(0, |feature| feature.max_version_level);
            let supported = response.supported_features.iter().find(|feature| &*feature.name == name);
            let (min_level, max_level) = supported.map_or((level, level), |told| (told.min_version, told.max_version));
            let is_told = levels.is_some() || supported.is_some();
            is_told.then_some(FeatureDescription { name, min_level, max_level, level })
        };
        Self { apis: known.collect(), features: FEATURES.iter().filter_map(feature).collect() }
    }

    /// The highest version of an API within `wanted` that both sides speak.
    pub(super) fn pick(&self, key: ApiKey, wanted: &RangeInclusive<i16>) -> Result<Version, Error> {
        let ours = key.versions();
        let version = self.apis.get(&key).and_then(|(least, most)| {
            let least = *ours.start().max(wanted.start()).max(least);
            let most = *ours.end().min(wanted.end()).min(most);
            (least <= most).then(|| key.version(most)).flatten()
        });
        version.ok_or(Error::Unsupported { what: key.name() })
    }

    /// The features that are known here, as far as the broker tells them.
    pub(super) fn features(&self) -> &[FeatureDescription] {
        &self.features
    }

    /// Whether the cluster's transactions have an epoch each, and partitions are added by writing to them.
    pub(super) fn has_transactions_v2(&self) -> bool {
        let speaks = |key, version| self.pick(key, &(version..=i16::MAX)).is_ok();
        let level = self.features.iter().find(|feature| feature.name == TRANSACTION_VERSION).map_or(0, |f| f.level);
        level >= 2 && speaks(ApiKey::Produce, 12) && speaks(ApiKey::EndTxn, 5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::api_versions::{ApiVersion, FinalizedFeatureKey};

    fn told(apis: &[(i16, i16, i16)], transactions: i16) -> Versions {
        let api = |&(api_key, min_version, max_version)| ApiVersion { api_key, min_version, max_version };
        let feature = FinalizedFeatureKey {
            name: TRANSACTION_VERSION.into(),
            max_version_level: transactions,
            min_version_level: 1,
        };
        Versions::told(&ApiVersionsResponse {
            api_keys: apis.iter().map(api).collect(),
            finalized_features: vec![feature],
            ..Default::default()
        })
    }

    #[test]
    fn the_highest_version_of_both_is_taken() {
        let versions = told(&[(0, 0, 9), (1, 4, 99), (3, 14, 20), (9999, 0, 1)], 0);
        let pick = |key, wanted| versions.pick(key, &wanted).map(|version| version.number).ok();
        assert_eq!(pick(ApiKey::Produce, 0..=i16::MAX), Some(9));
        assert_eq!(pick(ApiKey::Produce, 0..=7), Some(7));
        assert_eq!(pick(ApiKey::Produce, 10..=13), None);
        assert_eq!(pick(ApiKey::Fetch, 0..=i16::MAX), Some(*ApiKey::Fetch.versions().end()));
        assert_eq!(pick(ApiKey::Metadata, 0..=i16::MAX), None, "newer than all that we know");
        assert_eq!(pick(ApiKey::EndTxn, 0..=i16::MAX), None, "not spoken");
    }

    #[test]
    fn rules_of_transactions_go_by_the_feature_not_by_versions() {
        let apis = [(0, 0, 13), (26, 0, 5)];
        assert!(told(&apis, 2).has_transactions_v2());
        assert!(!told(&apis, 1).has_transactions_v2());
        assert!(!told(&[(0, 0, 11), (26, 0, 4)], 2).has_transactions_v2());
    }
}
