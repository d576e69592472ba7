//! The headers before a request and before a response.
//!
//! ```text
//!   request    i16 api key │ i16 version │ i32 correlation id │ i16 n, client id (null: -1) │ tagged fields (v2)
//!   response   i32 correlation id │ tagged fields (v1)
//! ```
//! The tagged fields are there when the message is flexible. The client id is never compact, and the response to
//! ApiVersions never has tags: whoever asks for versions does not know yet which are spoken (KIP-511).

use super::api::ApiKey;
use super::reader::{self, Reader};
use super::text::Str;
use super::version::{Place, Version};
use super::writer::Writer;
use crate::types::{Error, Result};
use bytes::Bytes;

const PLAIN: Version = Version { number: 1, flexible: false };

/// What precedes a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestHeader {
    pub(crate) key: ApiKey,
    /// As asked for, spoken or not; see [`version`](Self::version).
    pub(crate) version_number: i16,
    pub(crate) correlation_id: i32,
    pub(crate) client_id: Option<Str>,
}

impl RequestHeader {
    /// Reads the header of a request. An API that is not in the table is an error; a version that is not spoken is
    /// none, because ApiVersions has to be answered.
    pub(crate) fn read(reader: &mut Reader) -> Result<Self> {
        Self::read_boxed(reader).map_err(|error| *error)
    }

    fn read_boxed(reader: &mut Reader) -> reader::Result<Self> {
        let number = i16::from_be_bytes(reader.array(&place("api_key"))?);
        let version_number = i16::from_be_bytes(reader.array(&place("api_version"))?);
        let correlation_id = i32::from_be_bytes(reader.array(&place("correlation_id"))?);
        let Some(key) = ApiKey::from_number(number) else {
            let why = format!("API {number} version {version_number} is not served here");
            return Err(Error::InvalidRequest { why }.into());
        };
        let client_id = reader.text(PLAIN, &place("client_id"))?;
        if key.is_flexible(version_number) {
            reader.tags("RequestHeader", &mut |_, _| Ok(false))?;
        }
        Ok(Self { key, version_number, correlation_id, client_id })
    }

    /// The version to read the request with; `None` if it is not spoken.
    pub(crate) fn version(&self) -> Option<Version> {
        self.key.version(self.version_number)
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.put(&self.key.number().to_be_bytes());
        writer.put(&self.version_number.to_be_bytes());
        writer.put(&self.correlation_id.to_be_bytes());
        writer.text(self.client_id.as_deref().map(str::as_bytes), PLAIN);
        if self.key.is_flexible(self.version_number) {
            writer.tags();
        }
    }
}

const fn place(field: &'static str) -> Place {
    Place::new("RequestHeader", field, 0, i16::MAX, 0)
}

const CORRELATION_ID: Place = Place::new("ResponseHeader", "correlation_id", 0, i16::MAX, 0);

/// Reads the header of a response, which is the id of the request that it answers.
pub(super) fn read_response_header(reader: &mut Reader, key: ApiKey, version: Version) -> reader::Result<i32> {
    let correlation_id = i32::from_be_bytes(reader.array(&CORRELATION_ID)?);
    if has_response_tags(key, version) {
        reader.tags("ResponseHeader", &mut |_, _| Ok(false))?;
    }
    Ok(correlation_id)
}

pub(super) fn write_response_header(writer: &mut Writer, key: ApiKey, version: Version, correlation_id: i32) {
    writer.put(&correlation_id.to_be_bytes());
    if has_response_tags(key, version) {
        writer.tags();
    }
}

fn has_response_tags(key: ApiKey, version: Version) -> bool {
    version.flexible && key != ApiKey::ApiVersions
}

/// The correlation id at the start of a response: which request it answers, and so how to read the rest.
pub(crate) fn correlation_id(frame: &Bytes) -> Result<i32> {
    let id = Reader::new(frame.clone()).array(&CORRELATION_ID).map_err(|error| *error)?;
    Ok(i32::from_be_bytes(id))
}
