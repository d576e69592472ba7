//! Replaces all settings of a resource: what is not named returns to its default (KIP-133). See
//! [`incremental_alter_configs`](super::incremental_alter_configs) for the one to use.

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct AlterConfigsRequest {
        [0+] resources: Vec<AlterConfigsResource>,
        [0+] validate_only: bool,
    }

    /// A resource with its settings. The types are 2 topic, 4 broker, 8 logger, 16 client metrics, 32 group.
    pub(crate) struct AlterConfigsResource {
        [0+] resource_type: i8,
        [0+] resource_name: Str,
        [0+] configs: Vec<AlterableConfig>,
    }

    /// A setting.
    pub(crate) struct AlterableConfig {
        [0+] name: Str,
        [0+] value: Option<Str>,
    }

    /// The response.
    pub(crate) struct AlterConfigsResponse {
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
