//! Who may do what to which resource: the vocabulary of access control, with Kafka's names and codes.
//!
//! The rules by which a request is decided are in `access`; here are only the words, since requests, records of the
//! metadata log and the rules all speak them. The codes are Kafka's (`AclOperation`, `ResourceType`, `PatternType`,
//! `AclPermissionType`); `ANY` and `UNKNOWN` have no value here: a filter says `None`, and an unknown code is refused
//! where it is read.
//!
//! Invariant: the variants are stored by their position, so new ones come last.

use super::{Error, Result, limits};
use serde::{Deserialize, Serialize};
use std::fmt;

/// An enum with Kafka's code and name for each variant.
macro_rules! coded {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $code:literal $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Every variant, in the order of Kafka's codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Kafka's code.
            pub const fn code(self) -> i8 {
                match self { $(Self::$variant => $code),+ }
            }

            /// The variant of Kafka's code.
            pub fn from_code(code: i8) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.code() == code)
            }

            /// The variant of Kafka's name, in any case: `Describe`, `describe_configs`, `DescribeConfigs`.
            pub fn from_name(name: &str) -> Option<Self> {
                let plain = |text: &str| text.replace(['_', '-'], "").to_ascii_lowercase();
                Self::ALL.iter().copied().find(|one| plain(&one.to_string()) == plain(name))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $text),+ })
            }
        }
    };
}

coded! {
    /// A kind of thing that is protected.
    ResourceType {
        /// A topic, by name.
        Topic = 2 "Topic",
        /// A group, by its id.
        Group = 3 "Group",
        /// The cluster; its only name is [`CLUSTER_NAME`].
        Cluster = 4 "Cluster",
        /// A transactional id.
        TransactionalId = 5 "TransactionalId",
        /// A delegation token, by its id.
        DelegationToken = 6 "DelegationToken",
        /// A principal, as `User:alice`: for delegation tokens.
        User = 7 "User",
    }
}

coded! {
    /// How the name of an entry is compared with that of a resource.
    PatternType {
        /// The same name; `*` is every name.
        Literal = 3 "Literal",
        /// A name that begins so (KIP-290).
        Prefixed = 4 "Prefixed",
    }
}

coded! {
    /// What is done to a resource.
    AclOperation {
        /// Every operation.
        All = 2 "All",
        /// Reading records, joining a group.
        Read = 3 "Read",
        /// Writing records.
        Write = 4 "Write",
        /// Making it.
        Create = 5 "Create",
        /// Deleting it, or records of it.
        Delete = 6 "Delete",
        /// Changing it.
        Alter = 7 "Alter",
        /// Learning that it exists and how it is.
        Describe = 8 "Describe",
        /// What brokers do to each other.
        ClusterAction = 9 "ClusterAction",
        /// Learning its settings.
        DescribeConfigs = 10 "DescribeConfigs",
        /// Changing its settings.
        AlterConfigs = 11 "AlterConfigs",
        /// Writing with a producer id; who may write to any topic may this too.
        IdempotentWrite = 12 "IdempotentWrite",
        /// Making delegation tokens for another.
        CreateTokens = 13 "CreateTokens",
        /// Describing the delegation tokens of another.
        DescribeTokens = 14 "DescribeTokens",
        /// Transactions that are prepared by an outside coordinator (KIP-939).
        TwoPhaseCommit = 15 "TwoPhaseCommit",
    }
}

coded! {
    /// What an entry says of whom it matches.
    AclPermission {
        /// Refused, whatever else is allowed.
        Deny = 2 "Deny",
        /// Allowed, unless it is refused.
        Allow = 3 "Allow",
    }
}

/// The name of the one cluster resource.
pub const CLUSTER_NAME: &str = "kafka-cluster";
/// Stands for every name, every host, every user.
pub const WILDCARD: &str = "*";

/// One entry of access control: a permission for someone on some resources.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AclBinding {
    /// The kind of resource.
    pub resource_type: ResourceType,
    /// How `resource_name` is compared.
    pub pattern_type: PatternType,
    /// A name, a prefix, or `*`.
    pub resource_name: String,
    /// Whom it is for: `User:alice`, or `User:*`.
    pub principal: String,
    /// From where: an address, or `*`.
    pub host: String,
    /// What.
    pub operation: AclOperation,
    /// Allowed or refused.
    pub permission: AclPermission,
}

impl AclBinding {
    /// Checks that an entry makes sense, as Kafka does when one is created.
    pub fn validate(&self) -> Result<()> {
        let invalid = |why: String| Err(Error::InvalidRequest { why });
        let texts = [&self.resource_name, &self.principal, &self.host];
        if let Some(long) = texts.iter().find(|text| text.len() > limits::ACL_TEXT_BYTES_MAX) {
            let max = limits::ACL_TEXT_BYTES_MAX;
            return invalid(format!(
                "a name in an access control entry has {} bytes and the limit is {max}",
                long.len()
            ));
        }
        if self.resource_name.is_empty() {
            return invalid("an access control entry names a resource; `*` is every one".into());
        }
        if self.host.is_empty() {
            return invalid("an access control entry names a host; `*` is every one".into());
        }
        if self.resource_type == ResourceType::Cluster
            && (self.resource_name != CLUSTER_NAME || self.pattern_type != PatternType::Literal)
        {
            return invalid(format!("the cluster's only name is the literal `{CLUSTER_NAME}`"));
        }
        match self.principal.split_once(':') {
            Some((kind, name)) if !kind.is_empty() && !name.is_empty() => Ok(()),
            _ => invalid(format!("`{}` is not a principal; write it as `User:alice`", self.principal)),
        }
    }
}

impl fmt::Display for AclBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resource_type, pattern_type, resource_name, principal, host, operation, permission } = self;
        write!(f, "{permission} {principal} from {host} to {operation} {resource_type} {resource_name}")?;
        f.write_str(if *pattern_type == PatternType::Prefixed { "…" } else { "" })
    }
}

/// Which patterns a filter means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PatternFilter {
    /// Patterns of every type, with exactly the name.
    #[default]
    Any,
    /// Every pattern that covers the name: the literal one, `*`, and prefixes of it.
    Match,
    /// Patterns of this type, with exactly the name.
    Exactly(PatternType),
}

/// Chooses entries; `None` leaves a field open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AclFilter {
    /// The kind of resource.
    pub resource_type: Option<ResourceType>,
    /// How `resource_name` is meant.
    pub pattern_type: PatternFilter,
    /// The resource.
    pub resource_name: Option<String>,
    /// Whom the entry is for.
    pub principal: Option<String>,
    /// From where.
    pub host: Option<String>,
    /// What.
    pub operation: Option<AclOperation>,
    /// Allowed or refused.
    pub permission: Option<AclPermission>,
}

impl AclFilter {
    /// Whether it chooses this entry.
    pub fn matches(&self, entry: &AclBinding) -> bool {
        let is = |wanted: &Option<String>, found: &String| wanted.as_ref().is_none_or(|wanted| wanted == found);
        let named = match (&self.resource_name, self.pattern_type) {
            (None, PatternFilter::Any | PatternFilter::Match) => true,
            (None, PatternFilter::Exactly(pattern)) => entry.pattern_type == pattern,
            (Some(name), PatternFilter::Any) => *name == entry.resource_name,
            (Some(name), PatternFilter::Exactly(pattern)) => {
                entry.pattern_type == pattern && *name == entry.resource_name
            }
            (Some(name), PatternFilter::Match) => match entry.pattern_type {
                PatternType::Literal => entry.resource_name == *name || entry.resource_name == WILDCARD,
                PatternType::Prefixed => name.starts_with(&entry.resource_name),
            },
        };
        named
            && self.resource_type.is_none_or(|kind| kind == entry.resource_type)
            && is(&self.principal, &entry.principal)
            && is(&self.host, &entry.host)
            && self.operation.is_none_or(|operation| operation == entry.operation)
            && self.permission.is_none_or(|permission| permission == entry.permission)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> AclBinding {
        AclBinding {
            resource_type: ResourceType::Topic,
            pattern_type: PatternType::Prefixed,
            resource_name: "flights.".into(),
            principal: "User:alice".into(),
            host: WILDCARD.into(),
            operation: AclOperation::Read,
            permission: AclPermission::Allow,
        }
    }

    #[test]
    fn codes_and_names_go_both_ways() {
        for operation in AclOperation::ALL {
            assert_eq!(AclOperation::from_code(operation.code()), Some(*operation));
            assert_eq!(AclOperation::from_name(&operation.to_string().to_uppercase()), Some(*operation));
        }
        assert_eq!(AclOperation::from_code(1), None, "ANY is for filters");
        assert_eq!(AclOperation::from_name("idempotent_write"), Some(AclOperation::IdempotentWrite));
        assert_eq!(ResourceType::TransactionalId.code(), 5);
    }

    #[test]
    fn entries_are_checked() {
        assert!(entry().validate().is_ok());
        let with = |change: &dyn Fn(&mut AclBinding)| {
            let mut changed = entry();
            change(&mut changed);
            changed.validate()
        };
        assert!(with(&|e| e.principal = "alice".into()).is_err());
        assert!(with(&|e| e.principal = "User:".into()).is_err());
        assert!(with(&|e| e.resource_name.clear()).is_err());
        assert!(with(&|e| e.host.clear()).is_err());
        assert!(with(&|e| e.resource_name = "x".repeat(5000)).is_err());
        assert!(with(&|e| e.resource_type = ResourceType::Cluster).is_err());
    }

    #[test]
    fn a_filter_that_matches_finds_every_pattern_that_covers_a_name() {
        let find = |pattern_type, name: &str| {
            AclFilter { pattern_type, resource_name: Some(name.into()), ..AclFilter::default() }.matches(&entry())
        };
        assert!(AclFilter::default().matches(&entry()));
        assert!(find(PatternFilter::Match, "flights.v1"));
        assert!(!find(PatternFilter::Match, "flight"));
        assert!(find(PatternFilter::Any, "flights."));
        assert!(!find(PatternFilter::Any, "flights.v1"));
        assert!(find(PatternFilter::Exactly(PatternType::Prefixed), "flights."));
        assert!(!find(PatternFilter::Exactly(PatternType::Literal), "flights."));
    }
}
