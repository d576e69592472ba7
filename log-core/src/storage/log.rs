//! The writer of one partition's log: append, roll, sync.

use super::checkpoint::DurablePoint;
use super::producers::{Producers, Verdict};
use super::reader::{LogReader, Shared};
use super::recovery::{OpenReport, recover};
use super::scan::LEADER_EPOCH;
use super::segment::Segment;
use super::write_error;
use crate::env::{Disk, File};
use crate::record::{BATCH_HEADER_BYTES, BatchHeader, ProducerStamp, stamp_offset};
use crate::types::{Error, Flush, LogOffsets, Offset, Result, TopicPartition};
use bytes::Bytes;
use parking_lot::RwLock;
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// What a segment may grow to, so that positions and offset deltas in its index fit 32 bits.
const SEGMENT_BYTES_MAX: u64 = u32::MAX as u64;
const SEGMENT_OFFSETS_MAX: i64 = i32::MAX as i64;

/// The settings of one partition's log.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// For messages only: a name never becomes a path.
    pub partition: TopicPartition,
    /// When readers see a record: when it is durable, or when it is written.
    pub flush: Flush,
    /// A segment rolls before it would grow over this many bytes. One batch always fits.
    pub segment_bytes: u64,
}

/// Where an appended batch lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The offset of its first record.
    pub base_offset: Offset,
    /// The offset of its last record: it is acknowledged when the high watermark is above it.
    pub last_offset: Offset,
    /// Whether it was there already and nothing was appended.
    pub duplicate: bool,
}

/// The log of one partition, open for writing. The only writer of its directory.
#[derive(Debug)]
pub struct PartitionLog {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    config: LogConfig,
    shared: Arc<Shared>,
    active: Arc<Segment>,
    producers: Producers,
    durable: DurablePoint,
    /// Segments with bytes that no sync has been asked for.
    dirty: Vec<Arc<Segment>>,
    /// Whether a segment was made since the last sync.
    dir_dirty: bool,
    /// Whether a ticket is out.
    syncing: bool,
    /// Why nothing is appended any more.
    refusal: Option<Error>,
    damage: Option<Error>,
}

impl PartitionLog {
    /// Opens the log in `dir`, making it if it is missing, and recovers it from its last durable point (see
    /// [`OpenReport`]). A log below whose durable point something is wrong opens read-only.
    ///
    /// When it returns, all that it holds is durable. Record [`PartitionLog::durable_point`] in the checkpoint then,
    /// for a new log too: one without a durable point cannot tell a torn tail from damage as well.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        config: LogConfig,
        durable: Option<DurablePoint>,
    ) -> Result<(Self, OpenReport)> {
        let recovered = recover(&disk, dir, durable)?;
        let end = recovered.end.offset;
        let active = recovered.segments.last().expect("recovery leaves a segment").clone();
        let shared = Shared {
            partition: config.partition.clone(),
            segments: RwLock::new(Arc::new(recovered.segments)),
            log_start_offset: AtomicI64::new(0),
            high_watermark: AtomicI64::new(end),
            log_end_offset: AtomicI64::new(end),
        };
        let damage = recovered.report.damage.clone();
        let durable = DurablePoint {
            offset: end,
            segment_base: active.base,
            position: recovered.end.position,
            clean: durable.is_some_and(|point| point.clean && point.offset == end),
        };
        let log = Self {
            disk,
            dir: dir.to_owned(),
            config,
            shared: Arc::new(shared),
            active,
            producers: recovered.producers,
            durable,
            dirty: Vec::new(),
            dir_dirty: false,
            syncing: false,
            refusal: damage.clone(),
            damage,
        };
        Ok((log, recovered.report))
    }

    /// Appends one batch, given its place; its own base offset and leader epoch are not looked at. The caller has
    /// checked it with [`crate::record::validate`]. A batch of an idempotent producer that was appended before is
    /// answered with the offsets it got then.
    ///
    /// The batch is written, not durable: see [`PartitionLog::begin_sync`]. On an error nothing has changed.
    /// [`Error::DiskFull`] is worth another try; [`Error::OutOfOrderSequence`] and [`Error::InvalidRequest`] are the
    /// producer's; [`Error::Fenced`] and [`Error::Corrupt`] stay until the log is opened again.
    pub fn append(&mut self, batch: &[u8]) -> Result<Appended> {
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        let mut header = match BatchHeader::parse(batch)? {
            Some(header) if header.total_bytes() == batch.len() => header,
            _ => return Err(Error::Malformed { why: format!("{} bytes are not one whole batch", batch.len()) }),
        };
        if let Verdict::Duplicate { base_offset, last_offset } =
            self.producers.check(&self.config.partition, &header)?
        {
            return Ok(Appended { base_offset, last_offset, duplicate: true });
        }
        header.base_offset = self.shared.log_end_offset.load(Ordering::Relaxed);
        header.leader_epoch = LEADER_EPOCH;
        self.roll_if_full(&header)?;
        self.write(&header, batch)?;
        self.producers.remember(&header, header.max_timestamp);
        self.shared.log_end_offset.store(header.next_offset(), Ordering::Release);
        if !self.config.flush.is_durable() {
            self.shared.high_watermark.store(header.next_offset(), Ordering::Release);
        }
        Ok(Appended { base_offset: header.base_offset, last_offset: header.last_offset(), duplicate: false })
    }

    /// Appends batches in order, each on its own merits; adds a result for each to `results`.
    pub fn append_all(&mut self, batches: &[Bytes], results: &mut Vec<Result<Appended>>) {
        results.extend(batches.iter().map(|batch| self.append(batch)));
    }

    /// Writes a batch at the end of the active segment with the place that `header` says.
    fn write(&mut self, header: &BatchHeader, batch: &[u8]) -> Result<()> {
        let (front, rest) = batch.split_at(BATCH_HEADER_BYTES);
        let mut front: [u8; BATCH_HEADER_BYTES] = front.try_into().expect("split there");
        stamp_offset(&mut front, header.base_offset, header.leader_epoch);
        let (position, file) = (self.active.len(), self.active.file()?);
        if let Err(error) = file.write_at(&[IoSlice::new(&front), IoSlice::new(rest)], position) {
            let error = write_error("write", &self.active.path, batch.len() as u64, error);
            if let Err(second) = file.set_len(position) {
                let path = self.active.path.display();
                let why = format!("{error}, and {path} could not be cut back to {position} bytes: {second}");
                self.refusal = Some(Error::Fenced { why });
            }
            return Err(error);
        }
        self.active.push(position, header, &front);
        if self.dirty.last().is_none_or(|last| !Arc::ptr_eq(last, &self.active)) {
            self.dirty.push(self.active.clone());
        }
        Ok(())
    }

    /// Begins a new segment if the batch would make the active one too large.
    fn roll_if_full(&mut self, header: &BatchHeader) -> Result<()> {
        let len = self.active.len();
        let segment_bytes = self.config.segment_bytes.min(SEGMENT_BYTES_MAX);
        let fits = len + header.total_bytes() as u64 <= segment_bytes
            && header.last_offset() - self.active.base <= SEGMENT_OFFSETS_MAX;
        if len == 0 || fits {
            return Ok(());
        }
        let segment = Segment::create(&self.disk, &self.dir, header.base_offset)
            .map_err(|e| write_error("create a segment in", &self.dir, header.total_bytes() as u64, e))?;
        self.active = Arc::new(segment);
        self.dir_dirty = true;
        let mut segments = self.shared.segments.write();
        *segments = Arc::new(segments.iter().chain([&self.active]).cloned().collect());
        Ok(())
    }

    /// What to do so that everything appended so far is durable; `None` if it is, if a ticket is out, or after a sync
    /// has failed. Run the ticket without the log, then hand its result to [`PartitionLog::finish_sync`].
    ///
    /// A log that takes no more writes still syncs those that it took: someone waits for them.
    pub fn begin_sync(&mut self) -> Option<SyncTicket> {
        let nothing_to_do = self.dirty.is_empty() && !self.dir_dirty;
        if nothing_to_do || self.syncing {
            return None;
        }
        self.syncing = true;
        let dirty = std::mem::take(&mut self.dirty);
        Some(SyncTicket {
            files: dirty
                .iter()
                .map(|segment| (segment.path.clone(), segment.file().expect("it was written to").clone()))
                .collect(),
            dir: std::mem::take(&mut self.dir_dirty).then(|| (self.disk.clone(), self.dir.clone())),
            upto: DurablePoint {
                offset: self.shared.log_end_offset.load(Ordering::Relaxed),
                segment_base: self.active.base,
                position: self.active.len(),
                clean: false,
            },
        })
    }

    /// Raises the high watermark to where the log ended when `ticket` was handed out, and returns it.
    ///
    /// If the sync failed, nothing is known of what it was for and it is not tried again: the log is fenced, and this
    /// and every later append is [`Error::Fenced`]. Records below the high watermark stay readable.
    pub fn finish_sync(&mut self, ticket: SyncTicket, result: Result<()>) -> Result<Offset> {
        assert!(self.syncing && ticket.upto.offset >= self.durable.offset, "a ticket is finished once, by its log");
        self.syncing = false;
        if let Err(error) = result {
            let fenced = Error::Fenced { why: format!("a sync failed: {error}") };
            self.refusal = Some(fenced.clone());
            // What was appended while it ran is not synced either.
            (self.dirty, self.dir_dirty) = (Vec::new(), false);
            return Err(fenced);
        }
        self.durable = ticket.upto;
        self.shared.high_watermark.fetch_max(ticket.upto.offset, Ordering::AcqRel);
        Ok(ticket.upto.offset)
    }

    /// Makes everything appended so far durable, in one go. Errors as for [`PartitionLog::finish_sync`].
    pub fn sync(&mut self) -> Result<()> {
        let Some(ticket) = self.begin_sync() else { return Ok(()) };
        let result = ticket.run();
        self.finish_sync(ticket, result).map(drop)
    }

    /// Makes everything durable and says so: the point to record in the checkpoint, as for
    /// [`PartitionLog::durable_point`]. No ticket may be out.
    pub fn close(mut self) -> Result<Option<DurablePoint>> {
        assert!(!self.syncing, "a ticket is out");
        self.sync()?;
        Ok(self.durable_point().map(|point| DurablePoint { clean: self.refusal.is_none(), ..point }))
    }

    /// How far the log is known to be durable: for the checkpoint. `None` if it is damaged: then the checkpoint keeps
    /// what it has, so that the next open comes to the same finding.
    pub fn durable_point(&self) -> Option<DurablePoint> {
        self.damage.is_none().then_some(self.durable)
    }

    /// A reader of this log.
    pub fn reader(&self) -> LogReader {
        LogReader { shared: self.shared.clone() }
    }

    /// The offset ladder.
    pub fn offsets(&self) -> LogOffsets {
        self.shared.offsets()
    }

    /// Why the log takes no writes, if it does not: [`Error::Corrupt`] or [`Error::Fenced`].
    pub fn refusal(&self) -> Option<&Error> {
        self.refusal.as_ref()
    }

    /// The damage that was found when the log was opened: [`Error::Corrupt`].
    pub fn damage(&self) -> Option<&Error> {
        self.damage.as_ref()
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.shared.segments().iter().map(|segment| segment.len()).sum()
    }

    /// How many segments there are; at least one.
    pub fn segments(&self) -> u32 {
        self.shared.segments().len() as u32
    }

    /// The idempotent producers that are remembered, by producer id: the stamp (with the sequence of the last record
    /// as `base_sequence`) and the offset of the last record each appended.
    pub fn producers(&self) -> Vec<(ProducerStamp, Offset)> {
        self.producers.describe()
    }
}

/// The files to sync so that a log is durable up to a point; see [`PartitionLog::begin_sync`].
#[derive(Debug)]
#[must_use = "run it and finish it, or the log never syncs again"]
pub struct SyncTicket {
    files: Vec<(PathBuf, Arc<dyn File>)>,
    dir: Option<(Arc<dyn Disk>, PathBuf)>,
    upto: DurablePoint,
}

impl SyncTicket {
    /// Syncs; blocks until the disk is done. [`Error::Io`] for the first file or directory that fails.
    pub fn run(&self) -> Result<()> {
        for (path, file) in &self.files {
            file.sync_data().map_err(|e| Error::io("sync", path, e))?;
        }
        self.run_dir()
    }

    /// How many files it syncs.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// Syncs the directory only: for one whose files were synced by [`Disk::sync_all`](crate::env::Disk::sync_all).
    pub fn run_dir(&self) -> Result<()> {
        match &self.dir {
            Some((disk, dir)) => disk.sync_dir(dir).map_err(|e| Error::io("sync", dir, e)),
            None => Ok(()),
        }
    }

    /// The log end offset that will be durable.
    pub fn upto(&self) -> Offset {
        self.upto.offset
    }
}
