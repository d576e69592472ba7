//! Examining a data directory that nobody has open, and repairing it: what `tw doctor` and `tw repair` do.
//!
//! Storage knows partitions by their ids; which topics there are is told by the metadata log. This puts names to what
//! storage finds, and says what of it no topic knows.
//!
//! Left out: whether a loss is acceptable. A [`RepairPlan`] says what would be lost, and nothing is changed before it is
//! handed to [`Doctor::repair`].

use crate::broker::topics_in;
use crate::env::{Disk, RealDisk};
use crate::storage::Examiner;
pub use crate::storage::{Examined, Finding, LostRange, METADATA, RepairPlan, Severity};
use crate::types::{Error, Flush, PartitionIndex, Result, TopicConfig, TopicId, TopicName};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The name of the metadata log, among those of topics.
pub const METADATA_NAME: &str = "__metadata";

/// A closed data directory, locked for as long as this lives.
#[derive(Debug)]
pub struct Doctor {
    examiner: Examiner,
    topics: BTreeMap<TopicId, (TopicName, PartitionIndex, TopicConfig)>,
}

impl Doctor {
    /// Takes the lock of the data directory and reads which topics there are, as far as that can be read. Nothing is
    /// changed. [`Error::DirectoryInUse`], [`Error::UnsupportedFormat`], [`Error::Io`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        Self::open_on(Arc::new(RealDisk::default()), dir.as_ref())
    }

    /// The same on any disk.
    pub fn open_on(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self> {
        let examiner = Examiner::open(disk, dir)?;
        let topics = topics_in(examiner.metadata()?)?;
        Ok(Self { examiner, topics })
    }

    /// The name of a topic; `None` if the metadata log does not know it, or not any more.
    pub fn name(&self, topic: TopicId) -> Option<&str> {
        if topic == METADATA {
            return Some(METADATA_NAME);
        }
        self.topics.get(&topic).map(|(name, ..)| name.as_str())
    }

    /// The topics that have files and no name.
    pub fn unknown_topics(&self) -> Result<Vec<TopicId>> {
        let mut unknown: Vec<_> = self.examiner.partitions()?.into_iter().map(|(topic, _)| topic).collect();
        unknown.dedup();
        unknown.retain(|topic| self.name(*topic).is_none());
        Ok(unknown)
    }

    /// Reads every byte of every file. `progress` is called with the bytes that were read since the last call.
    pub fn examine(&self, progress: &mut dyn FnMut(u64)) -> Result<Examined> {
        self.examiner.examine(|topic| self.flush(topic), progress)
    }

    /// What repairing a topic would do, for each of its partitions or for one. [`Error::UnknownTopic`] and
    /// [`Error::UnknownPartition`].
    pub fn plan(&self, topic: &str, partition: Option<PartitionIndex>) -> Result<Vec<RepairPlan>> {
        let found = self.topics.iter().find(|(_, (name, ..))| name.as_str() == topic);
        let (id, partitions) = match found {
            _ if topic == METADATA_NAME => (METADATA, 1),
            Some((id, (_, partitions, _))) => (*id, *partitions),
            None => return Err(Error::UnknownTopic { name: topic.to_owned(), did_you_mean: None }),
        };
        if let Some(partition) = partition.filter(|partition| *partition >= partitions) {
            let topic = TopicName::new(topic)?;
            return Err(Error::UnknownPartition { topic, partition, partitions });
        }
        let wanted = (0..partitions).filter(|index| partition.is_none_or(|partition| partition == *index));
        wanted.map(|index| self.examiner.plan(id, index, self.flush(id))).collect()
    }

    /// Carries out plans, each with the report of its loss, which is kept in `quarantine/`. Everything is durable when it
    /// returns; the files that were set aside. A crash at any point leaves each partition as it was, or repaired.
    pub fn repair(self, plans: &[(RepairPlan, String)]) -> Result<Vec<PathBuf>> {
        let mut repairer = self.examiner.into_repairer()?;
        let mut aside = Vec::new();
        for (plan, report) in plans {
            aside.extend(repairer.repair(plan, report.as_bytes())?);
        }
        repairer.close()?;
        Ok(aside)
    }

    /// What an unclean stop may leave of a topic depends on it.
    fn flush(&self, topic: TopicId) -> Flush {
        match self.topics.get(&topic) {
            Some((name, _, config)) if !name.is_internal() => config.flush,
            _ => Flush::Durable,
        }
    }
}
