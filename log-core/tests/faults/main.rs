//! Real faults on real files: a writer in a process of its own that is killed, that fills a disk, that the kernel tells
//! of failed calls; and what its log holds afterwards.
//!
//! - [`kills`]: `kill -9` at random moments, while it opens and while it writes.
//! - [`full_disk`]: a small file system that fills up. It has to be mounted, so a script does it.
//! - [`failed_calls`]: strace makes single calls fail. It has to be there, so the script looks for it.
//!
//! The client here is this process: it writes down what was acknowledged to it, and after a fault it sends again what was
//! not, under the same sequences. What may be found afterwards is in [`check`]. `tests/faults/run` (in the root of the
//! repository) runs all of it; `cargo test` runs a few kills.
//!
//! Nothing here waits for a time. A writer that nobody kills ends by itself.

mod batches;
mod check;
mod failed_calls;
mod full_disk;
mod kills;
mod process;
mod writer;

/// The writer's process is this test, by its name.
#[test]
#[ignore = "it is what the others start"]
fn a_writer() {
    if let Some(task) = writer::Task::from_environment() {
        writer::write(task);
    }
}

/// A number from the environment, or `otherwise`.
fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Says how it went, also when tests are quiet about success.
fn tell(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{line}");
}
