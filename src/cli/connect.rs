//! `tw --connect [TLS://][USER@]HOST:PORT`: the log of a command is served elsewhere.
//!
//! A user's password comes from the environment (`TW_PASSWORD`): what stands on a command line, other users of the machine
//! can read. So does the file with the authorities of brokers' certificates (`TW_TLS_CA`), which rarely changes.

use super::{Error, Result};
use tailwater::log::{Connector, Log};

/// Where the password is, and the name of the file with authorities.
const PASSWORD: &str = "TW_PASSWORD";
#[cfg(feature = "server")]
const AUTHORITIES: &str = "TW_TLS_CA";
/// What precedes an address that is spoken to by TLS.
const TLS: &str = "TLS://";

/// Connects to what the user has named.
pub(super) async fn connect(to: &str) -> Result<Log> {
    let (is_encrypted, to) = match to.get(..TLS.len()) {
        Some(scheme) if scheme.eq_ignore_ascii_case(TLS) => (true, &to[TLS.len()..]),
        _ => (false, to),
    };
    let mut connector = connector(to, std::env::var(PASSWORD).ok())?;
    if is_encrypted {
        connector = encrypted(connector)?;
    }
    Ok(connector.connect().await?)
}

#[cfg(feature = "server")]
fn encrypted(connector: Connector) -> Result<Connector> {
    let not_read = |why: String| Error::Input { input: "the authorities of brokers".into(), why };
    let path = std::env::var(AUTHORITIES)
        .map_err(|_| not_read(format!("the environment variable {AUTHORITIES} names no file in PEM")))?;
    let authorities = std::fs::read(&path).map_err(|error| not_read(format!("{path}: {error}")))?;
    Ok(connector.tls(authorities))
}

#[cfg(not(feature = "server"))]
fn encrypted(_: Connector) -> Result<Connector> {
    Err(tailwater::log::Error::Unsupported { what: "TLS, which this build leaves out," }.into())
}

fn connector(to: &str, password: Option<String>) -> Result<Connector> {
    let Some((user, brokers)) = to.rsplit_once('@') else { return Ok(Log::connector(to)) };
    let password = password.ok_or_else(|| Error::Input {
        input: format!("the password of `{user}`"),
        why: format!("the environment variable {PASSWORD} is not set"),
    })?;
    Ok(Log::connector(brokers).user(user, password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_needs_a_password() {
        let shown = |to: &str, password: Option<&str>| {
            connector(to, password.map(str::to_owned)).map(|connector| format!("{connector:?}"))
        };
        assert!(shown("a:1,b:1", None).unwrap().contains("login: None"));
        let with = shown("alice@a:1", Some("wonder")).unwrap();
        assert!(with.contains("alice") && with.contains("a:1") && !with.contains("wonder"), "{with}");
        assert!(shown("alice@a:1", None).unwrap_err().to_string().contains(PASSWORD));
    }
}
