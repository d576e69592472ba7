//! What a client may use of a broker: the vocabulary of client quotas, with Kafka's names (KIP-13, KIP-546, KIP-612).

use super::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Whom a part of a [`QuotaEntity`] means.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum QuotaName {
    /// Everyone who has no quota of their own.
    Default,
    /// This one.
    Exactly(String),
}

impl fmt::Display for QuotaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("<default>"),
            Self::Exactly(name) => f.write_str(name),
        }
    }
}

/// Whom a quota is for: a user, a client id, both together, or an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QuotaEntity {
    /// The user (Kafka's `user`).
    pub user: Option<QuotaName>,
    /// The client id (Kafka's `client-id`).
    pub client_id: Option<QuotaName>,
    /// The address (Kafka's `ip`); alone.
    pub ip: Option<QuotaName>,
}

impl QuotaEntity {
    /// Checks that it means someone.
    pub fn validate(&self) -> Result<()> {
        let invalid = |why: &str| Err(Error::InvalidRequest { why: why.into() });
        match (&self.ip, self.user.is_some() || self.client_id.is_some()) {
            (None, false) => invalid("a quota is for a user, a client id or an address"),
            (Some(_), true) => invalid("a quota for an address is for nobody else"),
            (Some(QuotaName::Exactly(ip)), false) if ip.parse::<std::net::IpAddr>().is_err() => {
                invalid("a quota's `ip` is an address, such as 10.0.0.7")
            }
            _ => Ok(()),
        }
    }

    /// Its parts under Kafka's names.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &QuotaName)> {
        let parts = [("user", &self.user), ("client-id", &self.client_id), ("ip", &self.ip)];
        parts.into_iter().filter_map(|(kind, name)| name.as_ref().map(|name| (kind, name)))
    }
}

impl fmt::Display for QuotaEntity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (kind, name)) in self.parts().enumerate() {
            write!(f, "{}{kind}={name}", if index > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum QuotaKey {
    /// Bytes a second that are produced.
    ProducerByteRate,
    /// Bytes a second that are fetched.
    ConsumerByteRate,
    /// Percent of one thread's time that requests take.
    RequestPercentage,
    /// Partitions a second that are created or deleted (KIP-599).
    ControllerMutationRate,
    /// Connections a second that an address opens (KIP-612).
    ConnectionCreationRate,
}

impl QuotaKey {
    /// Every key.
    pub const ALL: [Self; 5] = [
        Self::ProducerByteRate,
        Self::ConsumerByteRate,
        Self::RequestPercentage,
        Self::ControllerMutationRate,
        Self::ConnectionCreationRate,
    ];

    /// Kafka's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProducerByteRate => "producer_byte_rate",
            Self::ConsumerByteRate => "consumer_byte_rate",
            Self::RequestPercentage => "request_percentage",
            Self::ControllerMutationRate => "controller_mutation_rate",
            Self::ConnectionCreationRate => "connection_creation_rate",
        }
    }

    /// The key of Kafka's name for it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.name() == name)
    }

    /// Checks that `entity` can have `value` for this key.
    pub fn validate(self, entity: &QuotaEntity, value: f64) -> Result<()> {
        let invalid = |why: String| Err(Error::InvalidRequest { why });
        let name = self.name();
        if (self == Self::ConnectionCreationRate) != entity.ip.is_some() {
            return invalid(format!("`{name}` is not a quota of {entity}"));
        }
        if !value.is_finite() || value <= 0.0 {
            return invalid(format!("`{name}` is a number above 0, not {value}"));
        }
        let may_be_part = self == Self::RequestPercentage || self == Self::ControllerMutationRate;
        if !may_be_part && value.fract() != 0.0 {
            return invalid(format!("`{name}` is a whole number, not {value}"));
        }
        Ok(())
    }
}

/// Chooses entities by one of their parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuotaMatch {
    /// Those that name this one.
    Exactly(String),
    /// Those that are for the default.
    Default,
    /// Those that say anything of it.
    Any,
}

impl QuotaMatch {
    /// Whether it chooses a part.
    pub fn matches(&self, part: Option<&QuotaName>) -> bool {
        match (self, part) {
            (_, None) => false,
            (Self::Any, Some(_)) | (Self::Default, Some(QuotaName::Default)) => true,
            (Self::Exactly(wanted), Some(QuotaName::Exactly(name))) => wanted == name,
            _ => false,
        }
    }
}
