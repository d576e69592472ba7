//! Removes the access rules that match a filter, and tells which they were (KIP-140).
//!
//! Versions:
//! - 1: prefixes as patterns (KIP-290). 3: users as resources (KIP-373).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct DeleteAclsRequest {
        [0+] filters: Vec<DeleteAclsFilter>,
    }

    /// A filter; `None` and the type 1 match anything.
    pub(crate) struct DeleteAclsFilter {
        [0+] resource_type_filter: i8,
        [0+] resource_name_filter: Option<Str>,
        [1+] pattern_type_filter: i8 = 3,
        [0+] principal_filter: Option<Str>,
        [0+] host_filter: Option<Str>,
        [0+] operation: i8,
        [0+] permission_type: i8,
    }

    /// The response.
    pub(crate) struct DeleteAclsResponse {
        [0+] throttle_time_ms: i32,
        [0+] filter_results: Vec<DeleteAclsFilterResult>,
    }

    /// What one filter has removed.
    pub(crate) struct DeleteAclsFilterResult {
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
        [0+] matching_acls: Vec<DeleteAclsMatchingAcl>,
    }

    /// A rule that is gone, or is not and why.
    pub(crate) struct DeleteAclsMatchingAcl {
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
        [0+] resource_type: i8,
        [0+] resource_name: Str,
        [1+] pattern_type: i8 = 3,
        [0+] principal: Str,
        [0+] host: Str,
        [0+] operation: i8,
        [0+] permission_type: i8,
    }
}
