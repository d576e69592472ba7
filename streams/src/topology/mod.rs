//! What a job is: a graph of operators, cut into sub-topologies at the topics.
//!
//! The user's function gets a [`Topology`] and calls methods on typed handles; each call adds a node to the graph.
//! [`plan::Plan`] then validates the graph and cuts it into *sub-topologies*: the parts that hang together without
//! going through a topic. A task is one sub-topology on one partition of its inputs.
//!
//! Everything durable has a name that the user chose: stores (`count("counts")`) and re-keys (`key_by("by-word", ..)`).
//! Names, not positions, tie a running job to its topics, so operators can be added and moved freely.

pub(crate) mod describe;
pub(crate) mod graph;
pub(crate) mod plan;
#[cfg(test)]
mod tests;

use crate::{Key, Stream, Table, Topic, Value};
use graph::GraphRef;

/// The job under construction. See the crate's front page.
#[derive(Clone, Default)]
pub struct Topology {
    pub(crate) graph: GraphRef,
}

impl Topology {
    /// The records of a topic, in the order of each partition.
    pub fn stream<K: Key, V: Value>(&self, topic: Topic<K, V>) -> Stream<K, V> {
        crate::source::stream(&self.graph, topic)
    }

    /// A topic as a table: the last value of each key; a record without a value removes its key. `name` is the table's
    /// durable name. The table is rebuilt from its topic, so it has no changelog.
    pub fn table<K: Key, V: Value>(&self, topic: Topic<K, V>, name: &str) -> Table<K, V> {
        crate::source::table(&self.graph, topic, name)
    }

    /// How the topology is understood, as text: its sub-topologies with their sources, operators, stores and sinks.
    /// Names of repartition topics lack the app's id, which the topology does not know.
    pub fn describe(build: impl Fn(&Topology)) -> crate::Result<String> {
        Ok(plan::Plan::of("<app>", build)?.to_string())
    }
}

impl std::fmt::Debug for Topology {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Topology")
    }
}
