//! What lies in a partition's directory after an unclean stop, put in order before it is read.
//!
//! The checkpoint lists the sealed segments; segments that were begun since follow on behind them. Every other file is a
//! leftover: of a deletion or a compaction that was cut off, either before the checkpoint knew (then the new files go) or
//! after (then the old ones do).
//!
//! When the checkpoint is lost the files speak for themselves. A segment of generation 1 or more was complete when its
//! footer was written, and says the same as those that it replaces, so one with a valid footer is taken instead of them;
//! nothing is removed then.

use super::checkpoint::{PartitionState, SealedSegment};
use super::recovery::{Known, Trust};
use super::resources::Resources;
use super::segment::{Segment, name_of, parse_name};
use crate::types::{Error, Offset, Result};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What ends in this was not finished.
const UNFINISHED: &str = "new";

/// The segments of a log.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// Where the first one begins.
    pub(super) start: Offset,
    /// Where the sealed ones end.
    pub(super) end_of_sealed: Offset,
    /// Those that the checkpoint knows.
    pub(super) sealed: Vec<Arc<Segment>>,
    /// Those behind them, which have to be read.
    pub(super) rest: Vec<Arc<Segment>>,
    /// Those before the first one, which were deleted and are still there, in order: see `roll`.
    pub(super) behind: Vec<Arc<Segment>>,
    /// A sealed one that is not there as it was. Those before it are in `sealed`.
    pub(super) missing: Option<Missing>,
}

/// A sealed segment that has another length than it had, or is gone.
#[derive(Debug)]
pub(super) struct Missing {
    /// No longer than it was, nor than its file is.
    pub(super) segment: Arc<Segment>,
    /// Whether there is a file.
    pub(super) is_there: bool,
    /// What is wrong with it.
    pub(super) why: String,
}

/// The `.log` files by base offset and generation, with their lengths.
type Logs = BTreeMap<(Offset, u32), u64>;

/// What is in a directory, looked at and not touched.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The segments of the log, in order.
    pub(super) links: Vec<Link>,
    /// Segments that are not of the log any more, or not yet, by base offset and generation.
    pub(super) leftovers: Vec<(Offset, u32)>,
    /// Files that were being written.
    pub(super) unfinished: Vec<PathBuf>,
}

/// A segment that should be there or is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) base: Offset,
    pub(super) generation: u32,
    /// As the checkpoint knows it.
    pub(super) listed: Option<SealedSegment>,
    /// The length of its file; `None` if there is none.
    pub(super) on_disk: Option<u64>,
}

/// Finds the segments of the log in `dir`, and removes leftovers.
pub(super) fn reconcile(resources: &Resources, dir: &Path, known: &Known) -> Result<Layout> {
    let seen = see(resources, dir, known)?;
    if known.trust == Trust::Nothing {
        return Ok(without_checkpoint(resources, dir, seen));
    }
    for path in &seen.unfinished {
        resources.disk().remove_file(path).map_err(|e| Error::io("remove", path, e))?;
    }
    with_checkpoint(resources, dir, seen, known)
}

/// Finds the segments of the log in `dir`.
pub(super) fn see(resources: &Resources, dir: &Path, known: &Known) -> Result<Seen> {
    let disk = resources.disk();
    let names = match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other.map_err(|e| Error::io("list", dir, e))?,
    };
    let (mut logs, mut unfinished) = (Logs::new(), Vec::new());
    for name in names {
        let path = dir.join(&name);
        if name.extension().is_some_and(|extension| extension == UNFINISHED) {
            unfinished.push(path);
        } else if let Some((base, generation, "log")) = parse_name(&name) {
            logs.insert((base, generation), disk.len_of(&path).map_err(|e| Error::io("look at", path, e))?);
        }
    }
    let (links, leftovers) = match known.trust {
        Trust::Nothing => links_by_footers(resources, dir, logs),
        Trust::Clean | Trust::Sound => links_by_checkpoint(logs, &known.state),
    };
    Ok(Seen { links, leftovers, unfinished })
}

fn links_by_checkpoint(logs: Logs, state: &PartitionState) -> (Vec<Link>, Vec<(Offset, u32)>) {
    let sealed_at = |base| {
        let upto = state.sealed.partition_point(|sealed| sealed.base <= base);
        upto.checked_sub(1).map(|at| state.sealed[at])
    };
    // Those that the checkpoint lists, and those that it does not know yet: nothing that it knows lies there.
    let is_listed = |base, generation| sealed_at(base).is_some_and(|s| (s.base, s.generation) == (base, generation));
    let is_unknown = |base, generation| generation == 0 && sealed_at(base).is_none_or(|s| s.next_offset <= base);
    let (found, mut leftovers): (Logs, Logs) = logs
        .into_iter()
        .partition(|((base, generation), _)| is_listed(*base, *generation) || is_unknown(*base, *generation));
    let mut chain = found.clone();
    chain.extend(state.sealed.iter().map(|sealed| ((sealed.base, sealed.generation), sealed.bytes)));
    // What ends at or before the log start was deleted. A segment ends where the next begins; that of the durable point
    // may have been cut away and not be there.
    let begin = chain.keys().map(|(base, _)| *base).chain(state.durable.map(|point| point.segment_base));
    let first = begin.filter(|base| *base <= state.log_start_offset).max();
    leftovers.extend(chain.extract_if(.., |(base, _), _| first.is_some_and(|first| *base < first)));
    let link = |(base, generation): (Offset, u32)| Link {
        base,
        generation,
        listed: sealed_at(base).filter(|sealed| (sealed.base, sealed.generation) == (base, generation)),
        on_disk: found.get(&(base, generation)).copied(),
    };
    (chain.into_keys().map(link).collect(), leftovers.into_keys().collect())
}

fn with_checkpoint(resources: &Resources, dir: &Path, seen: Seen, known: &Known) -> Result<Layout> {
    let state = &known.state;
    let segment = |base, generation, len| Arc::new(Segment::new(&resources.files, dir, base, generation, len));
    let first = seen.links.first().map(|link| link.base).filter(|first| *first <= state.log_start_offset);
    let start = state.log_start_offset;
    let mut layout = Layout { start: first.unwrap_or(start), ..Layout::default() };
    layout.end_of_sealed = layout.start;
    for Link { base, generation, listed, on_disk } in seen.links {
        let len = listed.map(|sealed| sealed.bytes).or(on_disk).unwrap_or_default();
        let candidate = segment(base, generation, len);
        let follows = layout.rest.is_empty() && base == layout.end_of_sealed;
        match listed {
            Some(sealed) if follows && on_disk == Some(len) => {
                candidate.seal();
                layout.end_of_sealed = sealed.next_offset;
                layout.sealed.push(candidate);
            }
            Some(_) if on_disk != Some(len) => {
                let why = match on_disk {
                    Some(bytes) => format!("it has {bytes} bytes and had {len} when it was sealed"),
                    None => "the file is missing".into(),
                };
                let segment = segment(base, generation, on_disk.map_or(0, |bytes| bytes.min(len)));
                layout.missing = Some(Missing { segment, is_there: on_disk.is_some(), why });
                return Ok(layout);
            }
            _ => layout.rest.push(candidate),
        }
    }
    for (base, generation) in seen.leftovers {
        let len = resources.disk().len_of(&dir.join(name_of(base, generation, "log"))).unwrap_or(0);
        let leftover = segment(base, generation, len);
        if base < layout.start {
            layout.behind.push(leftover);
        } else {
            remove(resources, &leftover)?;
        }
    }
    if layout.sealed.is_empty() && layout.rest.is_empty() {
        // All of it may have been deleted: then it goes on where it was durable to.
        let empty_at = state.durable.filter(|point| point.position == 0).map_or(0, |point| point.offset);
        let deleted_to = Some(state.log_start_offset).filter(|start| state.durable.is_some_and(|p| *start <= p.offset));
        let empty_at = deleted_to.map_or(empty_at, |deleted_to| empty_at.max(deleted_to));
        (layout.start, layout.end_of_sealed) = (empty_at, empty_at);
    }
    Ok(layout)
}

/// Of segments that lie in the same place, the one that was completed last.
fn links_by_footers(resources: &Resources, dir: &Path, logs: Logs) -> (Vec<Link>, Vec<(Offset, u32)>) {
    let (mut links, mut replaced) = (Vec::<Link>::new(), Vec::new());
    // By base; of one base the highest generation comes first.
    let mut logs: Vec<_> = logs.into_iter().collect();
    logs.sort_by_key(|((base, generation), _)| (*base, std::cmp::Reverse(*generation)));
    let mut covered = 0;
    for ((base, generation), len) in logs {
        let is_replaced = base < covered || links.last().is_some_and(|last| last.base == base);
        if is_replaced {
            replaced.push((base, generation));
            continue;
        }
        if generation > 0 {
            let Ok(Some(footer)) = Segment::new(&resources.files, dir, base, generation, len).read_footer() else {
                replaced.push((base, generation));
                continue;
            };
            covered = footer.next_offset;
        }
        links.push(Link { base, generation, listed: None, on_disk: Some(len) });
    }
    (links, replaced)
}

fn without_checkpoint(resources: &Resources, dir: &Path, seen: Seen) -> Layout {
    let start = seen.links.first().map_or(0, |first| first.base);
    let segment = |link: Link| {
        let len = link.on_disk.unwrap_or_default();
        Arc::new(Segment::new(&resources.files, dir, link.base, link.generation, len))
    };
    let rest = seen.links.into_iter().map(segment).collect();
    Layout { start, end_of_sealed: start, rest, ..Layout::default() }
}

/// Removes a segment and its footer.
pub(super) fn remove(resources: &Resources, segment: &Segment) -> Result<()> {
    for path in [segment.footer_path(), segment.path.clone()] {
        match resources.disk().remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io("remove", path, error)),
            Ok(()) => tracing::info!(path = %path.display(), "removed what an interrupted change has left"),
            Err(_) => {}
        }
    }
    Ok(())
}
