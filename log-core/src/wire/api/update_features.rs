//! Raises or lowers the finalized level of the cluster's features (KIP-584).
//!
//! Versions:
//! - 1: which way, and validation alone (KIP-778). 2: one result instead of one for each feature (KIP-1022).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct UpdateFeaturesRequest {
        [0+] timeout_ms: i32 = 60000,
        [0+] feature_updates: Vec<FeatureUpdateKey>,
        [1+] validate_only: bool,
    }

    /// A feature and its new level: upgrade (1), safe downgrade (2) or any downgrade (3); 0 removes it.
    pub(crate) struct FeatureUpdateKey {
        [0+]  feature: Str,
        [0+]  max_version_level: i16,
        [0-0] allow_downgrade: bool,
        [1+]  upgrade_type: i8 = 1,
    }

    /// The response.
    pub(crate) struct UpdateFeaturesResponse {
        [0+]  throttle_time_ms: i32,
        [0+]  error_code: i16,
        [0+]  error_message: Option<Str>,
        [0-1] results: Vec<UpdatableFeatureResult>,
    }

    /// What became of one feature.
    pub(crate) struct UpdatableFeatureResult {
        [0+] feature: Str,
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
    }
}
