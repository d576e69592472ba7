//! The typed handles: [`Stream`], [`KeyedStream`], [`WindowedStream`], [`Table`].
//!
//! Handles are plain values: clone them, store them, return them, use one several times. Their methods live with the
//! operators, one file each.

use crate::data::is_keyless;
use crate::topology::graph::{GraphRef, NodeId, Port};
use crate::{Data, Emit, Key, Tumbling};
use std::fmt;
use std::marker::PhantomData;

/// A stream of records with keys and values.
pub struct Stream<K, V> {
    pub(crate) graph: GraphRef,
    pub(crate) port: Port,
    /// Whether the key changed since the records were last partitioned by key.
    pub(crate) rekeyed: bool,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Stream<K, V> {
    pub(crate) fn new(graph: &GraphRef, node: NodeId, output: usize, rekeyed: bool) -> Self {
        Self { graph: graph.clone(), port: Port { node, output }, rekeyed, types: PhantomData }
    }
}

impl<K: Key, V: Data> Stream<K, V> {
    /// Groups records by their key, which must be the one they are partitioned by.
    pub fn group_by_key(&self) -> KeyedStream<K, V> {
        KeyedStream { stream: self.clone() }
    }

    pub(crate) fn with_changed_key(self) -> Self {
        Self { rekeyed: true, ..self }
    }

    /// Notes an error unless equal keys are in one partition.
    pub(crate) fn must_be_keyed(&self, operator: &str) {
        if self.rekeyed {
            self.graph.wrong(format!(
                "{operator} comes after a map that changed the key; put .key_by(\"name\", ..) in between"
            ));
        }
        if is_keyless::<K>() {
            self.graph
                .wrong(format!("{operator} needs keys and the stream has none; put .key_by(\"name\", ..) before it"));
        }
    }
}

/// A stream whose records are grouped by key: what can be counted, reduced, aggregated or windowed.
pub struct KeyedStream<K, V> {
    pub(crate) stream: Stream<K, V>,
}

impl<K: Key, V: Data> KeyedStream<K, V> {
    pub(crate) fn must_be_keyed(&self, operator: &str) {
        self.stream.must_be_keyed(operator);
    }
}

/// A stream whose records are grouped by key and window.
pub struct WindowedStream<K, V> {
    pub(crate) graph: GraphRef,
    /// The records in time; output 1 of the same node has the late ones.
    pub(crate) port: Port,
    pub(crate) windows: Tumbling,
    pub(crate) emit: Emit,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K: Key, V: Data> WindowedStream<K, V> {
    pub(crate) fn new(graph: &GraphRef, node: NodeId, windows: Tumbling, emit: Emit) -> Self {
        Self { graph: graph.clone(), port: Port { node, output: 0 }, windows, emit, types: PhantomData }
    }

    /// When results are sent on; [`Emit::OnClose`] unless said otherwise.
    pub fn emit(&self, emit: Emit) -> Self {
        Self { emit, ..self.clone() }
    }

    /// The records that came too late for their window. They are in no window.
    pub fn late(&self) -> Stream<K, V> {
        Stream::new(&self.graph, self.port.node, 1, false)
    }
}

/// A table: one row per key, changing over time.
pub struct Table<K, V> {
    pub(crate) graph: GraphRef,
    /// The changes, and by its node the store.
    pub(crate) port: Port,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Table<K, V> {
    pub(crate) fn new(graph: &GraphRef, node: NodeId) -> Self {
        Self { graph: graph.clone(), port: Port { node, output: 0 }, types: PhantomData }
    }
}

// By hand, because a derive would ask for `K: Clone, V: Clone`.
impl<K, V> Clone for Stream<K, V> {
    fn clone(&self) -> Self {
        Self { graph: self.graph.clone(), types: PhantomData, ..*self }
    }
}
impl<K, V> Clone for KeyedStream<K, V> {
    fn clone(&self) -> Self {
        Self { stream: self.stream.clone() }
    }
}
impl<K, V> Clone for WindowedStream<K, V> {
    fn clone(&self) -> Self {
        Self { graph: self.graph.clone(), types: PhantomData, ..*self }
    }
}
impl<K, V> Clone for Table<K, V> {
    fn clone(&self) -> Self {
        Self { graph: self.graph.clone(), types: PhantomData, ..*self }
    }
}

macro_rules! debug_as_node {
    ($($handle:ident: $port:expr),*) => {$(
        impl<K, V> fmt::Debug for $handle<K, V> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let port: fn(&Self) -> Port = $port;
                write!(f, "{}({})", stringify!($handle), port(self).node)
            }
        }
    )*};
}
debug_as_node!(Stream: |s| s.port, KeyedStream: |s| s.stream.port, WindowedStream: |s| s.port, Table: |s| s.port);
