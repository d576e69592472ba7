//! A data directory: who has it, which format it has, and where things lie in it (drawn in [`super`]).

use super::ballast::Ballast;
use super::checkpoint::{Checkpoint, CheckpointReport};
use super::resources::Resources;
use super::write_error;
use crate::env::{Disk, File, OpenMode};
use crate::types::{Error, PartitionIndex, Result, TopicId, limits};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The version of the layout and of everything in it.
const FORMAT_VERSION: u32 = 2;
const FORMAT_PREFIX: &str = "tailwater ";
/// What is read of the lock and format files, in bytes.
const SMALL_FILE_BYTES: usize = 64;

/// The metadata log's name in the checkpoint, where it lies among the partitions.
pub const METADATA: TopicId = TopicId(uuid::Uuid::nil());

/// An open data directory; it is locked for as long as this lives.
#[derive(Debug)]
pub struct DataDir {
    disk: Arc<dyn Disk>,
    resources: Resources,
    ballast: Ballast,
    root: PathBuf,
    _lock: Arc<dyn File>,
}

impl DataDir {
    /// Opens the data directory at `root`, making it if it is missing.
    ///
    /// [`Error::DirectoryInUse`] if another process, or this one, has it open; [`Error::UnsupportedFormat`] if another
    /// version wrote it; [`Error::Io`] and [`Error::DiskFull`].
    pub fn open(disk: Arc<dyn Disk>, root: &Path) -> Result<Self> {
        disk.create_dir_all(root).map_err(|e| write_error("create", root, 0, e))?;
        if let Some(parent) = root.parent() {
            disk.sync_dir(parent).map_err(|e| Error::io("sync", parent, e))?;
        }
        let data_dir = Self::lock(disk, root)?;
        data_dir.check_format()?;
        for dir in [data_dir.meta_dir(), data_dir.topics_dir()] {
            data_dir.disk.create_dir_all(&dir).map_err(|e| write_error("create", dir, 0, e))?;
        }
        data_dir.sync_root()?;
        data_dir.ballast.hold();
        Ok(data_dir)
    }

    /// Takes the lock of a data directory that is there, and changes nothing else in it. Errors as for [`DataDir::open`].
    pub(super) fn open_unchanged(disk: Arc<dyn Disk>, root: &Path) -> Result<Self> {
        if !disk.exists(&root.join("format")) {
            let (path, found) = (root.join("format"), "(missing)".into());
            return Err(Error::UnsupportedFormat { path, found, supported: FORMAT_VERSION });
        }
        let data_dir = Self::lock(disk, root)?;
        data_dir.check_format()?;
        Ok(data_dir)
    }

    fn lock(disk: Arc<dyn Disk>, root: &Path) -> Result<Self> {
        let lock_path = root.join("LOCK");
        let lock = match disk.lock(&lock_path) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let pid = read_small(&disk, &lock_path).ok().filter(|pid| !pid.trim().is_empty());
                let pid = pid.map_or_else(|| "unknown".into(), |pid| pid.trim().to_owned());
                return Err(Error::DirectoryInUse { path: root.to_owned(), pid });
            }
            Err(error) => return Err(write_error("lock", lock_path, 0, error)),
        };
        let resources = Resources::new(disk.clone(), limits::OPEN_SEGMENTS_MAX, limits::TAIL_CACHE_BYTES);
        let ballast = Ballast::new(&disk, root);
        Ok(Self { disk, resources, ballast, root: root.to_owned(), _lock: lock })
    }

    /// Reads the format version; writes it into a directory that holds no data yet.
    fn check_format(&self) -> Result<()> {
        let path = self.root.join("format");
        let unsupported =
            |found| Err(Error::UnsupportedFormat { path: path.clone(), found, supported: FORMAT_VERSION });
        if self.disk.exists(&path) {
            let text = read_small(&self.disk, &path).map_err(|e| Error::io("read", &path, e))?;
            if text == format_text() {
                return Ok(());
            }
            return match text.trim().strip_prefix(FORMAT_PREFIX) {
                Some(version) if version != FORMAT_VERSION.to_string() => unsupported(version.to_owned()),
                _ => unsupported(format!("{text:?}")),
            };
        }
        if self.disk.exists(&self.topics_dir()) || self.disk.exists(&self.meta_dir()) {
            return unsupported("(missing)".into());
        }
        let new = self.root.join("format.new");
        let error = |e| write_error("write", &new, 0, e);
        let file = self.disk.open(&new, OpenMode::ReadWrite).map_err(error)?;
        file.set_len(0).map_err(error)?;
        let text = format_text();
        file.write_at(&[IoSlice::new(text.as_bytes())], 0).map_err(error)?;
        file.sync_data().map_err(error)?;
        self.disk.rename(&new, &path).map_err(error)?;
        // Durable before there is any data: data without a version is refused.
        self.sync_root()
    }

    fn sync_root(&self) -> Result<()> {
        self.disk.sync_dir(&self.root).map_err(|e| Error::io("sync", &self.root, e))
    }

    /// Opens the directory's checkpoint, as [`Checkpoint::open`] does. Open it once. One that is missing where there is
    /// data is damage.
    pub fn checkpoint(&self) -> Result<(Checkpoint, CheckpointReport)> {
        let path = self.checkpoint_path();
        let open = || Checkpoint::open(self.disk.clone(), &path);
        let (mut checkpoint, mut report) = match open() {
            Err(Error::DiskFull { .. }) if self.ballast.release() => open()?,
            other => other?,
        };
        if report.is_new && self.has_data()? {
            checkpoint.is_lost()?;
            let why = "the file is missing".into();
            report.damage = Some(Error::Corrupt { path, position: 0, offset: 0, why });
        }
        Ok((checkpoint, report))
    }

    pub(super) fn checkpoint_path(&self) -> PathBuf {
        self.root.join("checkpoint.log")
    }

    pub(super) fn has_data(&self) -> Result<bool> {
        let meta = self.meta_dir();
        let in_meta = self.disk.list(&meta).map_err(|e| Error::io("list", meta, e))?;
        Ok(!in_meta.is_empty() || !self.topics()?.is_empty())
    }

    /// Makes the room that was held back available, so that a full disk can be helped; whether there was any.
    pub fn release_ballast(&self) -> bool {
        self.ballast.release()
    }

    /// Holds room back again, if there is enough of it.
    pub fn hold_ballast(&self) {
        self.ballast.hold();
    }

    /// What its partitions share.
    pub fn resources(&self) -> &Resources {
        &self.resources
    }

    /// The disk that the directory is on.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the metadata log lies.
    pub fn meta_dir(&self) -> PathBuf {
        self.root.join("meta")
    }

    pub(super) fn topics_dir(&self) -> PathBuf {
        self.root.join("t")
    }

    /// Where the log of a partition lies.
    pub fn partition_dir(&self, topic: TopicId, partition: PartitionIndex) -> PathBuf {
        if topic == METADATA {
            return self.meta_dir();
        }
        self.topics_dir().join(topic.to_string()).join(partition.to_string())
    }

    /// The topics that have a directory, in order of id; those that the metadata does not know are left from a creation
    /// or a deletion that was interrupted.
    pub fn topics(&self) -> Result<Vec<TopicId>> {
        let dir = self.topics_dir();
        let names = self.disk.list(&dir).map_err(|e| Error::io("list", dir, e))?;
        let id = |name: &PathBuf| uuid::Uuid::try_parse(name.to_str()?).ok().map(TopicId);
        Ok(names.iter().filter_map(id).collect())
    }

    /// Whether no partition of a topic has a byte in any file.
    pub fn topic_is_empty(&self, topic: TopicId) -> Result<bool> {
        let dir = self.topics_dir().join(topic.to_string());
        let is_empty = || -> io::Result<bool> {
            for partition in self.disk.list(&dir)?.into_iter().map(|name| dir.join(name)) {
                for file in self.disk.list(&partition)?.into_iter().map(|name| partition.join(name)) {
                    if self.disk.open(&file, OpenMode::Read)?.len()? > 0 {
                        return Ok(false);
                    }
                }
            }
            Ok(true)
        };
        is_empty().map_err(|e| Error::io("look into", &dir, e))
    }

    /// Removes a topic's directory with all of its partitions. Durable when it returns; a topic that has none is fine.
    pub fn delete_topic(&self, topic: TopicId) -> Result<()> {
        let dir = self.topics_dir().join(topic.to_string());
        match self.disk.remove_dir_all(&dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io("remove", dir, error)),
            _ => {}
        }
        let dir = self.topics_dir();
        self.disk.sync_dir(&dir).map_err(|e| Error::io("sync", dir, e))
    }
}

/// All of the format file.
fn format_text() -> String {
    format!("{FORMAT_PREFIX}{FORMAT_VERSION}\n")
}

/// The text of a small file.
fn read_small(disk: &Arc<dyn Disk>, path: &Path) -> io::Result<String> {
    let mut bytes = [0; SMALL_FILE_BYTES];
    let read = disk.open(path, OpenMode::Read)?.read_at(&mut bytes, 0)?;
    Ok(String::from_utf8_lossy(&bytes[..read]).into_owned())
}
