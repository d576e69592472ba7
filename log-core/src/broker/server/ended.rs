//! Why a connection has ended.

use crate::types::Error;
use crate::wire::ApiKey;
use std::fmt;
use std::io;

/// Why a connection has ended, for the log. The peer learns no more than that it is closed.
#[derive(Debug)]
pub(super) enum Ended {
    /// The peer has closed it.
    ByPeer,
    /// The server shuts down.
    Stopped,
    /// Nothing came for too long.
    Silent,
    /// Nothing had come, and somebody else has got its place.
    Replaced,
    /// A request began and did not go on.
    Stalled,
    /// The peer does not take its responses.
    NotRead,
    /// A request is longer than allowed; `head` are the bytes where its length should be.
    FrameTooLarge { head: [u8; 4], max: usize },
    /// A request that is not understood, or not served.
    NotUnderstood(Error),
    /// A request that wants no response has failed, and this is how its sender learns of it.
    Unanswered(Error),
    /// The peer is not who it says it is.
    NotAuthenticated(Error),
    /// A request that came before its sender has said who it is, or after what it said had run out.
    AskedTooSoon(ApiKey),
    /// TLS could not begin.
    #[cfg(feature = "tls")]
    NotEncrypted(io::Error),
    /// The operating system's word.
    Failed(io::Error),
}

impl Ended {
    /// What reading a known number of bytes ran into.
    pub(super) fn of_read(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::ByPeer,
            _ => Self::Failed(error),
        }
    }

    /// Whether it is nothing to worry about.
    pub(super) fn is_usual(&self) -> bool {
        let usual = [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionAborted];
        match self {
            Self::ByPeer | Self::Stopped | Self::Silent | Self::Replaced => true,
            Self::Failed(error) => usual.contains(&error.kind()),
            _ => false,
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByPeer => f.write_str("the peer has closed it"),
            Self::Stopped => f.write_str("the server shuts down"),
            Self::Silent => f.write_str("nothing came for too long"),
            Self::Replaced => f.write_str("nothing had come, and there were too many connections"),
            Self::Stalled => f.write_str("a request was begun and did not go on"),
            Self::NotRead => f.write_str("the peer does not take its responses"),
            Self::FrameTooLarge { head: [0x16, 0x03, ..], .. } => {
                f.write_str("the peer speaks TLS and this listener does not")
            }
            Self::FrameTooLarge { head, max } => match head {
                b"GET " | b"POST" | b"HEAD" | b"PUT " => {
                    f.write_str("the peer speaks HTTP and this is a Kafka listener")
                }
                _ => write!(f, "a request of {} bytes came and the limit is {max}", i32::from_be_bytes(*head)),
            },
            Self::NotUnderstood(error) => write!(f, "a request was not understood: {error}"),
            Self::Unanswered(error) => write!(f, "a request without a response has failed: {error}"),
            Self::NotAuthenticated(error) => error.fmt(f),
            Self::AskedTooSoon(key) => write!(f, "{key} was asked without a session"),
            #[cfg(feature = "tls")]
            Self::NotEncrypted(error) => write!(f, "TLS could not begin: {error}"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}
