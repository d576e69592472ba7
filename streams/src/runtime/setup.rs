//! Before the tasks: the topics that the job reads must exist, those that it writes are made.

use super::Options;
use crate::topology::plan::Plan;
use crate::{Error, Result};
use std::collections::BTreeMap;
use tailwater_log::service::{DescribeTopics, TopicDescription};
use tailwater_log::{Log, TopicConfig, TopicId, TopicName, TopicSpec};

/// Partitions, agreed.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Of each sub-topology.
    pub(crate) partitions: Vec<u32>,
    /// Of each output of each sub-topology.
    pub(crate) outputs: Vec<Vec<u32>>,
    /// Which topics the names of the inputs mean now.
    pub(crate) topics: BTreeMap<TopicName, TopicId>,
}

/// Checks the sources and makes what is missing of the other topics.
pub(crate) async fn prepare(log: &Log, plan: &Plan, options: &Options) -> Result<Layout> {
    let (mut found_partitions, mut topics) = (BTreeMap::new(), BTreeMap::new());
    let sources = plan.subs.iter().flat_map(|sub| &sub.inputs).filter(|input| input.writer.is_none());
    for input in sources {
        let found = log
            .service()
            .describe_topics(DescribeTopics { topics: Some(vec![input.topic.clone()]), include_internal: true });
        let found = match found.await {
            Ok(found) => found,
            Err(tailwater_log::Error::UnknownTopic { name, did_you_mean }) => {
                return Err(Error::MissingSource { topic: name, did_you_mean });
            }
            Err(error) => return Err(error.into()),
        };
        for topic in found {
            topics.insert(topic.name.clone(), topic.id);
            found_partitions.insert(topic.name, topic.partitions.len() as u32);
        }
    }
    let partitions = plan.partitions(&found_partitions)?;
    let sink_partitions = options.partitions.unwrap_or(partitions[0]);
    let mut outputs = Vec::new();
    for (index, sub) in plan.subs.iter().enumerate() {
        let mut of_sub = Vec::new();
        for output in &sub.outputs {
            of_sub.push(match output.rekey {
                Some(_) => {
                    let reader = (plan.subs.iter())
                        .position(|sub| sub.inputs.iter().any(|input| input.topic == output.topic))
                        .expect("what is written by key_by is read");
                    topics.insert(output.topic.clone(), own_topic(log, &output.topic, partitions[reader]).await?);
                    partitions[reader]
                }
                None => {
                    let found = ensure(log, &output.topic, sink_partitions, output.schema.clone()).await?;
                    found.partitions.len() as u32
                }
            });
        }
        outputs.push(of_sub);
        if let Some(changelog) = &sub.changelog {
            own_topic(log, changelog, partitions[index]).await?;
        }
    }
    Ok(Layout { partitions, outputs, topics })
}

/// Makes a topic that only the job uses; one that an earlier version of it made must still fit.
async fn own_topic(log: &Log, topic: &TopicName, wanted: u32) -> Result<TopicId> {
    let described = ensure(log, topic, wanted, None).await?;
    let found = described.partitions.len() as u32;
    if found != wanted {
        return Err(Error::PartitionsChanged { topic: topic.to_string(), found, wanted });
    }
    Ok(described.id)
}

async fn ensure(log: &Log, topic: &TopicName, partitions: u32, schema: Option<String>) -> Result<TopicDescription> {
    let config = TopicConfig { schema, ..TopicConfig::default() };
    let spec = TopicSpec { name: topic.clone(), partitions, config };
    Ok(log.admin().ensure_topic(spec).await?)
}
