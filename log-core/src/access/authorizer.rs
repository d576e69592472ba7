//! Whether a request is allowed. The rules are those of Kafka's `StandardAuthorizer`, but for what holds before
//! anything was set up (see the module above).

use super::Acls;
use crate::types::{AclBinding, AclOperation, AclPermission, PatternType, ResourceType, WILDCARD};
use std::collections::BTreeSet;
use std::fmt;

/// Every user, in an entry.
const EVERYONE: &str = "User:*";

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Principal(String);

impl Principal {
    /// A user who has authenticated.
    pub(crate) fn user(name: &str) -> Self {
        Self(format!("User:{name}"))
    }

    /// A peer of a listener without authentication.
    pub(crate) fn anonymous() -> Self {
        Self::user("ANONYMOUS")
    }

    /// The user's name, which quotas go by.
    pub(crate) fn name(&self) -> &str {
        self.0.split_once(':').map_or(&self.0, |(_, name)| name)
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Principals that may do everything (Kafka's `super.users`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SuperUsers(BTreeSet<String>);

impl SuperUsers {
    /// From the value of `super.users`: `User:alice;User:bob`.
    pub(crate) fn parse(list: &str) -> Self {
        Self(list.split(';').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }

    fn has(&self, principal: &Principal) -> bool {
        self.0.contains(&principal.0)
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) principal: &'a Principal,
    /// The peer's address.
    pub(crate) host: &'a str,
    pub(crate) operation: AclOperation,
    pub(crate) resource_type: ResourceType,
    pub(crate) resource: &'a str,
}

/// Decides by what is known now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Authorizer<'a> {
    pub(crate) acls: &'a Acls,
    pub(crate) super_users: &'a SuperUsers,
    /// Whether any user has a credential.
    pub(crate) has_users: bool,
    /// Whether everyone may do everything to a resource that no entry is about (Kafka's
    /// `allow.everyone.if.no.acl.found`).
    pub(crate) is_lenient: bool,
}

impl Authorizer<'_> {
    /// Whether nobody has set up anything, so that everyone may do everything.
    pub(crate) fn is_open(&self) -> bool {
        !self.has_users && self.acls.is_empty()
    }

    /// Whether the request is allowed.
    pub(crate) fn allows(&self, request: &Request<'_>) -> bool {
        if self.is_open() || self.super_users.has(request.principal) {
            return true;
        }
        let (mut allowed, mut is_known) = (false, false);
        for entry in self.acls.covering(request.resource_type, request.resource) {
            is_known = true;
            if !speaks_of(entry, request.principal, request.host) {
                continue;
            }
            match entry.permission {
                AclPermission::Deny if covers(entry.operation, request.operation) => return false,
                AclPermission::Allow => allowed |= implies(entry.operation, request.operation),
                AclPermission::Deny => {}
            }
        }
        allowed || self.is_lenient && !is_known
    }

    /// Whether the operation is allowed on some resource of the kind: to learn whether it is worth to ask for one
    /// (Kafka's `authorizeByResourceType`, KIP-679).
    pub(crate) fn allows_any(
        &self,
        principal: &Principal,
        host: &str,
        operation: AclOperation,
        kind: ResourceType,
    ) -> bool {
        if self.is_open() || self.super_users.has(principal) {
            return true;
        }
        let about = || self.acls.of_type(kind).filter(|entry| speaks_of(entry, principal, host));
        let denied: Vec<_> =
            about().filter(|e| e.permission == AclPermission::Deny && covers(e.operation, operation)).collect();
        if self.is_lenient && denied.is_empty() {
            return true;
        }
        about()
            .filter(|e| e.permission == AclPermission::Allow && covers(e.operation, operation))
            .any(|allow| !denied.iter().any(|deny| takes_all_of(deny, allow)))
    }
}

/// Whether all that `allow` is for is refused by `deny`.
fn takes_all_of(deny: &AclBinding, allow: &AclBinding) -> bool {
    match (deny.pattern_type, allow.pattern_type) {
        (PatternType::Literal, _) if deny.resource_name == WILDCARD => true,
        (PatternType::Literal, PatternType::Literal) => deny.resource_name == allow.resource_name,
        (PatternType::Literal, PatternType::Prefixed) => false,
        (PatternType::Prefixed, PatternType::Literal) if allow.resource_name == WILDCARD => false,
        (PatternType::Prefixed, _) => allow.resource_name.starts_with(&deny.resource_name),
    }
}

fn speaks_of(entry: &AclBinding, principal: &Principal, host: &str) -> bool {
    (entry.principal == principal.0 || entry.principal == EVERYONE) && (entry.host == host || entry.host == WILDCARD)
}

/// Whether an entry for `entry` is one for `wanted` too.
fn covers(entry: AclOperation, wanted: AclOperation) -> bool {
    entry == AclOperation::All || entry == wanted
}

/// Whether who is allowed `entry` is allowed `wanted`: who may read, write, delete or alter may know of it.
fn implies(entry: AclOperation, wanted: AclOperation) -> bool {
    use AclOperation::{Alter, AlterConfigs, Delete, Describe, DescribeConfigs, Read, Write};
    covers(entry, wanted)
        || match wanted {
            Describe => matches!(entry, Read | Write | Delete | Alter),
            DescribeConfigs => entry == AlterConfigs,
            _ => false,
        }
}
