//! The outside world: the disk, the clock, chance.
//!
//! Below the broker's shell time is an argument and chance is a seeded generator handed in, so only the disk is a
//! trait, with a real implementation and a simulated one that loses what was not synced.

mod clock;
mod disk;
#[cfg(test)]
mod disk_tests;
mod entropy;
mod open_files;
mod real_disk;
mod rng;
pub mod sim_disk;

pub use clock::Clock;
pub use disk::{Disk, File, OpenMode};
pub use entropy::secret;
pub use open_files::raise_open_files;
pub use real_disk::RealDisk;
pub use rng::Rng;
pub use sim_disk::SimDisk;
