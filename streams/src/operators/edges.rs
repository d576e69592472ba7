//! What lies between operators: typed vectors in an arena, found by number.

use crate::topology::graph::NodeId;
use std::any::Any;
use std::collections::BTreeMap;
use std::marker::PhantomData;

/// The edges of one task. Slots are numbered as they are first named, by the writer or by the reader.
#[derive(Default)]
pub(crate) struct Edges {
    slots: Vec<Box<dyn Any + Send>>,
    numbers: BTreeMap<(NodeId, usize), usize>,
}

/// The reader's end of an edge.
pub(crate) struct Edge<T> {
    slot: usize,
    of: PhantomData<fn() -> T>,
}

/// The writer's end of all edges from one output; each reader gets its own copy.
pub(crate) struct Out<T> {
    slots: Vec<usize>,
    of: PhantomData<fn(T)>,
}

impl Edges {
    /// The number of the edge into input `index` of `node`.
    pub(crate) fn slot(&self, node: NodeId, index: usize) -> usize {
        self.numbers[&(node, index)]
    }

    /// Numbers the edge into input `index` of `node`; done for all before operators are built.
    pub(crate) fn declare(&mut self, node: NodeId, index: usize) {
        self.numbers.insert((node, index), self.slots.len());
        self.slots.push(Box::new(()));
    }

    pub(crate) fn open<T: Send + 'static>(&mut self, node: NodeId, index: usize) -> Edge<T> {
        let slot = self.slot(node, index);
        self.slots[slot] = Box::new(Vec::<T>::new());
        Edge { slot, of: PhantomData }
    }

    fn records<T: Send + 'static>(&mut self, slot: usize) -> &mut Vec<T> {
        self.slots[slot].downcast_mut().expect("the handles' types make both ends of an edge agree")
    }

    /// Takes all that lies on an edge.
    pub(crate) fn take<T: Send + 'static>(&mut self, edge: &Edge<T>) -> Vec<T> {
        std::mem::take(self.records(edge.slot))
    }
}

impl<T: Clone + Send + 'static> Out<T> {
    pub(crate) const fn new(slots: Vec<usize>) -> Self {
        Self { slots, of: PhantomData }
    }

    /// Whether nobody reads it; then results need not be made.
    pub(crate) const fn is_unread(&self) -> bool {
        self.slots.is_empty()
    }

    pub(crate) fn send(&self, edges: &mut Edges, mut records: Vec<T>) {
        let Some((last, others)) = self.slots.split_last() else { return };
        if records.is_empty() {
            return;
        }
        for slot in others {
            edges.records(*slot).extend_from_slice(&records);
        }
        let target = edges.records(*last);
        if target.is_empty() {
            *target = records;
        } else {
            target.append(&mut records);
        }
    }
}
