//! The graph that the typed handles write into: nodes without types, each with a closure that builds its operator.

use crate::operators::{Build, Built};
use crate::source::SourceSpec;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A node's number, in order of creation; every node's inputs have lower numbers, so this is a topological order.
pub(crate) type NodeId = usize;

/// One output of a node. Most nodes have one; a branch and a window have two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Port {
    pub(crate) node: NodeId,
    pub(crate) output: usize,
}

/// Builds the node's operator for one task.
pub(crate) type BuildFn = Arc<dyn Fn(&mut Build<'_>) -> Built + Send + Sync>;

pub(crate) struct Node {
    /// The operator as the user wrote it: `filter`, `count`.
    pub(crate) operator: &'static str,
    pub(crate) kind: Kind,
    pub(crate) inputs: Vec<Port>,
    /// The nodes whose stores this one reads.
    pub(crate) reads: Vec<NodeId>,
    /// How far what this node sends on may lie behind the task's watermark: the sizes and latenesses of the windows
    /// above it that emit on close.
    pub(crate) hold: Duration,
    pub(crate) build: BuildFn,
}

/// What a node means to the plan.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Plain,
    Source(SourceSpec),
    /// Writes to a topic of the user's; `schema` is that of the values.
    Sink {
        topic: String,
        schema: Option<String>,
    },
    /// Keeps a store of this durable name, logged to the changelog.
    Store {
        name: String,
    },
    /// Writes records under new keys to the repartition topic of this name.
    Rekey {
        name: String,
    },
    /// Reads what the node `writer` writes.
    Rekeyed {
        name: String,
        writer: NodeId,
    },
}

#[derive(Default)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Node>,
    /// The first thing that was wrong; told when the app starts, because handles are plain values.
    pub(crate) wrong: Option<String>,
}

impl Graph {
    /// How far what reaches a node may lie behind the task's watermark.
    pub(crate) fn input_hold(&self, node: NodeId) -> Duration {
        self.nodes[node].inputs.iter().map(|port| self.nodes[port.node].hold).max().unwrap_or_default()
    }

    /// Whether a node reads a store that is made from the same source as the records that it gets.
    pub(crate) fn reads_its_own(&self, node: NodeId) -> bool {
        let reads = &self.nodes[node].reads;
        !reads.is_empty() && !self.sources(&[node]).is_disjoint(&self.sources(reads))
    }

    /// The sources above some nodes.
    fn sources(&self, below: &[NodeId]) -> BTreeSet<NodeId> {
        let (mut seen, mut left, mut sources) = (BTreeSet::new(), below.to_vec(), BTreeSet::new());
        while let Some(node) = left.pop() {
            let inputs = &self.nodes[node].inputs;
            if inputs.is_empty() {
                sources.insert(node);
            }
            left.extend(inputs.iter().map(|port| port.node).filter(|input| seen.insert(*input)));
        }
        sources
    }
}

/// The graph while it is being built, shared by its handles.
#[derive(Clone, Default)]
pub(crate) struct GraphRef(Rc<RefCell<Graph>>);

impl GraphRef {
    pub(crate) fn add(&self, node: Node) -> NodeId {
        let mut graph = self.0.borrow_mut();
        graph.nodes.push(node);
        graph.nodes.len() - 1
    }

    /// Adds a node that passes its inputs on.
    pub(crate) fn plain(&self, operator: &'static str, inputs: Vec<Port>, build: BuildFn) -> NodeId {
        self.with_kind(operator, Kind::Plain, inputs, build)
    }

    pub(crate) fn with_kind(&self, operator: &'static str, kind: Kind, inputs: Vec<Port>, build: BuildFn) -> NodeId {
        let hold = self.hold(&inputs);
        self.add(Node { operator, kind, inputs, reads: Vec::new(), hold, build })
    }

    /// The longest hold of some inputs.
    pub(crate) fn hold(&self, inputs: &[Port]) -> Duration {
        let graph = self.0.borrow();
        inputs.iter().map(|port| graph.nodes[port.node].hold).max().unwrap_or_default()
    }

    pub(crate) fn wrong(&self, why: String) {
        self.0.borrow_mut().wrong.get_or_insert(why);
    }

    pub(crate) fn edit<T>(&self, edit: impl FnOnce(&mut Graph) -> T) -> T {
        edit(&mut self.0.borrow_mut())
    }

    pub(crate) fn take(&self) -> Graph {
        self.0.take()
    }
}
