//! `tw --connect [USER@]HOST:PORT`: the log of a command is served elsewhere.
//!
//! A user's password comes from the environment (`TW_PASSWORD`): what stands on a command line, other users of the machine
//! can read.

use super::{Error, Result};
use tailwater::log::{Connector, Log};

/// Where the password is.
const PASSWORD: &str = "TW_PASSWORD";

/// Connects to what the user has named.
pub(super) async fn connect(to: &str) -> Result<Log> {
    Ok(connector(to, std::env::var(PASSWORD).ok())?.connect().await?)
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
