//! What can be made to go wrong: calls that fail or stall, a slow device, a cold page cache.
//!
//! Nothing waits: a slow call adds a virtual duration to a sum that a simulator reads and advances its clock by.

use super::content::PAGE_BYTES;
use crate::env::Rng;
use std::io;
use std::time::Duration;

const EIO: i32 = 5;

/// A kind of call to a disk or one of its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `open` and `lock`, which create a file when it is missing.
    Open,
    /// What only looks: `list`, `exists`, `len`, `len_of`, `free_bytes`.
    Look,
    /// `create_dir_all`, `rename`, `remove_file`, `remove_dir_all`.
    Name,
    /// `read_at` and `read_cached_at`.
    Read,
    /// `write_at`.
    Write,
    /// `sync_data`, `sync_dir`, `sync_all`.
    Sync,
    /// `set_len`.
    SetLen,
    /// `allocate`.
    Allocate,
}

/// Something that goes wrong in a call of one kind: by default with `EIO`, in the next such call, once.
///
/// A failing write writes half of its bytes. A failing sync of bytes drops them: they read back until the machine
/// stops, and are never durable. Other calls that fail do nothing.
#[derive(Clone, Debug)]
pub struct Fault {
    pub(super) call: Call,
    after: u64,
    always: bool,
    effect: Effect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Error(i32),
    Stall(Duration),
}

impl Fault {
    /// An input/output error.
    pub const fn eio(call: Call) -> Self {
        Self::errno(call, EIO)
    }

    /// An error of the operating system, such as 24 (`EMFILE`, too many open files).
    pub const fn errno(call: Call, errno: i32) -> Self {
        Self { call, after: 0, always: false, effect: Effect::Error(errno) }
    }

    /// A call that succeeds after so long.
    pub const fn stall(call: Call, by: Duration) -> Self {
        Self { call, after: 0, always: false, effect: Effect::Stall(by) }
    }

    /// Lets `n` more calls of the kind pass before.
    #[must_use]
    pub const fn after(self, n: u64) -> Self {
        Self { after: n, ..self }
    }

    /// Strikes in every call from then on.
    #[must_use]
    pub const fn always(self) -> Self {
        Self { always: true, ..self }
    }
}

/// What `read_cached_at` finds in the page cache.
#[derive(Clone, Debug, Default)]
pub enum PageCache {
    /// Everything.
    #[default]
    Warm,
    /// Nothing: every read would have to wait.
    Cold,
    /// Each time everything, nothing, or the first pages.
    Drawn(Rng),
}

impl PageCache {
    /// How many of the `rest` bytes from `position` on are cached: whole pages, or all.
    pub(super) fn holds(&mut self, position: u64, rest: u64) -> u64 {
        match self {
            Self::Warm => rest,
            Self::Cold => 0,
            Self::Drawn(rng) => match rng.below(3) {
                0 => 0,
                1 => rest,
                _ => {
                    let page = PAGE_BYTES as u64;
                    let pages = rng.below((position % page + rest) / page + 1);
                    (pages * page).saturating_sub(position % page)
                }
            },
        }
    }
}

/// The faults of one disk and what they have cost so far.
#[derive(Debug, Default)]
pub(super) struct Faults {
    injected: Vec<Fault>,
    pub(super) page_cache: PageCache,
    latency: Option<(Rng, Duration)>,
    pub(super) busy: Duration,
}

impl Faults {
    pub(super) fn inject(&mut self, fault: Fault) {
        self.injected.push(fault);
    }

    /// As `inject`, instead of the errors that were to come in calls of this kind.
    pub(super) fn replace(&mut self, fault: Fault) {
        self.injected.retain(|f| f.call != fault.call || matches!(f.effect, Effect::Stall(_)));
        self.injected.push(fault);
    }

    pub(super) fn heal(&mut self) {
        *self = Self { busy: self.busy, ..Self::default() };
    }

    pub(super) fn slow(&mut self, rng: Rng, typical: Duration) {
        self.latency = Some((rng, typical));
    }

    /// Lets a call take its time; the error that strikes in it, if any.
    pub(super) fn strike(&mut self, call: Call) -> Option<io::Error> {
        if let Some((rng, typical)) = &mut self.latency {
            let thousandths = 500 + rng.below(1000);
            let factor = if rng.chance(1, 64) { 16 } else { 1 };
            self.busy += *typical * (thousandths * factor) as u32 / 1000;
        }
        let mut error = None;
        let busy = &mut self.busy;
        self.injected.retain_mut(|fault| {
            if fault.call != call {
                return true;
            }
            if fault.after > 0 {
                fault.after -= 1;
                return true;
            }
            match fault.effect {
                Effect::Error(errno) => error = Some(io::Error::from_raw_os_error(errno)),
                Effect::Stall(by) => *busy += by,
            }
            fault.always
        });
        error
    }
}

pub(super) fn input_output_error() -> io::Error {
    io::Error::from_raw_os_error(EIO)
}
