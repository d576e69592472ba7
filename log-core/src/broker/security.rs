//! Who a peer is, what it may do and how much of it: what the server asks before it does anything for it.
//!
//! The rules are in `access`; this gives them what the metadata image knows now.

use super::Broker;
use super::histogram::Histogram;
use crate::access::{Authorizer, Bucket, Principal, Request, ScramServer};
use crate::env::secret;
use crate::types::{AclOperation, Error, QuotaKey, ResourceType, Result, ScramCredential, ScramMechanism};
use std::fmt::Write as _;

impl Broker {
    /// [`Error::NotAuthorized`] unless the request is allowed.
    pub(super) fn authorize(&self, request: &Request<'_>) -> Result<()> {
        if self.authorizer(|authorizer| authorizer.allows(request)) {
            return Ok(());
        }
        Err(Error::NotAuthorized {
            principal: request.principal.to_string(),
            operation: request.operation,
            resource_type: request.resource_type,
            resource: request.resource.to_owned(),
        })
    }

    /// Whether the operation is allowed on some resource of the kind.
    pub(super) fn is_allowed_on_any(
        &self,
        principal: &Principal,
        host: &str,
        operation: AclOperation,
        kind: ResourceType,
    ) -> bool {
        self.authorizer(|authorizer| authorizer.allows_any(principal, host, operation, kind))
    }

    /// Whether nobody has set up users or entries, so that everyone may do everything.
    pub(super) fn is_open_to_everyone(&self) -> bool {
        self.authorizer(|authorizer| authorizer.is_open())
    }

    fn authorizer<T>(&self, ask: impl FnOnce(Authorizer<'_>) -> T) -> T {
        let image = self.image.read();
        let has_users = !image.credentials().is_empty();
        ask(Authorizer { acls: image.acls(), super_users: &self.super_users, has_users, is_lenient: self.is_lenient })
    }

    /// A server's side of a SCRAM exchange; step it with [`Broker::credential`].
    pub(super) fn scram_server(&self, mechanism: ScramMechanism) -> ScramServer {
        let nonce = secret::<18>().iter().fold(String::new(), |mut nonce, byte| {
            write!(nonce, "{byte:02x}").expect("a String takes it");
            nonce
        });
        ScramServer::new(mechanism, nonce, self.decoy)
    }

    /// What is kept of a user's password.
    pub(super) fn credential(&self, user: &str, mechanism: ScramMechanism) -> Option<ScramCredential> {
        self.image.read().credentials().of(user, mechanism).cloned()
    }

    /// The user of a PLAIN message, if the password is right. Takes milliseconds of this thread.
    pub(super) fn check_plain(&self, message: &[u8]) -> Result<Principal> {
        // Not under the lock: whoever guesses passwords must not keep others from being served.
        let users = self.image.read().credentials().known_by(message);
        users.check_plain(message).map(|user| Principal::user(&user))
    }

    /// The limit for a user's client, and what it is counted by.
    pub(super) fn quota(&self, user: &str, client_id: &str, key: QuotaKey) -> Option<(Bucket, f64)> {
        let image = self.image.read();
        if image.quotas().is_empty() { None } else { image.quotas().limit(user, client_id, key) }
    }

    /// How long rounds of syncs took.
    pub(super) fn sync_rounds(&self) -> &Histogram {
        self.logs.flusher.rounds()
    }

    /// Why nothing can be written, if that is so.
    pub(super) fn write_failure(&self) -> Option<Error> {
        self.check_open().err().or_else(|| self.logs.flusher.failed().cloned())
    }

    /// The connections a second that an address may open.
    pub(super) fn connection_quota(&self, ip: &str) -> Option<f64> {
        self.image.read().quotas().connection_rate(ip)
    }
}
