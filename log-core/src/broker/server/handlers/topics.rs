//! CreateTopics, CreatePartitions, DeleteTopics.

use super::{Refusal, text};
use crate::broker::server::context::{Context, Resource};
use crate::service::{
    CreatePartitions, CreateTopics, DeleteTopic, DescribeConfigs, MorePartitions, NewTopic, Service, TopicDescription,
    TopicRef,
};
use crate::types::{AclOperation, ConfigResource, Error, Result, TopicId, TopicName};
use crate::wire::create_partitions::CreatePartitionsTopicResult;
use crate::wire::create_topics::{CreatableTopic, CreatableTopicConfigs, CreatableTopicResult};
use crate::wire::delete_topics::{DeletableTopicResult, DeleteTopicState};
use crate::wire::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse, ErrorCode, Str, Version,
};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A number that the broker chooses.
const AS_SET: i32 = -1;
/// The first version that deletes by id, and that says so of each topic.
const DELETED_BY_ID_FROM: i16 = 6;

pub(in crate::broker::server) async fn create_topics(
    context: &Context,
    request: CreateTopicsRequest,
) -> CreateTopicsResponse {
    let mut named = BTreeMap::<Str, usize>::new();
    request.topics.iter().for_each(|topic| *named.entry(topic.name.clone()).or_default() += 1);
    let mut topics = Vec::with_capacity(named.len());
    for topic in request.topics {
        let name = topic.name.clone();
        let result = match named.get(&name) {
            // Those that are named twice are answered once.
            None => continue,
            Some(1) => create(context, topic, request.validate_only).await,
            Some(_) => {
                named.remove(&name);
                Err(Error::InvalidRequest { why: format!("topic `{name}` is named twice") }.into())
            }
        };
        topics.push(match result {
            Ok(created) => created,
            Err(Refusal { code, why }) => {
                let (error_code, error_message) = (code.number(), text(why));
                CreatableTopicResult { name, error_code, error_message, ..no_configs() }
            }
        });
    }
    CreateTopicsResponse { topics, ..Default::default() }
}

/// The Java client does not expect null for settings.
fn no_configs() -> CreatableTopicResult {
    CreatableTopicResult { configs: Some(Vec::new()), ..Default::default() }
}

async fn create(
    context: &Context,
    topic: CreatableTopic,
    validate_only: bool,
) -> std::result::Result<CreatableTopicResult, Refusal> {
    let may = |resource| context.may(AclOperation::Create, resource);
    if !may(Resource::Cluster) && !may(Resource::Topic(&topic.name)) {
        return Err(ErrorCode::TopicAuthorizationFailed.into());
    }
    let new = new_topic(topic)?;
    let broker = context.broker();
    let mut created = Service::create_topics(broker, CreateTopics { topics: vec![new], validate_only }).await;
    let TopicDescription { name, id, partitions, .. } = created.pop().unwrap_or(Err(Error::Closed))?;
    let mut result = CreatableTopicResult {
        name: name.as_str().into(),
        topic_id: id.0,
        num_partitions: partitions.len() as i32,
        replication_factor: 1,
        ..no_configs()
    };
    if !context.may(AclOperation::DescribeConfigs, Resource::Topic(name.as_str())) {
        result.topic_config_error_code = ErrorCode::TopicAuthorizationFailed.number();
        (result.num_partitions, result.replication_factor) = (-1, -1);
        return Ok(result);
    }
    if validate_only {
        return Ok(result);
    }
    let resources = vec![(ConfigResource::Topic(name), None)];
    let described = broker.describe_configs(DescribeConfigs { resources, ..DescribeConfigs::default() }).await;
    let entries = described.into_iter().flatten().flatten().map(|entry| CreatableTopicConfigs {
        name: entry.name.into(),
        value: entry.value.map(Into::into),
        read_only: entry.read_only,
        config_source: entry.source.code(),
        is_sensitive: false,
    });
    result.configs = Some(entries.collect());
    Ok(result)
}

fn new_topic(topic: CreatableTopic) -> Result<NewTopic> {
    let name = topic.name.to_string();
    // What is not a count at all is refused by the broker as none.
    let partitions = match topic.num_partitions {
        AS_SET => None,
        count => Some(u32::try_from(count).unwrap_or(0)),
    };
    let replication_factor = Some(topic.replication_factor).filter(|factor| i32::from(*factor) != AS_SET);
    let mut assignments = Vec::with_capacity(topic.assignments.len());
    for assigned in topic.assignments {
        let index = u32::try_from(assigned.partition_index).map_err(|_| Error::InvalidReplicaAssignment {
            why: format!("`{name}` has no partition {}", assigned.partition_index),
        })?;
        assignments.push((index, assigned.broker_ids));
    }
    let configs = topic.configs.into_iter().map(|set| (set.name.into(), set.value.map(Into::into)));
    Ok(NewTopic { name, partitions, replication_factor, assignments, configs: configs.collect() })
}

pub(in crate::broker::server) async fn create_partitions(
    context: &Context,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let (mut topics, mut results) = (Vec::new(), Vec::new());
    for asked in request.topics {
        let more = match TopicName::new(&asked.name) {
            _ if !context.may(AclOperation::Alter, Resource::Topic(&asked.name)) => {
                Err(ErrorCode::TopicAuthorizationFailed.into())
            }
            Ok(topic) => Ok(MorePartitions {
                topic,
                count: u32::try_from(asked.count).unwrap_or(0),
                assignments: asked.assignments.map(|all| all.into_iter().map(|one| one.broker_ids).collect()),
            }),
            Err(error) => Err(Refusal::from(error)),
        };
        results.push((asked.name, more.map(|more| topics.push(more))));
    }
    let validate_only = request.validate_only;
    let mut made = context.broker().create_partitions(CreatePartitions { topics, validate_only }).await.into_iter();
    let results = results.into_iter().map(|(name, asked)| {
        let result = asked.and_then(|()| made.next().unwrap_or(Err(Error::Closed)).map_err(Refusal::from));
        match result {
            Ok(()) => CreatePartitionsTopicResult { name, ..Default::default() },
            Err(Refusal { code, why }) => {
                CreatePartitionsTopicResult { name, error_code: code.number(), error_message: text(why) }
            }
        }
    });
    CreatePartitionsResponse { results: results.collect(), ..Default::default() }
}

pub(in crate::broker::server) async fn delete_topics(
    context: &Context,
    request: DeleteTopicsRequest,
    version: Version,
) -> DeleteTopicsResponse {
    let by_name =
        request.topic_names.into_iter().map(|name| DeleteTopicState { name: Some(name), ..Default::default() });
    let topics: Vec<_> = match version.number {
        DELETED_BY_ID_FROM.. => request.topics,
        _ => by_name.collect(),
    };
    let mut responses = Vec::with_capacity(topics.len());
    for DeleteTopicState { name, topic_id } in topics {
        let deleted = delete(context, name.as_deref(), topic_id).await;
        responses.push(match deleted {
            Ok((known, id)) => DeletableTopicResult { name: text(known), topic_id: id.0, ..Default::default() },
            Err(Refusal { code, why }) => {
                DeletableTopicResult { name, topic_id, error_code: code.number(), error_message: text(why) }
            }
        });
    }
    DeleteTopicsResponse { responses, ..Default::default() }
}

async fn delete(context: &Context, name: Option<&str>, id: Uuid) -> std::result::Result<(TopicName, TopicId), Refusal> {
    if name.is_some() && !id.is_nil() {
        return Err(
            Error::InvalidRequest { why: "a topic is named by its name or by its id, not by both".into() }.into()
        );
    }
    let id = Some(id).filter(|_| name.is_none());
    let topic = super::topic(context, name.unwrap_or_default(), id, AclOperation::Delete)?;
    let (name, id) = (topic.name.clone(), topic.id);
    context.broker().delete_topic(DeleteTopic { topic: TopicRef::Id(id) }).await?;
    Ok((name, id))
}
