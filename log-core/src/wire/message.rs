//! [`Request`] and [`Response`]: any message of the table, read from a frame and written as one.

use super::api::{self, ApiKey, each_api};
use super::field::Message;
use super::header::{RequestHeader, read_response_header, write_response_header};
use super::reader::Reader;
use super::version::Version;
use super::writer::{Frame, Writer};
use crate::types::Result;
use bytes::Bytes;
use std::fmt::{self, Write};

/// Characters of a message that a trace shows.
const TRACE_CHARS_MAX: usize = 400;

macro_rules! messages {
    ($($key:literal $name:ident($module:ident::$request:ident, $response:ident) $versions:expr => $flexible:expr;)+) => {
        /// A request of any API.
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) enum Request {
            $( $name(api::$request), )+
        }

        /// A response of any API.
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) enum Response {
            $( $name(api::$response), )+
        }

        impl Request {
            pub(crate) const fn key(&self) -> ApiKey {
                match self {
                    $( Self::$name(_) => ApiKey::$name, )+
                }
            }

            /// Reads the rest of a frame, after its header. Bytes behind the message are left alone, as Kafka does:
            /// librdkafka leaves three of an array's length behind when it asks for all topics (Metadata from v9).
            pub(crate) fn read(key: ApiKey, version: Version, mut reader: Reader) -> Result<Self> {
                Ok(match key {
                    $( ApiKey::$name => Self::$name(Message::read(&mut reader, version)?), )+
                })
            }

            fn write(&self, writer: &mut Writer, version: Version) {
                match self {
                    $( Self::$name(request) => request.write(writer, version), )+
                }
            }

            fn content(&self) -> &dyn fmt::Debug {
                match self {
                    $( Self::$name(request) => request, )+
                }
            }
        }

        impl Response {
            pub(crate) const fn key(&self) -> ApiKey {
                match self {
                    $( Self::$name(_) => ApiKey::$name, )+
                }
            }

            /// Hands over every error code in it, 0 too.
            pub(crate) fn codes(&self, note: &mut dyn FnMut(i16)) {
                match self {
                    $( Self::$name(response) => response.codes(note), )+
                }
            }

            /// Says how long the peer is kept waiting, if it has a place for it.
            pub(crate) fn throttle(&mut self, millis: i32) {
                match self {
                    $( Self::$name(response) => response.throttle(millis), )+
                }
            }

            pub(crate) fn read_body(key: ApiKey, version: Version, reader: &mut Reader) -> Result<Self> {
                Ok(match key {
                    $( ApiKey::$name => Self::$name(Message::read(reader, version)?), )+
                })
            }

            fn write(&self, writer: &mut Writer, version: Version) {
                match self {
                    $( Self::$name(response) => response.write(writer, version), )+
                }
            }

            fn content(&self) -> &dyn fmt::Debug {
                match self {
                    $( Self::$name(response) => response, )+
                }
            }
        }
    };
}
each_api!(messages);

impl Request {
    /// The frame that sends this as `version`.
    pub(crate) fn to_frame(&self, version: Version, correlation_id: i32, client_id: Option<&str>) -> Result<Frame> {
        let client_id = client_id.map(Into::into);
        let header = RequestHeader { key: self.key(), version_number: version.number, correlation_id, client_id };
        let mut writer = Writer::new();
        header.write(&mut writer);
        self.write(&mut writer, version);
        writer.finish()
    }
}

impl Response {
    /// The frame that answers the request `correlation_id`, which came as `version`.
    pub(crate) fn to_frame(&self, version: Version, correlation_id: i32) -> Result<Frame> {
        let mut writer = Writer::new();
        write_response_header(&mut writer, self.key(), version, correlation_id);
        self.write(&mut writer, version);
        writer.finish()
    }

    /// Reads the answer to a request that was sent as `version`, and the id of that request.
    pub(crate) fn read(key: ApiKey, version: Version, frame: Bytes) -> Result<(i32, Self)> {
        let mut reader = Reader::new(frame);
        let correlation_id = read_response_header(&mut reader, key, version).map_err(|error| *error)?;
        let response = Self::read_body(key, version, &mut reader)?;
        reader.finish()?;
        Ok((correlation_id, response))
    }
}

/// For traces: the beginning of the content, and nothing of what holds a secret.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        trace(self.key(), self.content(), f)
    }
}

/// For traces: the beginning of the content, and nothing of what holds a secret.
impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        trace(self.key(), self.content(), f)
    }
}

fn trace(key: ApiKey, content: &dyn fmt::Debug, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let secret = matches!(
        key,
        ApiKey::SaslAuthenticate
            | ApiKey::AlterUserScramCredentials
            | ApiKey::CreateDelegationToken
            | ApiKey::RenewDelegationToken
            | ApiKey::ExpireDelegationToken
            | ApiKey::DescribeDelegationToken
            | ApiKey::AlterConfigs
            | ApiKey::IncrementalAlterConfigs
    );
    if secret {
        return write!(f, "{key} (not shown)");
    }
    let mut beginning = Beginning { text: String::new(), room: TRACE_CHARS_MAX };
    // An error says that there was no more room.
    let whole = write!(beginning, "{content:?}").is_ok();
    f.write_str(&beginning.text)?;
    if whole { Ok(()) } else { f.write_str("…") }
}

/// Takes so many characters and then refuses more, which ends the formatting of what would be long.
struct Beginning {
    text: String,
    room: usize,
}

impl Write for Beginning {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            self.room = self.room.checked_sub(1).ok_or(fmt::Error)?;
            self.text.push(c);
        }
        Ok(())
    }
}
