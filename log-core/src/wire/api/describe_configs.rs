//! The settings of topics, brokers and groups, with where each value comes from (KIP-133).
//!
//! Versions:
//! - 1: sources and synonyms (KIP-226). 3: types and documentation (KIP-569).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct DescribeConfigsRequest {
        [0+] resources: Vec<DescribeConfigsResource>,
        [1+] include_synonyms: bool,
        [3+] include_documentation: bool,
    }

    /// A resource, with the settings that are asked for, or all.
    pub(crate) struct DescribeConfigsResource {
        [0+] resource_type: i8,
        [0+] resource_name: Str,
        [0+] configuration_keys: Option<Vec<Str>>,
    }

    /// The response.
    pub(crate) struct DescribeConfigsResponse {
        [0+] throttle_time_ms: i32,
        [0+] results: Vec<DescribeConfigsResult>,
    }

    /// The settings of one resource.
    pub(crate) struct DescribeConfigsResult {
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
        [0+] resource_type: i8,
        [0+] resource_name: Str,
        [0+] configs: Vec<DescribeConfigsResourceResult>,
    }

    /// A setting. The source is 1 topic, 2 and 3 dynamic broker, 4 static broker, 5 default, 8 group.
    pub(crate) struct DescribeConfigsResourceResult {
        [0+] name: Str,
        [0+] value: Option<Str>,
        [0+] read_only: bool,
        [1+] config_source: i8 = -1,
        [0+] is_sensitive: bool,
        [1+] synonyms: Vec<DescribeConfigsSynonym>,
        [3+] config_type: i8,
        [3+] documentation: Option<Str>,
    }

    /// Where else the value could come from, the nearest first.
    pub(crate) struct DescribeConfigsSynonym {
        [1+] name: Str,
        [1+] value: Option<Str>,
        [1+] source: i8,
    }
}
