//! The disk of a data directory and the files that are open on it: at most so many, the least recently used closed
//! first.
//!
//! A log of ten thousand partitions has more segments than a process may have files. So a segment opens its file when
//! it is used and is entered here; beyond the limit, or when it was idle for a while, it is closed again. Whoever
//! still reads or syncs holds the file itself, so closing never takes it away from anybody: the limit is exceeded by
//! as many files as are in use at that moment.
//!
//! Second chance (Corbató 1969) instead of an exact order: a use only sets a flag, so that readers share nothing.

use super::segment::Segment;
use crate::env::Disk;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

/// A disk, and the segments whose files are open on it.
#[derive(Debug)]
pub(super) struct Files {
    disk: Arc<dyn Disk>,
    max: usize,
    /// In the order in which they were opened or last spared.
    open: Mutex<VecDeque<Weak<Segment>>>,
}

impl Files {
    /// At most `max` files of segments stay open.
    pub(super) fn new(disk: Arc<dyn Disk>, max: usize) -> Arc<Self> {
        Arc::new(Self { disk, max: max.max(1), open: Mutex::default() })
    }

    /// The disk itself.
    pub(super) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// How many segments have their file open.
    pub(super) fn open_count(&self) -> usize {
        let open = self.open.lock();
        open.iter().filter(|segment| segment.upgrade().is_some_and(|segment| segment.is_open())).count()
    }

    /// Closes the files that nobody has used since the last call.
    pub(super) fn close_idle(&self) {
        self.open.lock().retain(|segment| segment.upgrade().is_some_and(|segment| !segment.close_unless_used()));
    }

    /// Enters a segment that has just opened its file, and closes others for it if they are too many.
    pub(super) fn entered(&self, segment: &Arc<Segment>) {
        let mut open = self.open.lock();
        // Twice around at most: the first time spares everyone.
        let mut turns = 2 * open.len();
        while open.len() >= self.max && turns > 0 {
            turns -= 1;
            let Some(oldest) = open.pop_front() else { break };
            if oldest.upgrade().is_some_and(|oldest| !oldest.close_unless_used()) {
                open.push_back(oldest);
            }
        }
        open.push_back(Arc::downgrade(segment));
    }
}
