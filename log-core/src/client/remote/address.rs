//! Where brokers listen: a host and a port, as users write them and as metadata tells them.
//!
//! What is told by a peer is checked like what a user writes: a port has 16 bits and a host is not empty.

use crate::types::{Error, Result};
use std::fmt;

/// The port of a broker whose address names none.
const PORT_DEFAULT: u16 = 9092;

/// A host, by name or number, and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Address {
    /// As a broker tells it; `None` if that is no address.
    pub(super) fn told(host: &str, port: i32) -> Option<Self> {
        let port = u16::try_from(port).ok().filter(|port| *port > 0)?;
        (!host.is_empty()).then(|| Self { host: host.to_owned(), port })
    }

    /// Reads `host`, `host:port`, `[v6]:port`, or several of them with commas between.
    pub(super) fn parse_all(text: &str) -> Result<Vec<Self>> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let addresses = parts.map(Self::parse).collect::<Result<Vec<_>>>()?;
        match addresses.is_empty() {
            true => Err(invalid(text)),
            false => Ok(addresses),
        }
    }

    fn parse(text: &str) -> Result<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or_else(|| invalid(text))?;
                (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or_else(|| invalid(text))?) })
            }
            // More than one colon is an address of IPv6 without a port.
            None if text.matches(':').count() > 1 => (text, None),
            None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map_or(Ok(PORT_DEFAULT), |port| port.parse().map_err(|_| invalid(text)))?;
        Self::told(host, i32::from(port)).filter(|a| !a.host.contains(char::is_whitespace)).ok_or_else(|| invalid(text))
    }
}

fn invalid(text: &str) -> Error {
    let shown: String = text.chars().take(64).collect();
    Error::InvalidRequest {
        why: format!("`{shown}` is not an address; it is HOST:PORT, or several with commas between"),
    }
}

/// As it is parsed.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_users_write_them() {
        let read = |text: &str| {
            Address::parse_all(text).map(|all| all.iter().map(Address::to_string).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(read("localhost").unwrap(), "localhost:9092");
        assert_eq!(read("a:1, b:2,").unwrap(), "a:1 b:2");
        assert_eq!(read("[::1]:7,::1,[fe80::1]").unwrap(), "[::1]:7 [::1]:9092 [fe80::1]:9092");
        for bad in ["", " , ", "a:0", "a:70000", "a:b", ":9092", "[::1", "[::1]9", "a b:1"] {
            assert!(matches!(read(bad), Err(Error::InvalidRequest { .. })), "{bad:?}");
        }
    }

    #[test]
    fn what_a_broker_tells_is_checked() {
        assert!(Address::told("a", 1).is_some());
        assert!(Address::told("", 1).is_none());
        for port in [0, -1, 65_536] {
            assert!(Address::told("a", port).is_none());
        }
    }
}
