//! Before the tasks: the topics that the job reads must exist, those that it writes are made.

use super::Options;
use crate::topology::plan::{Output, Plan};
use crate::{Error, Result};
use std::collections::BTreeMap;
use tailwater_log::service::DescribeTopics;
use tailwater_log::{Log, TopicConfig, TopicName, TopicSpec};

/// Partitions, agreed.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Of each sub-topology.
    pub(crate) partitions: Vec<u32>,
    /// Of each output of each sub-topology.
    pub(crate) outputs: Vec<Vec<u32>>,
}

/// Checks the sources and makes what is missing of the other topics.
pub(crate) async fn prepare(log: &Log, plan: &Plan, options: &Options) -> Result<Layout> {
    let mut topics = BTreeMap::new();
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
        topics.extend(found.into_iter().map(|topic| (topic.name, topic.partitions.len() as u32)));
    }
    let partitions = plan.partitions(&topics)?;
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
                    own_topic(log, output, partitions[reader]).await?
                }
                None => ensure(log, &output.topic, sink_partitions, output.schema.clone()).await?,
            });
        }
        outputs.push(of_sub);
        if let Some(changelog) = &sub.changelog {
            let output = Output { topic: changelog.clone(), schema: None, rekey: None };
            own_topic(log, &output, partitions[index]).await?;
        }
    }
    Ok(Layout { partitions, outputs })
}

/// Makes a topic that only the job uses; one that an earlier version of it made must still fit.
async fn own_topic(log: &Log, output: &Output, wanted: u32) -> Result<u32> {
    let found = ensure(log, &output.topic, wanted, None).await?;
    if found != wanted {
        return Err(Error::PartitionsChanged { topic: output.topic.to_string(), found, wanted });
    }
    Ok(found)
}

async fn ensure(log: &Log, topic: &TopicName, partitions: u32, schema: Option<String>) -> Result<u32> {
    let config = TopicConfig { schema, ..TopicConfig::default() };
    let spec = TopicSpec { name: topic.clone(), partitions, config };
    let found = log.admin().ensure_topic(spec).await?;
    Ok(found.partitions.len() as u32)
}
