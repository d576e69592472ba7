//! The one form of all operators that turn a batch into a batch without state.

use super::{Built, Cx, Edge, Edges, Operator, Out};
use crate::data::Rec;
use crate::{Data, Key, Result, Stream};
use std::sync::Arc;

struct Unary<I, O, F> {
    input: Edge<I>,
    out: Out<O>,
    work: Arc<F>,
}

impl<I, O, F> Operator for Unary<I, O, F>
where
    I: Data,
    O: Data,
    F: Fn(Vec<I>) -> Vec<O> + Send + Sync,
{
    fn run(&mut self, edges: &mut Edges, _: &mut Cx) -> Result<()> {
        let batch = edges.take(&self.input);
        if !batch.is_empty() {
            let results = (self.work)(batch);
            self.out.send(edges, results);
        }
        Ok(())
    }
}

impl<K: Key, V: Data> Stream<K, V> {
    /// A stream made from this one batch by batch. `work` keeps the records' order and origins.
    pub(crate) fn unary<K2, V2, F>(&self, operator: &'static str, work: F) -> Stream<K2, V2>
    where
        K2: Key,
        V2: Data,
        F: Fn(Vec<Rec<K, V>>) -> Vec<Rec<K2, V2>> + Send + Sync + 'static,
    {
        let work = Arc::new(work);
        let node = self.graph.plain(
            operator,
            vec![self.port],
            Arc::new(move |b| {
                Built::Operator(Box::new(Unary { input: b.input(0), out: b.output(0), work: work.clone() }))
            }),
        );
        Stream::new(&self.graph, node, 0, self.rekeyed)
    }
}
