//! How bytes get to a broker: a stream to an address. Everything above works over any stream, so a test exchanges the
//! network, and TLS goes around the stream here.

use super::address::Address;
use futures::future::{BoxFuture, FutureExt as _};
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Bytes in both directions.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Opens streams.
pub(super) trait Network: Send + Sync + std::fmt::Debug {
    /// A stream to an address.
    fn open<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<Box<dyn Stream>>>;
}

/// Plain TCP.
#[derive(Debug)]
pub(super) struct Tcp;

impl Network for Tcp {
    fn open<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        async move {
            let stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        }
        .boxed()
    }
}
