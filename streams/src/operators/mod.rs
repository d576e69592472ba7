//! The operators: one file each, with its method on the typed handle and the code that runs.
//!
//! A task runs its operators in topological order, each once per batch: [`Operator::run`] takes what lies on its input
//! edges, works through it with the user's closure (static calls inside), and puts the results on its output edges.
//! So there is one dynamic call and one downcast per operator and batch, and none per record.
//!
//! A batch is a run of records of one input partition. Within it records keep the order of their origins: what takes
//! two edges (merge) interleaves them by origin offset, so results do not depend on where batches end.

mod aggregate;
mod branch;
mod changes;
mod edges;
mod filter;
mod flat_map;
mod inspect;
mod join_table;
mod map;
mod merge;
mod rekey;
mod sink;
mod table;
#[cfg(test)]
mod tests;
mod unary;
mod window;
mod window_aggregate;

pub(crate) use edges::{Edge, Edges, Out};
pub(crate) use table::table_node;

use crate::Result;
use crate::state::{StoreRef, Stores};
use crate::task::source::Ingest;
use crate::topology::graph::{NodeId, Port};
use crate::topology::plan::{Plan, SubTopology};
use std::collections::BTreeMap;
use tailwater_log::{PartitionIndex, Record, Timestamp};

/// An operator in a task.
pub(crate) trait Operator: Send {
    /// Works through what lies on the input edges.
    fn run(&mut self, edges: &mut Edges, cx: &mut Cx) -> Result<()>;
    /// The watermark at this operator moved to `watermark`.
    fn advance(&mut self, _watermark: Timestamp, _edges: &mut Edges, _cx: &mut Cx) -> Result<()> {
        Ok(())
    }
}

/// What operators share within a task.
#[derive(Default)]
pub(crate) struct Cx {
    pub(crate) stores: Stores,
    /// Records on their way out, in order.
    pub(crate) outbox: Vec<Outgoing>,
    pub(crate) counters: Counters,
    /// The watermark at the operator that runs now: the task's, less the holds of the windows above it.
    pub(crate) watermark: Timestamp,
    /// Whether tables are being read back; then they send nothing on.
    pub(crate) rebuilding: bool,
}

/// A record for a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    /// Index into the sub-topology's outputs.
    pub(crate) output: usize,
    /// `None` leaves the choice to the producer: by key.
    pub(crate) partition: Option<PartitionIndex>,
    pub(crate) record: Record,
}

/// What a task counted since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) records_in: u64,
    pub(crate) records_out: u64,
    pub(crate) late: u64,
    pub(crate) skipped: u64,
    pub(crate) repeats: u64,
}

/// What a node builds for one task.
pub(crate) enum Built {
    Operator(Box<dyn Operator>),
    Source(Box<dyn Ingest>),
}

/// One task being built, node by node in topological order.
pub(crate) struct Build<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) sub: &'a SubTopology,
    pub(crate) node: NodeId,
    pub(crate) edges: &'a mut Edges,
    pub(crate) stores: &'a mut Stores,
    /// Which store each node that has one made.
    pub(crate) store_of: &'a mut BTreeMap<NodeId, usize>,
    /// Partitions of each of the sub-topology's outputs.
    pub(crate) output_partitions: &'a [u32],
}

impl Build<'_> {
    /// The node's input edge number `index`.
    pub(crate) fn input<T: Send + 'static>(&mut self, index: usize) -> Edge<T> {
        self.edges.open(self.node, index)
    }

    /// Where the node's output number `output` goes: every input in this sub-topology that names it.
    pub(crate) fn output<T: Clone + Send + 'static>(&self, output: usize) -> Out<T> {
        let port = Port { node: self.node, output };
        let mut targets = Vec::new();
        for &node in &self.sub.nodes {
            for (index, from) in self.plan.graph.nodes[node].inputs.iter().enumerate() {
                if *from == port {
                    targets.push((node, index));
                }
            }
        }
        Out::new(targets.into_iter().map(|(node, index)| self.edges.slot(node, index)).collect())
    }

    /// Makes this node's store.
    pub(crate) fn new_store<K: crate::Key, V: crate::Value>(&mut self, name: &str, logged: bool) -> StoreRef<K, V> {
        let index = self.stores.add::<K, V>(name, logged);
        self.store_of.insert(self.node, index);
        self.stores.handle(index)
    }

    /// The store that another node of the sub-topology made.
    pub(crate) fn store<K: 'static, V: 'static>(&self, node: NodeId) -> StoreRef<K, V> {
        self.stores.handle(self.store_of[&node])
    }

    /// The index of an output topic.
    pub(crate) fn output_topic(&self, topic: &str) -> usize {
        self.position(|output| output.topic.as_str() == topic)
    }

    /// The output that this node re-keys into, and its partitions.
    pub(crate) fn rekey_output(&self) -> (usize, u32) {
        let index = self.position(|output| output.rekey == Some(self.node));
        (index, self.output_partitions[index])
    }

    fn position(&self, wanted: impl FnMut(&crate::topology::plan::Output) -> bool) -> usize {
        self.sub.outputs.iter().position(wanted).expect("the plan lists every output")
    }
}
