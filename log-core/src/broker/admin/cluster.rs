//! The cluster, which is one broker: where its data lies, who leads, what it has agreed on, and its producer ids.

use super::super::Broker;
use super::super::metadata::{FEATURES, MetadataRecord};
use crate::service::{
    AlterReassignments, ByPartition, ClusterDescription, DescribeLogDirs, ElectLeaders, FeatureDescription,
    LogDirDescription, UpdateFeatures,
};
use crate::types::{Error, Offset, Result, TopicPartition, limits};
use std::ops::Range;
use uuid::Builder;

impl Broker {
    /// The id that clients know it by (`node.id`).
    pub(in crate::broker) const fn node_id(&self) -> i32 {
        self.node_id
    }

    pub(in crate::broker) async fn cluster(&self) -> Result<ClusterDescription> {
        let known = self.image.read().cluster_id().map(str::to_owned);
        let cluster_id = match known {
            Some(id) => id,
            // A directory of a version before has none.
            None => {
                let fresh = Builder::from_random_bytes(self.random()).into_uuid().as_hyphenated().to_string();
                self.change(|image| match image.cluster_id() {
                    Some(id) => Ok((Vec::new(), id.to_owned())),
                    None => Ok((vec![MetadataRecord::Cluster { id: fresh.clone() }], fresh)),
                })
                .await?
            }
        };
        self.check_open()?;
        Ok(ClusterDescription { cluster_id, controller_id: self.node_id, brokers: vec![self.node_id] })
    }

    /// How far the metadata log is decided.
    pub(in crate::broker) fn metadata_end(&self) -> Offset {
        self.quorum.end()
    }

    pub(in crate::broker) fn log_dirs(&self, request: &DescribeLogDirs) -> Result<Vec<LogDirDescription>> {
        self.check_open()?;
        let (path, free_bytes) =
            self.with_dir(|dir| (dir.root().display().to_string(), dir.disk().free_bytes(dir.root()).ok()))?;
        let mut partitions = Vec::new();
        for partition in self.partitions(request.partitions.as_deref()) {
            // What was asked for and is not there is left out, as Kafka does.
            if let Ok(partition) = self.partition(&partition) {
                let bytes = partition.describe().map_or(0, |description| description.bytes);
                partitions.push((partition.name.clone(), bytes));
            }
        }
        Ok(vec![LogDirDescription { path, free_bytes, partitions }])
    }

    pub(in crate::broker) fn elect(&self, request: &ElectLeaders) -> Result<ByPartition<()>> {
        self.check_open()?;
        let elected = self.partitions(request.partitions.as_deref()).into_iter().map(|partition| {
            let is_led = self.partition(&partition).map(drop);
            let needless = Error::ElectionNotNeeded { partition: partition.clone() };
            (partition, is_led.and(Err(needless)))
        });
        // Asked for all, only those are told that were in need of it.
        Ok(elected.filter(|_| request.partitions.is_some()).collect())
    }

    pub(in crate::broker) fn reassign(&self, request: &AlterReassignments) -> Vec<Result<()>> {
        let reassigned = request.partitions.iter().map(|(partition, brokers)| {
            self.check_open()?;
            self.partition(partition)?;
            match brokers {
                None => Err(Error::NoReassignment { partition: partition.clone() }),
                Some(brokers) if brokers.as_slice() == [self.node_id] => Ok(()),
                Some(brokers) => {
                    let only = self.node_id;
                    let why = format!("{partition} is assigned to {brokers:?}; the only broker is {only}");
                    Err(Error::InvalidReplicaAssignment { why })
                }
            }
        });
        reassigned.collect()
    }

    pub(in crate::broker) fn features(&self) -> Result<Vec<FeatureDescription>> {
        self.check_open()?;
        let image = self.image.read();
        let described = FEATURES.iter().zip(image.features()).map(|(feature, (name, level))| FeatureDescription {
            name,
            min_level: feature.min_level,
            max_level: feature.max_level,
            level,
        });
        Ok(described.collect())
    }

    pub(in crate::broker) async fn set_features(&self, request: UpdateFeatures) -> Result<()> {
        self.change(|image| {
            let mut records = Vec::new();
            for (name, level, may_go_down) in request.updates {
                let failed = |why: String| Err(Error::FeatureUpdateFailed { feature: name.clone(), why });
                let Some(feature) = FEATURES.iter().find(|feature| feature.name == name) else {
                    return failed("is not known".into());
                };
                let now = image.features().find(|(known, _)| *known == name).map_or(0, |(_, level)| level);
                if !(feature.min_level..=feature.max_level).contains(&level) {
                    return failed(format!("has levels {} to {}, not {level}", feature.min_level, feature.max_level));
                }
                if level < now && !may_go_down {
                    return failed(format!("is at level {now}; to go down to {level} has to be allowed"));
                }
                if level != now {
                    records.push(MetadataRecord::Feature { name, level });
                }
            }
            if request.validate_only {
                records.clear();
            }
            Ok((records, ()))
        })
        .await
    }

    /// Producer ids that nobody else was or will be given, `[start, end)`. Durable when it returns.
    pub(in crate::broker) async fn producer_id_block(&self) -> Result<Range<i64>> {
        self.change(|image| {
            let start = image.next_producer_id().max(limits::PRODUCER_ID_FIRST);
            let next = start.checked_add(limits::PRODUCER_ID_BLOCK);
            let next = next.ok_or_else(|| Error::InvalidRequest { why: "there are no producer ids left".into() })?;
            Ok((vec![MetadataRecord::ProducerIds { next }], start..next))
        })
        .await
    }

    /// Those that were asked for, or all, in order.
    fn partitions(&self, wanted: Option<&[TopicPartition]>) -> Vec<TopicPartition> {
        let all = || {
            let topics: Vec<_> = self.topics.iter().map(|topic| topic.clone()).collect();
            let mut all: Vec<_> = topics.iter().flat_map(|t| t.partitions.iter().map(|p| p.name.clone())).collect();
            all.sort();
            all
        };
        wanted.map_or_else(all, <[_]>::to_vec)
    }
}
