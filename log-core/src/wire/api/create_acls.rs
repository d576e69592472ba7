//! Adds access rules (KIP-140).
//!
//! Versions:
//! - 1: prefixes as patterns (KIP-290). 3: users as resources (KIP-373).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct CreateAclsRequest {
        [0+] creations: Vec<AclCreation>,
    }

    /// A rule to add.
    pub(crate) struct AclCreation {
        [0+] resource_type: i8,
        [0+] resource_name: Str,
        [1+] resource_pattern_type: i8 = 3,
        [0+] principal: Str,
        [0+] host: Str,
        [0+] operation: i8,
        [0+] permission_type: i8,
    }

    /// The response.
    pub(crate) struct CreateAclsResponse {
        [0+] throttle_time_ms: i32,
        [0+] results: Vec<AclCreationResult>,
    }

    /// What became of one rule, in the order of the request.
    pub(crate) struct AclCreationResult {
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
    }
}
