//! Sets and removes SCRAM credentials of users (KIP-554). What comes is salted already, and still a secret.

use crate::wire::Str;
use crate::wire::declare::wire;
use bytes::Bytes;

wire! {
    /// The request.
    pub(crate) struct AlterUserScramCredentialsRequest {
        [0+] deletions: Vec<ScramCredentialDeletion>,
        [0+] upsertions: Vec<ScramCredentialUpsertion>,
    }

    /// A credential to remove.
    pub(crate) struct ScramCredentialDeletion {
        [0+] name: Str,
        [0+] mechanism: i8,
    }

    /// A credential to set; `salted_password` is a secret.
    pub(crate) struct ScramCredentialUpsertion {
        [0+] name: Str,
        [0+] mechanism: i8,
        [0+] iterations: i32,
        [0+] salt: Bytes,
        [0+] salted_password: Bytes,
    }

    /// The response.
    pub(crate) struct AlterUserScramCredentialsResponse {
        [0+] throttle_time_ms: i32,
        [0+] results: Vec<AlterUserScramCredentialsResult>,
    }

    /// What became of one user.
    pub(crate) struct AlterUserScramCredentialsResult {
        [0+] user: Str,
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
    }
}
