//! Changes single settings: sets (0), deletes (1), appends to (2) or subtracts from (3) each (KIP-339).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct IncrementalAlterConfigsRequest {
        [0+] resources: Vec<AlterConfigsResource>,
        [0+] validate_only: bool,
    }

    /// A resource with its settings. The types are 2 topic, 4 broker, 8 logger, 16 client metrics, 32 group.
    pub(crate) struct AlterConfigsResource {
        [0+] resource_type: i8,
        [0+] resource_name: Str,
        [0+] configs: Vec<AlterableConfig>,
    }

    /// A change of a setting.
    pub(crate) struct AlterableConfig {
        [0+] name: Str,
        [0+] config_operation: i8,
        [0+] value: Option<Str>,
    }

    /// The response.
    pub(crate) struct IncrementalAlterConfigsResponse {
        [0+] throttle_time_ms: i32,
        [0+] responses: Vec<AlterConfigsResourceResponse>,
    }

    /// What became of one resource.
    pub(crate) struct AlterConfigsResourceResponse {
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
        [0+] resource_type: i8,
        [0+] resource_name: Str,
    }
}
