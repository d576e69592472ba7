//! One file of a partition's log: record batches, one after the other, byte for byte as they were acknowledged.
//!
//! ```text
//!   00000000000000001234.log      named by the base offset of its first batch
//!   ┌─────────────┬─────────────┬───────────────┐
//!   │ batch @1234 │ batch @1240 │ batch @1241 … │   base offsets follow on without a gap
//!   └─────────────┴─────────────┴───────────────┘
//!   0                                           len
//!
//!   00000000000000001234.2.log    generation 2: compacted or repaired; offsets grow, with gaps
//!   00000000000000001234.idx      what is known of the bytes: see `footer`
//! ```
//! A segment is shared by the writer and its readers. Bytes below `len` never change, unless the log is truncated:
//! then a reader finds out afterwards (see `reader`).
//!
//! A segment that nobody uses is a name and two numbers. Its file is opened, and its index read from the footer, on first
//! use; both go when [`Files`] closes it, but for the index of the active segment, which exists nowhere else.

use super::files::Files;
use super::footer::Footer;
use super::index::Place;
use super::scan::{Check, Found, Scanner};
use super::transactions::AbortedTransaction;
use crate::env::{Disk, File, OpenMode};
use crate::mutants::{self, Mutant};
use crate::record::{BATCH_HEAD_BYTES, BatchHeader};
use crate::types::{Error, Offset, Result, Timestamp};
use parking_lot::{Mutex, RwLock};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const NAME_DIGITS: usize = 20;

/// One segment, written or readable.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) base: Offset,
    /// 0 as it was appended; above that rewritten, with gaps.
    pub(super) generation: u32,
    pub(super) path: PathBuf,
    files: Arc<Files>,
    /// `None` while it is closed.
    file: Mutex<Option<Arc<dyn File>>>,
    /// Since [`Files`] last looked.
    used: AtomicBool,
    /// Whether the index is on disk too, so that it may be forgotten.
    is_sealed: AtomicBool,
    /// Bytes of whole batches. Published after they were written.
    len: AtomicU64,
    /// `None` until it is needed.
    footer: RwLock<Option<Footer>>,
    /// Whether the footer was made from the batches of this segment alone, which do not tell what was aborted.
    lacks_transactions: AtomicBool,
}

impl Segment {
    /// A segment of `dir` that has `len` bytes; nothing is touched before it is used.
    pub(super) fn new(files: &Arc<Files>, dir: &Path, base: Offset, generation: u32, len: u64) -> Self {
        Self {
            base,
            generation,
            path: dir.join(name_of(base, generation, "log")),
            files: files.clone(),
            file: Mutex::new(None),
            used: AtomicBool::new(true),
            is_sealed: AtomicBool::new(false),
            len: AtomicU64::new(len),
            footer: RwLock::new(None),
            lacks_transactions: AtomicBool::new(false),
        }
    }

    /// Makes an empty segment; its name is durable when the directory is synced, and so is that of a footer gone which
    /// another segment may have left there that began at `base`.
    pub(super) fn create(files: &Arc<Files>, dir: &Path, base: Offset, now: Timestamp) -> io::Result<Arc<Self>> {
        let segment = Self::new(files, dir, base, 0, 0);
        match files.disk().remove_file(&segment.footer_path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = files.disk().open(&segment.path, OpenMode::CreateNew)?;
        *segment.file.lock() = Some(file);
        *segment.footer.write() = Some(Footer::new(base, 0, now));
        let segment = Arc::new(segment);
        files.entered(&segment);
        Ok(segment)
    }

    /// The open file. [`Error::Io`] when it cannot be opened.
    pub(super) fn file(self: &Arc<Self>) -> Result<Arc<dyn File>> {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        if let Some(file) = &*self.file.lock() {
            return Ok(file.clone());
        }
        // Not under the lock: two may open it, and one of the two files is closed again.
        // Not made again: if it was removed meanwhile, whoever reads looks at the new list of segments.
        let opened = self.files.disk().open(&self.path, OpenMode::Existing);
        let opened = opened.map_err(|e| Error::io("open", &self.path, e))?;
        let file = self.file.lock().get_or_insert_with(|| opened.clone()).clone();
        if Arc::ptr_eq(&file, &opened) {
            self.files.entered(self);
        }
        Ok(file)
    }

    pub(super) fn is_open(&self) -> bool {
        self.file.lock().is_some()
    }

    /// Closes the file unless it was used since the last call; whether it is closed now.
    pub(super) fn close_unless_used(&self) -> bool {
        if self.used.swap(false, Ordering::Relaxed) {
            return false;
        }
        *self.file.lock() = None;
        if self.is_sealed.load(Ordering::Acquire) {
            *self.footer.write() = None;
        }
        true
    }

    pub(super) fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    /// Publishes a batch that was written at the end, or found there.
    pub(super) fn push(&self, position: u64, header: &BatchHeader, head: &[u8; BATCH_HEAD_BYTES], now: Timestamp) {
        let mut footer = self.footer.write();
        let footer = footer.as_mut().expect("the footer of an active segment is loaded before it is written to");
        footer.push(position, header, head, Some(now));
        // Under the lock: whoever reads the index finds the length that belongs to it.
        self.len.fetch_max(footer.log_bytes, Ordering::AcqRel);
    }

    /// Takes what is known of the segment from here on; it was collected while its bytes were walked or written.
    pub(super) fn set_footer(&self, footer: Footer) {
        *self.footer.write() = Some(footer);
    }

    /// From here on nothing is appended and the footer is in its file: see [`Segment::write_footer`].
    pub(super) fn seal(&self) {
        self.is_sealed.store(true, Ordering::Release);
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.is_sealed.load(Ordering::Acquire)
    }

    /// Its footer does not say what was aborted.
    pub(super) fn lacks_transactions(&self) {
        self.lacks_transactions.store(true, Ordering::Release);
    }

    /// Whether its footer, which is loaded if it has to be, says what was aborted.
    pub(super) fn knows_transactions(self: &Arc<Self>) -> Result<bool> {
        self.with_footer(|_| ())?;
        Ok(!self.lacks_transactions.load(Ordering::Acquire) || mutants::active(Mutant::ForgetAborted))
    }

    /// As the opposite of [`Segment::knows_transactions`], without a look at the footer if it is not in memory.
    pub(super) fn is_known_to_lack_transactions(&self) -> bool {
        self.lacks_transactions.load(Ordering::Acquire) && self.footer.read().is_some()
    }

    /// The disk that it is on.
    pub(super) fn disk(&self) -> &Arc<dyn Disk> {
        self.files.disk()
    }

    /// Takes in the transactions that were aborted in it.
    pub(super) fn learn_transactions(self: &Arc<Self>, aborted: &[AbortedTransaction]) -> Result<()> {
        self.with_footer(|_| ())?;
        if let Some(footer) = &mut *self.footer.write() {
            let new: Vec<_> = aborted.iter().filter(|new| !footer.aborted.contains(new)).copied().collect();
            footer.aborted.extend(new);
            footer.aborted.sort_unstable_by_key(|transaction| transaction.last_offset);
            self.lacks_transactions.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// The opposite, after a truncation.
    pub(super) fn unseal(&self) {
        self.is_sealed.store(false, Ordering::Release);
    }

    /// Forgets what lies at or behind `position`, a batch boundary.
    pub(super) fn cut(self: &Arc<Self>, position: u64) -> Result<()> {
        self.len.store(position, Ordering::Release);
        let rebuilt = self.walk()?;
        self.lacks_transactions();
        *self.footer.write() = Some(rebuilt);
        Ok(())
    }

    /// Calls `f` with what is known of the segment, which is read first if it has to be.
    pub(super) fn with_footer<T>(self: &Arc<Self>, f: impl FnOnce(&Footer) -> T) -> Result<T> {
        if let Some(footer) = &*self.footer.read() {
            return Ok(f(footer));
        }
        // It is entered among the open ones, so that it is forgotten with them.
        self.file()?;
        let loaded = self.load()?;
        let mut footer = self.footer.write();
        Ok(f(footer.get_or_insert(loaded)))
    }

    /// As [`Segment::with_footer`], if nothing has to be read for it.
    pub(super) fn with_footer_cached<T>(&self, f: impl FnOnce(&Footer) -> T) -> Option<T> {
        self.footer.read().as_ref().map(f)
    }

    /// Changes what is known of the active segment.
    pub(super) fn update_footer(self: &Arc<Self>, f: impl FnOnce(&mut Footer)) -> Result<()> {
        self.with_footer(|_| ())?;
        self.footer.write().as_mut().map(f).expect("nobody forgets the footer of an active segment");
        Ok(())
    }

    /// When the active segment was begun, which was not after `now`.
    pub(super) fn begun_by(self: &Arc<Self>, now: Timestamp) -> Result<Timestamp> {
        let begun = self.with_footer(|footer| footer.first_append)?;
        if begun > now {
            self.update_footer(|footer| footer.first_append = now)?;
        }
        Ok(begun.min(now))
    }

    /// What is wrong with a segment whose footer speaks of less than all of it.
    pub(super) fn incomplete(&self, footer: &Footer) -> Option<Error> {
        let place = Place { offset: footer.next_offset, position: footer.log_bytes };
        let is_whole = footer.log_bytes == self.len();
        (!is_whole).then(|| self.corrupt(place, "the batches from there on cannot be read".into()))
    }

    /// The footer from its file. One that is missing or does not fit the segment is made again from the batches, which
    /// are the truth.
    fn load(self: &Arc<Self>) -> Result<Footer> {
        match self.read_footer() {
            Ok(Some(footer)) => return Ok(footer),
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "a footer is damaged; it is made again from the batches"),
        }
        self.lacks_transactions();
        self.walk()
    }

    /// The footer in its file; `None` if there is none. [`Error::Corrupt`] if it cannot be this segment's.
    pub(super) fn read_footer(&self) -> Result<Option<Footer>> {
        let path = self.footer_path();
        let disk = self.files.disk();
        let file = match disk.open(&path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("open", path, error)),
        };
        let read = || -> io::Result<Vec<u8>> {
            let mut bytes = vec![0; usize::try_from(file.len()?).unwrap_or(usize::MAX)];
            let read = file.read_at(&mut bytes, 0)?;
            bytes.truncate(read);
            Ok(bytes)
        };
        let bytes = read().map_err(|e| Error::io("read", &path, e))?;
        let fits = |footer: Footer| {
            let (of, len) = ((footer.base_offset(), footer.generation), footer.log_bytes);
            if of != (self.base, self.generation) {
                return Err(format!("it is the footer of segment {} generation {}", of.0, of.1));
            }
            if len == self.len() || mutants::active(Mutant::TrustAnyFooter) {
                Ok(footer)
            } else {
                Err(format!("it speaks of {len} bytes, not {}", self.len()))
            }
        };
        let footer = Footer::decode(&bytes).and_then(fits);
        footer.map(Some).map_err(|why| Error::Corrupt { path, position: 0, offset: self.base, why })
    }

    /// What the headers of all batches say; ends where they are damaged.
    fn walk(self: &Arc<Self>) -> Result<Footer> {
        let mut footer = Footer::new(self.base, self.generation, Timestamp(0));
        let mut scanner = self.scan(Place { offset: self.base, position: 0 })?;
        loop {
            match scanner.next(Check::Header).map_err(|e| self.read_error(e))? {
                Found::Batch { place, header, head } => {
                    footer.push(place.position, &header, &head, None);
                }
                Found::Bad { place, why } => {
                    let error = self.corrupt(place, why);
                    tracing::error!(%error, "a segment is damaged");
                    break;
                }
                Found::End { .. } => break,
            }
        }
        Ok(footer)
    }

    /// Writes the footer as it is now; not synced. Returns the file.
    pub(super) fn write_footer(self: &Arc<Self>) -> Result<(PathBuf, Arc<dyn File>)> {
        let bytes = self.with_footer(Footer::encode)?;
        let path = self.footer_path();
        let error = |e| super::write_error("write", &path, bytes.len() as u64, e);
        let file = self.files.disk().open(&path, OpenMode::ReadWrite).map_err(error)?;
        file.set_len(0).map_err(error)?;
        file.write_at(&[io::IoSlice::new(&bytes)], 0).map_err(error)?;
        Ok((path, file))
    }

    /// Takes another footer for a sealed segment, and writes it; durable but for its name.
    pub(super) fn replace_footer(&self, footer: Footer) -> Result<()> {
        let (bytes, path) = (footer.encode(), self.footer_path());
        self.set_footer(footer);
        let (disk, new) = (self.files.disk(), path.with_extension("idx.new"));
        let error = |e| super::write_error("write", &path, bytes.len() as u64, e);
        let file = disk.open(&new, OpenMode::ReadWrite).map_err(error)?;
        file.set_len(0).map_err(error)?;
        file.write_at(&[io::IoSlice::new(&bytes)], 0).map_err(error)?;
        // It takes the place of one that may be all that speaks for the segment.
        file.sync_data().and_then(|()| disk.rename(&new, &path)).map_err(error)
    }

    /// Removes the footer, which does not speak of the segment as it is any more.
    pub(super) fn remove_footer(&self) -> Result<()> {
        let path = self.footer_path();
        match self.files.disk().remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path, error)),
            _ => Ok(()),
        }
    }

    pub(super) fn footer_path(&self) -> PathBuf {
        self.path.with_extension("idx")
    }

    /// Reads batches from `place` on.
    pub(super) fn scan(self: &Arc<Self>, place: Place) -> Result<Scanner> {
        Ok(Scanner::new(self.file()?, place, self.len(), self.generation > 0))
    }

    /// An error of reading this segment.
    pub(super) fn read_error(&self, source: io::Error) -> Error {
        Error::io("read", &self.path, source)
    }

    /// What is wrong with the bytes at `place`.
    pub(super) fn corrupt(&self, place: Place, why: String) -> Error {
        Error::Corrupt { path: self.path.clone(), position: place.position, offset: place.offset, why }
    }
}

/// The file name of the segment that begins at `base`.
pub(super) fn name_of(base: Offset, generation: u32, extension: &str) -> String {
    match generation {
        0 => format!("{base:0NAME_DIGITS$}.{extension}"),
        _ => format!("{base:0NAME_DIGITS$}.{generation}.{extension}"),
    }
}

/// Base offset, generation and extension in the name of a segment or footer; `None` for other files.
pub(super) fn parse_name(name: &Path) -> Option<(Offset, u32, &str)> {
    let (stem, extension) = name.to_str()?.rsplit_once('.')?;
    let (digits, generation) = match stem.split_once('.') {
        None => (stem, 0),
        Some((digits, generation)) => (digits, generation.parse().ok().filter(|generation| *generation > 0)?),
    };
    let is_base = digits.len() == NAME_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    let base = is_base.then(|| digits.parse().ok())??;
    // One name for each: no leading zeros or signs.
    (name.to_str()? == name_of(base, generation, extension)).then_some((base, generation, extension))
}
