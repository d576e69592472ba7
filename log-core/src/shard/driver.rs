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
//! After [`TURNS_MAX`] turns A hands over to one who waits for a queued command, by waking it, so that nobody serves the
//! others for ever. Who was handed to and gives up waiting takes its turns all the same.
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
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{JoinHandle, Thread};

/// Steps that one submitter takes for others before it hands over. Few in tests, so that it happens there.
const TURNS_MAX: usize = if cfg!(test) { 2 } else { 32 };

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
    waiting: HashMap<Token, Arc<Answer>>,
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
        let answer = Arc::new(Answer::default());
        let mut queue = self.shared.queue.lock();
        while queue.threaded && queue.commands.len() >= limits::SHARD_COMMANDS_MAX {
            self.shared.room.wait(&mut queue);
        }
        let token = Token(queue.next_token);
        queue.next_token += 1;
        queue.waiting.insert(token, answer.clone());
        queue.commands.push(command(token));
        self.submitted(queue);
        Pending { answer, shared: self.shared.clone() }
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
        let waiting = std::mem::take(&mut self.shared.queue.lock().waiting);
        waiting.into_values().for_each(|answer| answer.give(Err(Error::Closed)));
    }
}

impl Shared {
    /// Carries out what is queued, unless someone else does.
    fn combine(&self) {
        for turn in 1.. {
            let Some(mut core) = self.core.try_lock() else { return };
            std::mem::swap(&mut self.queue.lock().commands, &mut core.commands);
            let effects = self.step(&mut core);
            drop(core);
            self.carry_out(effects);
            let queue = self.queue.lock();
            if queue.commands.is_empty() || (turn >= TURNS_MAX && queue.hand_over()) {
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
                    let answer = self.queue.lock().waiting.remove(&token);
                    answer.inspect(|answer| answer.give(result));
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

impl Queue {
    /// Has someone who waits for a queued command carry on; false if nobody does.
    fn hand_over(&self) -> bool {
        let tokens = self.commands.iter().filter_map(Command::token);
        tokens.filter_map(|token| self.waiting.get(&token)).any(|answer| answer.hand_over())
    }
}

/// The answer to a command, to be awaited or waited for.
#[derive(Debug)]
#[must_use = "the command is carried out either way; drop it on purpose"]
pub(crate) struct Pending {
    answer: Arc<Answer>,
    shared: Arc<Shared>,
}

/// Where an answer is put.
#[derive(Debug, Default)]
struct Answer(Mutex<AnswerState>);

#[derive(Debug, Default)]
struct AnswerState {
    result: Option<Result<Reply>>,
    /// Who waits; `None` before it does, and when it has given up.
    waker: Option<Waker>,
    /// Whoever waits is to carry out what is queued.
    handed_over: bool,
}

impl Answer {
    fn give(&self, result: Result<Reply>) {
        let waker = {
            let mut state = self.0.lock();
            state.result = Some(result);
            state.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    fn hand_over(&self) -> bool {
        let mut state = self.0.lock();
        let Some(waker) = state.waker.take() else { return false };
        state.handed_over = true;
        drop(state);
        waker.wake();
        true
    }
}

impl Pending {
    /// Blocks the thread until it is there. It mostly is, behind an inline driver.
    pub(crate) fn wait(mut self) -> Result<Reply> {
        struct Unpark(Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        if let Some(result) = self.answer.0.lock().result.take() {
            return result;
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

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let mut state = self.answer.0.lock();
            if let Some(result) = state.result.take() {
                return Poll::Ready(result);
            }
            if !std::mem::take(&mut state.handed_over) {
                state.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            drop(state);
            self.shared.combine();
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let handed_over = {
            let mut state = self.answer.0.lock();
            state.waker = None;
            std::mem::take(&mut state.handed_over)
        };
        if handed_over {
            self.shared.combine();
        }
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
