//! TLS in a build without it: a listener that wants it does not start.

use super::config::TlsConfig;
use super::ended::Ended;
use crate::access::Principal;
use crate::env::Clock;
use crate::types::{Error, Result};
use tokio::net::TcpStream;

/// There is none.
#[derive(Clone, Debug)]
pub(super) enum Acceptor {}

impl Acceptor {
    pub(super) fn new(_: &TlsConfig, _: &Clock) -> Result<Self> {
        Err(Error::Unsupported { what: "TLS, which this build leaves out," })
    }

    pub(super) async fn accept(&self, _: TcpStream) -> Result<(TcpStream, Option<Principal>), Ended> {
        match *self {}
    }
}
