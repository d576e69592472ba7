//! `count`, `reduce` and `aggregate` per key and window.
//!
//! The store is ordered by window start, so closing takes rows from its front. When a window closes its row leaves the
//! store: state is bounded by the windows that are open.
//!
//! A result that is emitted on close has the window's last millisecond as its time and stamp. It is sent on when the
//! watermark has passed that by the lateness, so everything below sees the watermark held back by size and lateness:
//! then a result is never late for a window further down.

use super::aggregate::{Aggregating, Counting, Fold, Reducing};
use super::{Built, Cx, Edge, Edges, Operator, Out};
use crate::data::{Origin, Rec};
use crate::state::StoreRef;
use crate::topology::graph::{Kind, Node};
use crate::{Data, Emit, Key, Result, Table, Tumbling, Value, Windowed, WindowedStream};
use std::sync::Arc;
use tailwater_log::Timestamp;

struct WindowAggregate<K, V, A, F> {
    input: Edge<Rec<K, V>>,
    out: Out<Rec<Windowed<K>, Option<A>>>,
    store: StoreRef<Windowed<K>, A>,
    fold: Arc<F>,
    windows: Tumbling,
    emit: Emit,
}

impl<K: Key, V: Data, A: Value, F: Fold<K, V, A>> Operator for WindowAggregate<K, V, A, F> {
    fn run(&mut self, edges: &mut Edges, cx: &mut Cx) -> Result<()> {
        let batch = edges.take(&self.input);
        let table = cx.stores.table(&self.store);
        let each = self.emit == Emit::OnUpdate && !self.out.is_unread();
        let mut changes = Vec::new();
        for r in batch {
            let at = r.with((), ());
            let windowed = self.windows.window(r.key, r.time);
            let (key, fold) = (&windowed.key, &self.fold);
            let row =
                table.fold(&windowed, r.value, |value| fold.first(key, value), |value, row| fold.add(key, value, row));
            if each {
                let value = Some(row.clone());
                changes.push(at.stateful(windowed, value));
            }
        }
        self.out.send(edges, changes);
        Ok(())
    }

    fn advance(&mut self, watermark: Timestamp, edges: &mut Edges, cx: &mut Cx) -> Result<()> {
        let table = cx.stores.table(&self.store);
        let lateness = self.windows.lateness;
        let mut closed = Vec::new();
        while let Some((key, row)) = table.pop_first_if(|key| key.end + lateness <= watermark) {
            if self.emit == Emit::OnClose {
                let time = Timestamp(key.end.0 - 1);
                let logged = key.end + lateness;
                closed.push(Rec { key, value: Some(row), time, logged, stamp: time, origin: Origin::NONE });
            }
        }
        self.out.send(edges, closed);
        Ok(())
    }
}

impl<K: Key, V: Data> WindowedStream<K, V> {
    /// How many records each key has in each window. `name` is the durable name of the store.
    pub fn count(&self, name: &str) -> Table<Windowed<K>, u64> {
        self.folded("count", name, Counting)
    }

    /// Combines the values of each key and window, two by two, in order. `name` is the durable name of the store.
    pub fn reduce(&self, name: &str, f: impl Fn(V, V) -> V + Send + Sync + 'static) -> Table<Windowed<K>, V>
    where
        V: Value,
    {
        self.folded("reduce", name, Reducing(f))
    }

    /// Adds each value to the row of its key and window, which starts as `A::default()`. `name` is the durable name
    /// of the store.
    pub fn aggregate<A: Value + Default>(
        &self,
        name: &str,
        f: impl Fn(&K, V, &mut A) + Send + Sync + 'static,
    ) -> Table<Windowed<K>, A> {
        self.folded("aggregate", name, Aggregating(f))
    }

    fn folded<A: Value, F: Fold<K, V, A>>(&self, operator: &'static str, name: &str, fold: F) -> Table<Windowed<K>, A> {
        let (fold, store_name) = (Arc::new(fold), name.to_owned());
        let (windows, emit) = (self.windows, self.emit);
        let inputs = vec![self.port];
        let held = match emit {
            Emit::OnClose => windows.size.saturating_add(windows.lateness),
            Emit::OnUpdate => std::time::Duration::ZERO,
        };
        let node = self.graph.add(Node {
            operator,
            kind: Kind::Store { name: name.into() },
            hold: self.graph.hold(&inputs).saturating_add(held),
            inputs,
            reads: Vec::new(),
            build: Arc::new(move |b| {
                let store = b.new_store(&store_name, true);
                let (input, out, fold) = (b.input(0), b.output(0), fold.clone());
                Built::Operator(Box::new(WindowAggregate { input, out, store, fold, windows, emit }))
            }),
        });
        Table::new(&self.graph, node)
    }
}
