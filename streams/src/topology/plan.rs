//! From graph to plan: names checked, sub-topologies found, topics named, partitions agreed.

use super::Topology;
use super::graph::{Graph, Kind, NodeId};
use crate::source::{Decode, SourceKind};
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use tailwater_log::{GroupId, TopicName};

/// A validated topology.
pub(crate) struct Plan {
    pub(crate) app: String,
    pub(crate) group: GroupId,
    pub(crate) graph: Graph,
    /// In an order in which each reads only topics that it or earlier ones write.
    pub(crate) subs: Vec<SubTopology>,
}

/// The operators between topics.
pub(crate) struct SubTopology {
    /// In topological order.
    pub(crate) nodes: Vec<NodeId>,
    /// What it reads, in order of creation.
    pub(crate) inputs: Vec<Input>,
    /// What it writes: the users' topics, dead letters, repartition topics.
    pub(crate) outputs: Vec<Output>,
    /// Where commits go, for one that has state or re-keys; a stateless one commits to the group only.
    pub(crate) changelog: Option<TopicName>,
}

pub(crate) struct Input {
    pub(crate) node: NodeId,
    pub(crate) topic: TopicName,
    pub(crate) table: bool,
    /// The nodes that read what it gives.
    pub(crate) readers: Vec<NodeId>,
    /// The sub-topology that writes it, when it is a repartition topic.
    pub(crate) writer: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) topic: TopicName,
    pub(crate) schema: Option<String>,
    /// The node that re-keys into it.
    pub(crate) rekey: Option<NodeId>,
}

fn invalid<T>(why: String) -> Result<T> {
    Err(Error::InvalidTopology { why })
}

fn topic_name(name: &str) -> Result<TopicName> {
    Ok(TopicName::new(name)?)
}

impl Plan {
    /// Runs the user's function and checks what it built.
    pub(crate) fn of(app: &str, build: impl Fn(&Topology)) -> Result<Self> {
        let topology = Topology::default();
        build(&topology);
        Self::new(app, topology.graph.take())
    }

    fn new(app: &str, graph: Graph) -> Result<Self> {
        if let Some(why) = &graph.wrong {
            return invalid(why.clone());
        }
        let group = GroupId::new(app)?;
        check_names(&graph)?;
        let sub_of = components(&graph);
        let count = sub_of.iter().max().map_or(0, |last| last + 1);
        let subs = (0..count).map(|sub| sub_topology(app, &graph, &sub_of, sub)).collect::<Result<Vec<_>>>()?;
        if subs.is_empty() {
            return invalid("it reads nothing; begin with t.stream(TOPIC) or t.table(TOPIC, \"name\")".into());
        }
        for (index, sub) in subs.iter().enumerate() {
            if sub.inputs.iter().any(|input| input.writer == Some(index)) {
                return invalid("a key_by feeds back into the operators that write it".into());
            }
            if sub.inputs.iter().any(|input| input.writer.is_some_and(|writer| writer > index)) {
                return invalid("two key_by feed each other's operators".into());
            }
        }
        Ok(Self { app: app.into(), group, graph, subs })
    }

    /// The number of partitions of each sub-topology, given those of the users' topics. A repartition topic takes the
    /// number of what it is read with; alone, that of the sub-topology that writes it.
    pub(crate) fn partitions(&self, topics: &BTreeMap<TopicName, u32>) -> Result<Vec<u32>> {
        let mut partitions: Vec<u32> = Vec::new();
        for sub in &self.subs {
            let mut fixed = Vec::new();
            for input in sub.inputs.iter().filter(|input| input.writer.is_none()) {
                match topics.get(&input.topic) {
                    Some(n) => fixed.push((input.topic.to_string(), *n)),
                    None => {
                        return Err(Error::MissingSource { topic: input.topic.to_string(), did_you_mean: None });
                    }
                }
            }
            if fixed.windows(2).any(|pair| pair[0].1 != pair[1].1) {
                return Err(Error::NotCoPartitioned { topics: fixed });
            }
            let inherited = sub.inputs.iter().filter_map(|input| input.writer).map(|writer| partitions[writer]).max();
            partitions.push(fixed.first().map(|(_, n)| *n).or(inherited).unwrap_or(1));
        }
        Ok(partitions)
    }
}

/// Every durable name is used once, and every topic is read once.
fn check_names(graph: &Graph) -> Result<()> {
    let mut names = BTreeSet::new();
    let mut read = BTreeSet::new();
    for node in &graph.nodes {
        match &node.kind {
            Kind::Store { name } | Kind::Rekey { name } => {
                if name.is_empty() || name.len() > 100 {
                    return invalid(format!("`{}` needs a name of 1 to 100 bytes, not {name:?}", node.operator));
                }
                topic_name(name)?;
                if !names.insert(name.clone()) {
                    return invalid(format!("two operators are called \"{name}\"; each durable name is used once"));
                }
            }
            Kind::Source(spec) => {
                topic_name(&spec.topic)?;
                if !read.insert(spec.topic.clone()) {
                    return invalid(format!("`{}` is read twice; keep the first handle and use it again", spec.topic));
                }
                if let SourceKind::Table { name } = &spec.kind
                    && !names.insert(name.clone())
                {
                    return invalid(format!("two operators are called \"{name}\"; each durable name is used once"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Numbers the connected parts of the graph, by their first node that is a source in topological order.
/// A re-key and what reads it are not connected; a join and the table that it reads are.
fn components(graph: &Graph) -> Vec<usize> {
    let mut root: Vec<NodeId> = (0..graph.nodes.len()).collect();
    fn find(root: &mut [NodeId], node: NodeId) -> NodeId {
        let mut at = node;
        while root[at] != at {
            root[at] = root[root[at]];
            at = root[at];
        }
        at
    }
    for (id, node) in graph.nodes.iter().enumerate() {
        for other in node.inputs.iter().map(|port| port.node).chain(node.reads.iter().copied()) {
            let (a, b) = (find(&mut root, id), find(&mut root, other));
            root[a.max(b)] = a.min(b);
        }
    }
    let of: Vec<NodeId> = (0..graph.nodes.len()).map(|id| find(&mut root, id)).collect();
    // Writers before readers: repeatedly take the first part whose writers are all numbered.
    let parts: BTreeSet<NodeId> = of.iter().copied().collect();
    let mut writers: BTreeMap<NodeId, BTreeSet<NodeId>> = BTreeMap::new();
    for (id, node) in graph.nodes.iter().enumerate() {
        if let Kind::Rekeyed { writer, .. } = node.kind {
            writers.entry(of[id]).or_default().insert(of[writer]);
        }
    }
    let mut order: Vec<NodeId> = Vec::new();
    while order.len() < parts.len() {
        let ready = |part: &NodeId| {
            !order.contains(part) && writers.get(part).is_none_or(|writers| writers.iter().all(|w| order.contains(w)))
        };
        // With a cycle nothing is ready; take any, and let the validation say what is wrong.
        let next = parts.iter().find(|part| ready(part)).or_else(|| parts.iter().find(|p| !order.contains(p)));
        order.push(*next.expect("some part is left"));
    }
    of.iter().map(|part| order.iter().position(|p| p == part).expect("every part has a number")).collect()
}

fn sub_topology(app: &str, graph: &Graph, sub_of: &[usize], sub: usize) -> Result<SubTopology> {
    let nodes: Vec<NodeId> = (0..graph.nodes.len()).filter(|id| sub_of[*id] == sub).collect();
    let repartition = |name: &str| topic_name(&format!("{}-{name}-repartition", topic_safe(app)));
    let readers = |source: NodeId| -> Vec<NodeId> {
        nodes.iter().copied().filter(|id| graph.nodes[*id].inputs.iter().any(|port| port.node == source)).collect()
    };
    let (mut inputs, mut outputs, mut durable) = (Vec::new(), Vec::<Output>::new(), None);
    let mut add = |output: Output| {
        if !outputs.iter().any(|o| o.topic == output.topic) {
            outputs.push(output);
        }
    };
    for &node in &nodes {
        match &graph.nodes[node].kind {
            Kind::Source(spec) => {
                let table = matches!(spec.kind, SourceKind::Table { .. });
                inputs.push(Input {
                    node,
                    topic: topic_name(&spec.topic)?,
                    table,
                    readers: readers(node),
                    writer: None,
                });
                if let Decode::DeadLetter(topic) = &spec.decode {
                    add(Output { topic: topic_name(topic)?, schema: None, rekey: None });
                }
            }
            Kind::Rekeyed { name, writer } => {
                let (topic, writer) = (repartition(name)?, Some(sub_of[*writer]));
                inputs.push(Input { node, topic, table: false, readers: readers(node), writer });
            }
            Kind::Sink { topic, schema } => {
                add(Output { topic: topic_name(topic)?, schema: schema.clone(), rekey: None });
            }
            Kind::Rekey { name } => {
                durable.get_or_insert(name);
                add(Output { topic: repartition(name)?, schema: None, rekey: Some(node) });
            }
            Kind::Store { name } => {
                durable.get_or_insert(name);
            }
            Kind::Plain => {}
        }
    }
    // Named after its first store, or its first re-key when it has no store.
    let store = nodes.iter().find_map(|node| match &graph.nodes[*node].kind {
        Kind::Store { name } => Some(name),
        _ => None,
    });
    let changelog = match store.or(durable) {
        Some(name) => Some(topic_name(&format!("{}-{name}-changelog", topic_safe(app)))?),
        None => None,
    };
    Ok(SubTopology { nodes, inputs, outputs, changelog })
}

/// The app's id with what topic names do not take replaced.
fn topic_safe(app: &str) -> String {
    app.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect()
}
