//! The access rules that match a filter (KIP-140).
//!
//! Versions:
//! - 1: prefixes as patterns (KIP-290). 3: users as resources (KIP-373).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct DescribeAclsRequest {
        [0+] resource_type_filter: i8,
        [0+] resource_name_filter: Option<Str>,
        [1+] pattern_type_filter: i8 = 3,
        [0+] principal_filter: Option<Str>,
        [0+] host_filter: Option<Str>,
        [0+] operation: i8,
        [0+] permission_type: i8,
    }

    /// The response.
    pub(crate) struct DescribeAclsResponse {
        [0+] throttle_time_ms: i32,
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
        [0+] resources: Vec<DescribeAclsResource>,
    }

    /// A resource with its rules.
    pub(crate) struct DescribeAclsResource {
        [0+] resource_type: i8,
        [0+] resource_name: Str,
        [1+] pattern_type: i8 = 3,
        [0+] acls: Vec<AclDescription>,
    }

    /// A rule of the resource.
    pub(crate) struct AclDescription {
        [0+] principal: Str,
        [0+] host: Str,
        [0+] operation: i8,
        [0+] permission_type: i8,
    }
}
