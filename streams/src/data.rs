//! What may flow through a topology, in two blanket traits that keep bounds short.

use std::any::TypeId;
use tailwater_log::Codec;

/// Anything that can be sent to a task and copied to several operators. Implemented for every such type.
pub trait Data: Clone + Send + 'static {}
impl<T: Clone + Send + 'static> Data for T {}

/// A key: it is written to topics, and it is ordered, so that tables are walked in the same order on every run.
/// Implemented for every such type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a key",
    note = "a key is `Clone + Ord + Send + 'static` and has a codec: derive `PartialEq, Eq, PartialOrd, Ord, Record`"
)]
pub trait Key: Data + Ord + Codec {}
impl<T: Data + Ord + Codec> Key for T {}

/// A value that is written to a topic or kept in a store. Implemented for every such type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be written to a topic or kept in a store",
    note = "derive a codec: #[derive(Clone, Record, Serialize, Deserialize)], or wrap it in `Json<{Self}>`"
)]
pub trait Value: Data + Codec {}
impl<T: Data + Codec> Value for T {}

/// Whether `K` is `()`: records without a key.
pub(crate) fn is_keyless<K: 'static>() -> bool {
    TypeId::of::<K>() == TypeId::of::<()>()
}

/// One record between two operators.
#[derive(Clone, Debug)]
pub(crate) struct Rec<K, V> {
    pub(crate) key: K,
    pub(crate) value: V,
    /// When what it tells happened.
    pub(crate) time: tailwater_log::Timestamp,
    /// The timestamp of its source record in the log: inputs are merged by it, also behind a re-key.
    pub(crate) logged: tailwater_log::Timestamp,
    /// The watermark of its source partition when it was read; decides whether it is late.
    pub(crate) stamp: tailwater_log::Timestamp,
    pub(crate) origin: Origin,
}

impl<K, V> Rec<K, V> {
    /// The same moment and origin with another key and value.
    pub(crate) fn with<K2, V2>(&self, key: K2, value: V2) -> Rec<K2, V2> {
        Rec { key, value, time: self.time, logged: self.logged, stamp: self.stamp, origin: self.origin }
    }

    /// The same moment with another key and value that came out of state.
    pub(crate) fn stateful<K2, V2>(&self, key: K2, value: V2) -> Rec<K2, V2> {
        Rec { origin: Origin::NONE, ..self.with(key, value) }
    }
}

/// The source record that stateless code made a record from; none for what came out of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// A hash of the source topic partition; see `task::hop`.
    pub(crate) source: u64,
    /// -1 when there is no origin.
    pub(crate) offset: tailwater_log::Offset,
}

impl Origin {
    pub(crate) const NONE: Self = Self { source: 0, offset: -1 };

    pub(crate) const fn is_none(self) -> bool {
        self.offset < 0
    }
}
