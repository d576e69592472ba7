//! What there is besides records: topics, settings, users, permissions, quotas, producer ids, features.
//!
//! ```text
//!   request ──▶ decide on the image ──▶ records ──▶ MetadataQuorum::propose ──▶ MetadataImage::apply
//!                      (under one lock)               decided, durable              what holds now
//!   open    ──▶ MetadataQuorum::replay ─────────────────────────────────────────▶ the same image
//! ```
//! Every change is proposed first and applied when it is decided; the image is a function of the records, so that each
//! node of a cluster will come to the same one.
//!
//! Invariants.
//! - The records of one change are one batch: all of them are there after a crash, or none.
//! - A record holds all that is to be known under its key, not a difference: the last one of each key is enough.
//! - The variants of records are never changed, only added to, so that old directories open. What versions before had
//!   written (`TopicCreated`) is read.
//!
//! When most of what was replayed is out of date, the image is written once more as a whole, behind a record that says
//! to forget what was before (`Cleared`), and the log begins there. This happens at open only: while a broker runs its
//! metadata grows by what is administered, which is little.

mod features;
mod image;
mod quorum;
mod records;
#[cfg(test)]
mod tests;

pub(super) use features::FEATURES;
pub(super) use image::MetadataImage;
pub(crate) use quorum::topics_in;
pub(super) use quorum::{LocalQuorum, MetadataQuorum, keyed_record, one_record, replay, replay_records};
pub(super) use records::MetadataRecord;
