//! Which APIs and versions the broker speaks, and its features. The first request of a connection, before it is
//! authenticated. A version that is not spoken is answered in version 0, with the error and with what is spoken, and
//! the header of the response never has tagged fields (KIP-511).
//!
//! Versions:
//! - 3: the client's software (KIP-511), features (KIP-584). 4: features whose lowest version is 0 are not left out.

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct ApiVersionsRequest {
        [3+] client_software_name: Str,
        [3+] client_software_version: Str,
    }

    /// The response.
    pub(crate) struct ApiVersionsResponse {
        [0+]       error_code: i16,
        [0+]       api_keys: Vec<ApiVersion>,
        [1+]       throttle_time_ms: i32,
        [3+ tag 0] supported_features: Vec<SupportedFeatureKey>,
        [3+ tag 1] finalized_features_epoch: i64 = -1,
        [3+ tag 2] finalized_features: Vec<FinalizedFeatureKey>,
        [3+ tag 3] zk_migration_ready: bool,
    }

    /// An API with the versions that are spoken, both ends included.
    pub(crate) struct ApiVersion {
        [0+] api_key: i16,
        [0+] min_version: i16,
        [0+] max_version: i16,
    }

    /// A feature with the levels that the broker can do.
    pub(crate) struct SupportedFeatureKey {
        [3+] name: Str,
        [3+] min_version: i16,
        [3+] max_version: i16,
    }

    /// A feature with the levels that the cluster has settled on.
    pub(crate) struct FinalizedFeatureKey {
        [3+] name: Str,
        [3+] max_version_level: i16,
        [3+] min_version_level: i16,
    }
}
