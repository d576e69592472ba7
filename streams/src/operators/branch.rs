//! `branch`: split a stream in two.

use super::{Built, Cx, Edge, Edges, Operator, Out};
use crate::data::Rec;
use crate::{Data, Key, Result, Stream};
use std::sync::Arc;

struct Branch<K, V, F> {
    input: Edge<Rec<K, V>>,
    yes: Out<Rec<K, V>>,
    no: Out<Rec<K, V>>,
    test: Arc<F>,
}

impl<K: Key, V: Data, F: Fn(&K, &V) -> bool + Send + Sync> Operator for Branch<K, V, F> {
    fn run(&mut self, edges: &mut Edges, _: &mut Cx) -> Result<()> {
        let (yes, no) = edges.take(&self.input).into_iter().partition(|r| (self.test)(&r.key, &r.value));
        self.yes.send(edges, yes);
        self.no.send(edges, no);
        Ok(())
    }
}

impl<K: Key, V: Data> Stream<K, V> {
    /// The records for which `test` holds, and the others.
    pub fn branch(&self, test: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> (Self, Self) {
        let test = Arc::new(test);
        let node = self.graph.plain(
            "branch",
            vec![self.port],
            Arc::new(move |b| {
                let (yes, no) = (b.output(0), b.output(1));
                Built::Operator(Box::new(Branch { input: b.input(0), yes, no, test: test.clone() }))
            }),
        );
        (Self::new(&self.graph, node, 0, self.rekeyed), Self::new(&self.graph, node, 1, self.rekeyed))
    }
}
