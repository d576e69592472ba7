//! Resources that have settings.
//!
//! Versions:
//! - 0: client metrics only (KIP-714). 1: any types (KIP-1142).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct ListConfigResourcesRequest {
        [1+] resource_types: Vec<i8>,
    }

    /// The response.
    pub(crate) struct ListConfigResourcesResponse {
        [0+] throttle_time_ms: i32,
        [0+] error_code: i16,
        [0+] config_resources: Vec<ConfigResource>,
    }

    /// A resource that has settings.
    pub(crate) struct ConfigResource {
        [0+] resource_name: Str,
        [1+] resource_type: i8 = 16,
    }
}
