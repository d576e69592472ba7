//! The checkpoint on the simulated disk: power cuts in every call, flipped bits, full and failing disks, and random
//! histories, against a map and a list of the states that it went through.

mod faults;
mod hostile;
mod model;

use super::*;
use crate::env::SimDisk;
use crate::types::Offset;
use std::collections::BTreeMap;

const PATH: &str = "/checkpoint.log";

/// What a checkpoint should say.
type Model = BTreeMap<(TopicId, PartitionIndex), PartitionState>;

/// What is done to a checkpoint between opening and closing it.
#[derive(Clone, Debug)]
enum Step {
    Append(Vec<(TopicId, PartitionIndex, Change)>),
    Forget(TopicId),
    Sync,
}

/// The states that a checkpoint went through, and how far it must have come.
#[derive(Debug, Default)]
struct History {
    /// The last may have been attempted only.
    states: Vec<Model>,
    /// The oldest that may be found.
    synced: usize,
    /// Whether the file may say that it was closed.
    may_be_clean: bool,
}

impl History {
    fn new() -> Self {
        Self { states: vec![Model::new()], ..Self::default() }
    }

    fn last(&self) -> &Model {
        self.states.last().expect("there is the empty one")
    }

    /// Opens a checkpoint and checks what it finds; what it finds is durable then.
    fn open(&mut self, disk: &SimDisk) -> Result<(Checkpoint, CheckpointReport)> {
        let (checkpoint, report) = open(disk)?;
        self.check(&checkpoint, &report);
        *self = Self { states: vec![found(&checkpoint)], ..Self::default() };
        Ok((checkpoint, report))
    }

    /// After nothing worse than power cuts.
    fn check(&self, checkpoint: &Checkpoint, report: &CheckpointReport) {
        assert!(report.damage.is_none(), "{report:?}");
        let allowed = if report.clean { &self.states[self.states.len() - 1..] } else { &self.states[self.synced..] };
        let found = found(checkpoint);
        assert!(allowed.contains(&found), "found {found:#?}\n{report:?}, none of {allowed:#?}");
        assert!(!report.clean || self.may_be_clean);
    }

    fn run(&mut self, checkpoint: &mut Checkpoint, step: &Step) -> Result<()> {
        let mut next = self.last().clone();
        match step {
            Step::Append(changes) => {
                changes.iter().for_each(|(topic, partition, change)| apply(&mut next, *topic, *partition, change));
                self.states.push(next);
                checkpoint.append(changes)?;
            }
            Step::Forget(topic) => {
                next.retain(|(of, _), _| of != topic);
                self.states.push(next);
                checkpoint.forget(*topic)?;
            }
            Step::Sync => {
                checkpoint.sync()?;
                self.synced = self.states.len() - 1;
            }
        }
        assert_eq!(found(checkpoint), *self.last());
        Ok(())
    }

    fn close(&mut self, checkpoint: &mut Checkpoint) -> Result<()> {
        self.may_be_clean = true;
        checkpoint.close()?;
        self.synced = self.states.len() - 1;
        Ok(())
    }
}

/// Applies a change as it is described, not as it is done.
fn apply(model: &mut Model, topic: TopicId, partition: PartitionIndex, change: &Change) {
    let state = model.entry((topic, partition)).or_default();
    match change {
        Change::Durable(point) => state.durable = Some(*point),
        Change::LogStart(offset) => state.log_start_offset = *offset,
        Change::Segments { from, to, with } => {
            let before = state.sealed.clone();
            let in_it = |offset, old: &&SealedSegment| old.base <= offset && offset < old.next_offset;
            let is_late = |new: &&SealedSegment| {
                before.iter().filter(|old| in_it(new.base, old)).any(|old| old.generation > new.generation)
            };
            if with.is_empty() || !with.iter().all(|new| is_late(&new)) {
                state.sealed.retain(|segment| !(*from..*to).contains(&segment.base));
                state.sealed.extend(with.iter().filter(|new| !is_late(new)));
                state.sealed.sort_by_key(|segment| segment.base);
            }
        }
    }
    if state.log_start_offset > 0 {
        state.sealed.retain(|segment| segment.next_offset > state.log_start_offset);
    }
}

fn open(disk: &SimDisk) -> Result<(Checkpoint, CheckpointReport)> {
    Checkpoint::open(Arc::new(disk.clone()), Path::new(PATH))
}

fn found(checkpoint: &Checkpoint) -> Model {
    let states = checkpoint.partitions().map(|(topic, partition, state)| ((topic, partition), state.clone()));
    let states: Model = states.collect();
    states.iter().for_each(|((topic, partition), state)| assert_eq!(checkpoint.state(*topic, *partition), Some(state)));
    states
}

fn topic(n: u8) -> TopicId {
    TopicId(uuid::Uuid::from_u128(u128::from(n) << 64 | 7))
}

fn point(offset: Offset) -> Change {
    Change::Durable(DurablePoint { offset, segment_base: offset / 2, position: 1000, clean: offset % 2 == 0 })
}

fn segment(base: Offset, generation: u32) -> SealedSegment {
    SealedSegment { base, generation, bytes: 4096 + base as u64, next_offset: base + 10 }
}

/// Rolls, retention, a swap of compacted segments, a deleted topic.
fn steps() -> Vec<Step> {
    let rolled = |base| Change::Segments { from: base, to: base + 1, with: vec![segment(base, 0)] };
    let mut steps = vec![
        Step::Append(vec![(topic(1), 0, point(3)), (topic(1), 1, point(4)), (topic(2), 0, Change::LogStart(0))]),
        Step::Sync,
        Step::Append(vec![(topic(1), 0, rolled(0)), (topic(1), 0, rolled(10)), (topic(1), 0, point(20))]),
        Step::Append(vec![(topic(1), 0, rolled(20)), (topic(2), 0, rolled(0)), (topic(2), 0, point(11))]),
        Step::Sync,
        Step::Append(vec![(topic(1), 0, Change::Segments { from: 0, to: 20, with: vec![segment(0, 1)] })]),
        Step::Sync,
        Step::Append(vec![
            (topic(1), 0, Change::LogStart(12)),
            (topic(1), 0, Change::Segments { from: 0, to: 12, with: Vec::new() }),
        ]),
        Step::Forget(topic(2)),
        Step::Sync,
    ];
    steps.extend((21..36).map(|offset| Step::Append(vec![(topic(1), 0, point(offset)), (topic(3), 9, point(offset))])));
    steps
}

#[test]
fn what_is_closed_is_found_again() {
    let (disk, mut history) = (SimDisk::default(), History::new());
    let (mut checkpoint, report) = history.open(&disk).unwrap();
    assert!(report.is_new && !report.clean);
    for step in steps() {
        history.run(&mut checkpoint, &step).unwrap();
    }
    assert!(checkpoint.unsynced_bytes() > 0);
    assert_eq!(checkpoint.state(topic(3), 9).unwrap().durable.unwrap().offset, 35);
    history.close(&mut checkpoint).unwrap();
    checkpoint.close().unwrap();
    assert_eq!(checkpoint.unsynced_bytes(), 0);
    assert_eq!(checkpoint.append(&[(topic(1), 0, point(1))]).unwrap_err().code(), "TW0207");
    assert_eq!(checkpoint.forget(topic(1)).unwrap_err().code(), "TW0207");

    let (checkpoint, report) = history.open(&disk.crash(0)).unwrap();
    assert!(report.clean && !report.is_new && report.torn_tail.is_none());
    drop(checkpoint);
    assert!(open(&disk).unwrap().1.clean);
    assert!(!open(&disk).unwrap().1.clean, "it was opened since");
}

#[test]
fn the_file_stays_as_small_as_its_states() {
    let (disk, mut history) = (SimDisk::default(), History::new());
    let (mut checkpoint, _) = history.open(&disk).unwrap();
    for offset in 0..1000 {
        let partition = offset as u32 % 5;
        history.run(&mut checkpoint, &Step::Append(vec![(topic(1), partition, point(offset))])).unwrap();
        let live = checkpoint.states.encoded_len();
        let states = checkpoint.states.changes().map(|(topic, partition, change)| {
            let mut payload = Vec::new();
            entry::put_change(&mut payload, topic, partition, &change);
            payload.len() as u64
        });
        assert_eq!(live, states.sum::<u64>());
        assert!(checkpoint.end <= live + live.max(STALE_BYTES_MIN) + 100, "{} bytes, {live} live", checkpoint.end);
    }
    history.run(&mut checkpoint, &Step::Forget(topic(1))).unwrap();
    assert_eq!(checkpoint.states.encoded_len(), 0);
    drop(checkpoint);
    history.open(&disk).unwrap();
}

#[test]
fn late_news_of_a_segment_that_was_deleted_or_rewritten_count_for_nothing() {
    let disk = SimDisk::default();
    let (mut checkpoint, _) = open(&disk).unwrap();
    let sealed = |base, generation, next_offset| SealedSegment { base, generation, bytes: 9, next_offset };
    let news = |of: SealedSegment| Change::Segments { from: of.base, to: of.base + 1, with: vec![of] };
    let merged = Change::Segments { from: 0, to: 30, with: vec![sealed(0, 2, 30)] };
    let mut tell = |change| {
        checkpoint.append(&[(topic(1), 0, change)]).unwrap();
        checkpoint.state(topic(1), 0).unwrap().sealed.clone()
    };
    tell(news(sealed(0, 0, 10)));
    tell(merged);
    assert_eq!(tell(news(sealed(10, 0, 20))), [sealed(0, 2, 30)], "it was merged meanwhile");
    assert_eq!(tell(news(sealed(30, 0, 40))), [sealed(0, 2, 30), sealed(30, 0, 40)]);
    assert_eq!(tell(Change::LogStart(40)), []);
    assert_eq!(tell(news(sealed(30, 0, 40))), [], "it was deleted meanwhile");
    assert_eq!(tell(news(sealed(40, 0, 50))), [sealed(40, 0, 50)]);
}
