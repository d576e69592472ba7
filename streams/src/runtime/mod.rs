//! Where tasks meet the log: topics are made, state is restored, records fetched and sent, commits written.
//!
//! A [`runner::Runner`] drives one task, round by round: fetch, step, send, and a commit when one is due. The app spreads
//! runners over threads, each with a tokio runtime of its own, so a task is owned by one thread and user code never
//! blocks the caller's runtime. [`crate::Sim`] calls the same rounds one after the other.
//!
//! The order of a commit: outputs are acknowledged, then the epoch on the changelog, then the group's offsets. A crash
//! between them repeats outputs and never loses one, and state is always that of the positions it was committed with.

mod app;
#[cfg(test)]
mod fault_tests;
mod options;
mod progress;
mod runner;
mod setup;
mod sim;
#[cfg(test)]
mod tests;

pub use app::{App, Running};
use options::Options;
pub use progress::{InputProgress, TaskProgress};
pub use sim::{Input, Output, Sim};
