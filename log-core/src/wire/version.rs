//! Which version of a message is spoken, and where in a message a field is.

/// The version of one message. Whether it is flexible (KIP-482: compact lengths, tagged fields) is a property of message
/// and version together, so both travel down to every field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) number: i16,
    pub(crate) flexible: bool,
}

impl Version {
    /// Version `number` of a message that is flexible from `flexible_from` on.
    pub(crate) const fn new(number: i16, flexible_from: i16) -> Self {
        Self { number, flexible: number >= flexible_from }
    }
}

/// A field of a message: its name, for errors, and the versions that have it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(super) message: &'static str,
    pub(super) field: &'static str,
    from: i16,
    to: i16,
    null_from: i16,
}

impl Place {
    /// The versions `[from, to]` have the field, and those from `null_from` on may say null if it is an `Option`.
    pub(super) const fn new(message: &'static str, field: &'static str, from: i16, to: i16, null_from: i16) -> Self {
        Self { message, field, from, to, null_from }
    }

    pub(super) const fn exists(&self, version: Version) -> bool {
        self.from <= version.number && version.number <= self.to
    }

    pub(super) const fn may_be_null(&self, version: Version) -> bool {
        self.null_from <= version.number
    }
}
