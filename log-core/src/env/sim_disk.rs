//! A file system in memory that can crash.
/// A file system in memory that can crash.
#[derive(Debug, Default, Clone)]
pub struct SimDisk;
