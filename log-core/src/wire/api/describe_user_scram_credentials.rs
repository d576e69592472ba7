//! Which users have SCRAM credentials, and of which kind; never the credentials (KIP-554).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct DescribeUserScramCredentialsRequest {
        [0+] users: Option<Vec<UserName>>,
    }

    /// A user that is asked about.
    pub(crate) struct UserName {
        [0+] name: Str,
    }

    /// The response.
    pub(crate) struct DescribeUserScramCredentialsResponse {
        [0+] throttle_time_ms: i32,
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
        [0+] results: Vec<DescribeUserScramCredentialsResult>,
    }

    /// The kinds of credentials of one user.
    pub(crate) struct DescribeUserScramCredentialsResult {
        [0+] user: Str,
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
        [0+] credential_infos: Vec<CredentialInfo>,
    }

    /// A kind of credential: 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
    pub(crate) struct CredentialInfo {
        [0+] mechanism: i8,
        [0+] iterations: i32,
    }
}
