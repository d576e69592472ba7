//! What makes a shard go: whoever submits, a thread of its own, or a test that steps it by hand.
//!
//! **Inline** (flat combining; Hendler, Incze, Shavit and Tzafrir, SPAA 2010). Who submits pushes a command onto the
//! queue and tries to take the core. Whoever has it carries out everything that is queued, for all.
//!
//! ```text
//!   A: push a ── try_lock ok ── drain [a] ── step ── unlock ── replies ── queue empty? no ── try_lock …
//!   B:      push b ── try_lock fails: whoever holds the core looks at the queue again after unlocking
//! ```
//! No command is left behind: `b` was pushed before B's `try_lock` failed, so before A's unlock, so A sees it when it
//! looks again. Uncontended there is no hop to another thread; contended, one takes turns for all and appends gather.
//!
//! **Thread**: submitting wakes the shard's thread, which drains the queue and takes one step for all of it. The queue
//! is bounded; who finds it full waits.
//!
//! **Simulator**: `Shard::step` itself, called by a test with the commands in an order of its choice (see `tests`).
//!
//! Replies go to those who wait for them here. All other effects go to the sink, after the core was unlocked, so that
//! a sink may submit commands; two steps' effects may reach it at the same time and in any order.

use super::{Command, Effect, Reply, Shard, Token};
use crate::env::Clock;
use crate::types::{Error, Result, limits};
use futures::channel::oneshot;
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{JoinHandle, Thread};

/// Takes the effects of a shard, given by its number, that are not replies.
pub(crate) type Sink = Box<dyn Fn(usize, Effect) + Send + Sync>;

/// One shard with what drives it.
#[derive(Debug)]
pub(crate) struct Driver {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    number: usize,
    clock: Clock,
    queue: Mutex<Queue>,
    core: Mutex<Core>,
    /// For a shard with a thread: rings when there is something to do, and when there is room in the queue.
    work: Condvar,
    room: Condvar,
    sink: Arc<Sink>,
}

#[derive(Debug, Default)]
struct Queue {
    commands: Vec<Command>,
    waiting: HashMap<Token, oneshot::Sender<Result<Reply>>>,
    next_token: u64,
    /// A thread takes the commands.
    threaded: bool,
    /// The thread ends when nothing is left.
    closed: bool,
}

#[derive(Debug, Default)]
struct Core {
    shard: Shard,
    commands: Vec<Command>,
}

impl Driver {
    /// A shard that is driven by those who submit.
    fn inline(number: usize, clock: Clock, sink: Arc<Sink>) -> Self {
        let shared = Shared {
            number,
            clock,
            queue: Mutex::default(),
            core: Mutex::default(),
            work: Condvar::new(),
            room: Condvar::new(),
            sink,
        };
        Self { shared: Arc::new(shared), thread: None }
    }

    /// A shard with a thread. The sink must not wait for a reply of this shard.
    fn threaded(number: usize, clock: Clock, sink: Arc<Sink>) -> std::io::Result<Self> {
        let mut driver = Self::inline(number, clock, sink);
        driver.shared.queue.lock().threaded = true;
        let shared = driver.shared.clone();
        let thread = std::thread::Builder::new().name(format!("tailwater-shard-{number}"));
        driver.thread = Some(thread.spawn(move || shared.run())?);
        Ok(driver)
    }

    /// Submits a command that is answered; `command` is given the token.
    pub(crate) fn ask(&self, command: impl FnOnce(Token) -> Command) -> Pending {
        let (sender, receiver) = oneshot::channel();
        let mut queue = self.shared.queue.lock();
        while queue.threaded && queue.commands.len() >= limits::SHARD_COMMANDS_MAX {
            self.shared.room.wait(&mut queue);
        }
        let token = Token(queue.next_token);
        queue.next_token += 1;
        queue.waiting.insert(token, sender);
        queue.commands.push(command(token));
        self.submitted(queue);
        Pending(receiver)
    }

    /// Submits a command that has no answer.
    pub(crate) fn tell(&self, command: Command) {
        let mut queue = self.shared.queue.lock();
        queue.commands.push(command);
        self.submitted(queue);
    }

    fn submitted(&self, queue: parking_lot::MutexGuard<'_, Queue>) {
        let threaded = queue.threaded;
        drop(queue);
        if threaded {
            self.shared.work.notify_one();
        } else {
            self.shared.combine();
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.shared.queue.lock().closed = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.take() {
            // It returns; a panic in it was told by the panic itself.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Carries out what is queued, unless someone else does.
    fn combine(&self) {
        loop {
            let Some(mut core) = self.core.try_lock() else { return };
            std::mem::swap(&mut self.queue.lock().commands, &mut core.commands);
            let effects = self.step(&mut core);
            drop(core);
            self.carry_out(effects);
            if self.queue.lock().commands.is_empty() {
                return;
            }
        }
    }

    /// The shard's thread.
    fn run(&self) {
        loop {
            let mut core = self.core.lock();
            {
                let mut queue = self.queue.lock();
                while queue.commands.is_empty() && !queue.closed {
                    self.work.wait(&mut queue);
                }
                if queue.commands.is_empty() {
                    return;
                }
                std::mem::swap(&mut queue.commands, &mut core.commands);
            }
            self.room.notify_all();
            let effects = self.step(&mut core);
            drop(core);
            self.carry_out(effects);
        }
    }

    fn step(&self, core: &mut Core) -> Vec<Effect> {
        let mut effects = Vec::with_capacity(core.commands.len() + 1);
        let Core { shard, commands } = core;
        shard.step(self.clock.now(), commands, &mut effects);
        effects
    }

    fn carry_out(&self, effects: Vec<Effect>) {
        for effect in effects {
            tracing::trace!(%effect, "shard");
            match effect {
                Effect::Replied { token, result } => {
                    let waiting = self.queue.lock().waiting.remove(&token);
                    // Who has given up waiting does not hear of it.
                    waiting.map(|waiting| waiting.send(result));
                }
                effect => (self.sink)(self.number, effect),
            }
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("number", &self.number).field("queue", &self.queue).finish_non_exhaustive()
    }
}

/// The answer to a command, to be awaited or waited for. [`Error::Closed`] when the shard is gone.
#[derive(Debug)]
#[must_use = "the command is carried out either way; drop it on purpose"]
pub(crate) struct Pending(oneshot::Receiver<Result<Reply>>);

impl Pending {
    /// Blocks the thread until it is there. It mostly is, behind an inline driver.
    pub(crate) fn wait(mut self) -> Result<Reply> {
        struct Unpark(Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        if let Ok(Some(reply)) = self.0.try_recv() {
            return reply;
        }
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        loop {
            match Pin::new(&mut self).poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(reply) => return reply,
                Poll::Pending => std::thread::park(),
            }
        }
    }
}

impl Future for Pending {
    type Output = Result<Reply>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|received| received.unwrap_or(Err(Error::Closed)))
    }
}

/// The shards of a data directory.
#[derive(Debug)]
pub(crate) struct Shards(Vec<Arc<Driver>>);

impl Shards {
    /// `n` shards that are driven by those who submit.
    pub(crate) fn inline(n: usize, clock: &Clock, sink: Sink) -> Self {
        let sink = Arc::new(sink);
        Self((0..n).map(|number| Arc::new(Driver::inline(number, clock.clone(), sink.clone()))).collect())
    }

    /// `n` shards with a thread each.
    #[cfg_attr(not(test), expect(dead_code, reason = "the driver of a server, which is not there yet"))]
    pub(crate) fn threaded(n: usize, clock: &Clock, sink: Sink) -> std::io::Result<Self> {
        let sink = Arc::new(sink);
        let drivers = (0..n).map(|number| Driver::threaded(number, clock.clone(), sink.clone()).map(Arc::new));
        Ok(Self(drivers.collect::<std::io::Result<_>>()?))
    }

    /// The number and the driver of the shard that a partition belongs to.
    pub(crate) fn of(
        &self,
        topic: crate::types::TopicId,
        partition: crate::types::PartitionIndex,
    ) -> (usize, &Arc<Driver>) {
        // Partitions of one topic, which are busy together, go to different shards.
        let number = (topic.0.as_u128() as usize).wrapping_add(partition as usize) % self.0.len();
        (number, &self.0[number])
    }

    /// Has all shards refuse appends, because a sync has failed.
    pub(crate) fn fence(&self, error: &Error) {
        for driver in &self.0 {
            driver.tell(Command::Fence { error: error.clone() });
        }
    }
}
