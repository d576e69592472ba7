//! `window`: tell the late records from those in time.
//!
//! A record is late when its own stamp, the watermark of its source partition as it was read, has passed the end and
//! the lateness of its window, or when that window is closed already. The first is a function of the log; the second
//! can differ only when an idle partition did not hold the task's watermark back.

use super::{Built, Cx, Edge, Edges, Operator, Out};
use crate::data::Rec;
use crate::{Data, Emit, Key, KeyedStream, Result, Tumbling, WindowedStream};
use std::sync::Arc;

struct Window<K, V> {
    input: Edge<Rec<K, V>>,
    in_time: Out<Rec<K, V>>,
    late: Out<Rec<K, V>>,
    windows: Tumbling,
}

impl<K: Key, V: Data> Operator for Window<K, V> {
    fn run(&mut self, edges: &mut Edges, cx: &mut Cx) -> Result<()> {
        let batch = edges.take(&self.input);
        let (late, in_time): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|r| r.stamp.max(cx.watermark) >= self.windows.closes(r.time));
        cx.counters.late += late.len() as u64;
        self.in_time.send(edges, in_time);
        self.late.send(edges, late);
        Ok(())
    }
}

impl<K: Key, V: Data> KeyedStream<K, V> {
    /// Groups by windows of event time as well as by key.
    pub fn window(&self, windows: Tumbling) -> WindowedStream<K, V> {
        self.must_be_keyed("window");
        if windows.size.as_millis() == 0 {
            self.stream.graph.wrong("a window is at least 1 ms long".into());
        }
        let node = self.stream.graph.plain(
            "window",
            vec![self.stream.port],
            Arc::new(move |b| {
                let (in_time, late) = (b.output(0), b.output(1));
                Built::Operator(Box::new(Window::<K, V> { input: b.input(0), in_time, late, windows }))
            }),
        );
        WindowedStream::new(&self.stream.graph, node, windows, Emit::default())
    }
}
