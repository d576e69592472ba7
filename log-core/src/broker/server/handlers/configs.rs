//! DescribeConfigs, AlterConfigs, IncrementalAlterConfigs, ListConfigResources: the settings of topics, brokers and groups.
//!
//! Two kinds of resources that Kafka has are known here and have nothing: loggers of a broker, whose levels are given at
//! the start, and subscriptions of client metrics.

use super::{Refusal, check_cluster, each_once};
use crate::broker::server::context::{Context, Resource};
use crate::service::{
    AlterConfigs, ConfigEntry, ConfigSynonym, ConfigValues, DescribeConfigs, IncrementalAlterConfigs, Service,
};
use crate::types::{AclOperation, ConfigChange, ConfigOperation, ConfigResource, Error, GroupId, Result, TopicName};
use crate::wire::describe_configs::{
    DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use crate::wire::list_config_resources::ConfigResource as ListedResource;
use crate::wire::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse, ErrorCode,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, ListConfigResourcesRequest,
    ListConfigResourcesResponse, Str, Version, alter_configs, incremental_alter_configs,
};
use std::collections::BTreeMap;

/// Kinds of resources, by Kafka's codes.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;
const KINDS: [i8; 5] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];
/// Resources of one request to describe some; those beyond are not answered. A group need not be there to be described.
const RESOURCES_MAX: usize = 20_000;
/// The first version of ListConfigResources that lists other kinds than client metrics (KIP-1142).
const KINDS_FROM: i16 = 1;

fn invalid<T>(why: String) -> std::result::Result<T, Refusal> {
    Err(Error::InvalidRequest { why }.into())
}

/// A resource that a request names.
#[derive(Debug)]
enum Named {
    Known(ConfigResource),
    /// One of a kind that has nothing here.
    Bare,
}

/// The resource of a kind and a name, if the peer may do that to it.
fn named(context: &Context, kind: i8, name: &str, operation: AclOperation) -> std::result::Result<Named, Refusal> {
    let (resource, code) = match kind {
        TOPIC => (Resource::Topic(name), ErrorCode::TopicAuthorizationFailed),
        GROUP => (Resource::Group(name), ErrorCode::GroupAuthorizationFailed),
        BROKER | BROKER_LOGGER | CLIENT_METRICS => (Resource::Cluster, ErrorCode::ClusterAuthorizationFailed),
        other => return invalid(format!("there are no resources of kind {other}")),
    };
    if !context.may(operation, resource) {
        return Err(code.into());
    }
    let node_id = context.broker().node_id();
    let known = |resource: Result<ConfigResource>| resource.map(Named::Known).map_err(Refusal::from);
    match kind {
        TOPIC => known(TopicName::new(name).map(ConfigResource::Topic)),
        GROUP => known(GroupId::new(name).map(ConfigResource::Group)),
        BROKER if name.is_empty() => Ok(Named::Known(ConfigResource::Broker(None))),
        BROKER => match name.parse() {
            Ok(id) => Ok(Named::Known(ConfigResource::Broker(Some(id)))),
            Err(_) => invalid(format!("`{name}` is no broker's id; the only broker is {node_id}")),
        },
        BROKER_LOGGER if name.parse() != Ok(node_id) => {
            invalid(format!("`{name}` is no broker's id; the only broker is {node_id}"))
        }
        CLIENT_METRICS if name.is_empty() => invalid("a subscription of client metrics has a name".into()),
        _ => Ok(Named::Bare),
    }
}

pub(in crate::broker::server) async fn describe(
    context: &Context,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let DescribeConfigsRequest { resources, include_synonyms, include_documentation } = request;
    let mut results = Vec::new();
    let asked = each_once(resources, |asked| (asked.resource_type, asked.resource_name.clone()));
    for asked in asked.into_iter().take(RESOURCES_MAX) {
        let DescribeConfigsResource { resource_type, resource_name, configuration_keys } = asked;
        // As Kafka takes it: no keys at all are all of them.
        let keys = configuration_keys.filter(|keys| !keys.is_empty());
        let keys = keys.map(|keys| keys.into_iter().map(String::from).collect());
        let described = match named(context, resource_type, &resource_name, AclOperation::DescribeConfigs) {
            Ok(Named::Bare) => Ok(Vec::new()),
            Ok(Named::Known(resource)) => {
                let resources = vec![(resource, keys)];
                let request = DescribeConfigs { resources, include_synonyms, include_documentation };
                let described = context.broker().describe_configs(request).await.pop();
                described.unwrap_or(Err(Error::Closed)).map_err(Refusal::from)
            }
            Err(refusal) => Err(refusal),
        };
        results.push(match described {
            Ok(entries) => {
                let configs = entries.into_iter().map(entry).collect();
                DescribeConfigsResult { resource_type, resource_name, configs, ..Default::default() }
            }
            Err(refusal) => {
                let (error_code, error_message) = refusal.told();
                let configs = Vec::new();
                DescribeConfigsResult { error_code, error_message, resource_type, resource_name, configs }
            }
        });
    }
    DescribeConfigsResponse { results, ..Default::default() }
}

fn entry(entry: ConfigEntry) -> DescribeConfigsResourceResult {
    let ConfigEntry { name, value, read_only, source, kind, synonyms, documentation } = entry;
    let synonym = |ConfigSynonym { name, value, source }| DescribeConfigsSynonym {
        name: name.into(),
        value: value.map(Into::into),
        source: source.code(),
    };
    DescribeConfigsResourceResult {
        name: name.into(),
        value: value.map(Into::into),
        read_only,
        config_source: source.code(),
        // Secrets are no settings here: they are kept as credentials.
        is_sensitive: false,
        synonyms: synonyms.into_iter().map(synonym).collect(),
        config_type: kind.code(),
        documentation: documentation.map(Into::into),
    }
}

/// Which resources are named more than once.
fn named_twice<'a>(resources: impl Iterator<Item = (i8, &'a Str)>) -> BTreeMap<(i8, String), usize> {
    let mut named = BTreeMap::new();
    resources.for_each(|(kind, name)| *named.entry((kind, name.to_string())).or_default() += 1);
    named.retain(|_, times| *times > 1);
    named
}

/// The resource that is to be changed.
fn to_alter(
    context: &Context,
    kind: i8,
    name: &str,
    twice: &BTreeMap<(i8, String), usize>,
) -> std::result::Result<ConfigResource, Refusal> {
    if twice.contains_key(&(kind, name.to_owned())) {
        return invalid(format!("`{name}` is named twice"));
    }
    match named(context, kind, name, AclOperation::AlterConfigs)? {
        Named::Known(resource) => Ok(resource),
        Named::Bare if kind == BROKER_LOGGER => invalid("levels of loggers are given at the start".into()),
        Named::Bare => invalid("metrics of clients are not collected".into()),
    }
}

pub(in crate::broker::server) async fn alter(context: &Context, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let twice = named_twice(request.resources.iter().map(|asked| (asked.resource_type, &asked.resource_name)));
    let mut responses = Vec::with_capacity(request.resources.len());
    for asked in request.resources {
        let (resource_type, resource_name) = (asked.resource_type, asked.resource_name);
        let altered = match to_alter(context, resource_type, &resource_name, &twice) {
            Ok(resource) => {
                let values = asked.configs.into_iter().map(|set| (set.name.into(), set.value.map(Into::into)));
                let resources = vec![(resource, values.collect::<ConfigValues>())];
                let request = AlterConfigs { resources, validate_only: request.validate_only };
                let altered = context.broker().alter_configs(request).await.pop();
                altered.unwrap_or(Err(Error::Closed)).map_err(Refusal::from)
            }
            Err(refusal) => Err(refusal),
        };
        let (error_code, error_message) = altered.err().map_or((0, None), Refusal::told);
        responses.push(alter_configs::AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type,
            resource_name,
        });
    }
    AlterConfigsResponse { responses, ..Default::default() }
}

pub(in crate::broker::server) async fn alter_incrementally(
    context: &Context,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let twice = named_twice(request.resources.iter().map(|asked| (asked.resource_type, &asked.resource_name)));
    let mut responses = Vec::with_capacity(request.resources.len());
    for asked in request.resources {
        let (resource_type, resource_name) = (asked.resource_type, asked.resource_name);
        let changes = asked.configs.into_iter().map(change).collect::<std::result::Result<Vec<_>, _>>();
        let resource = to_alter(context, resource_type, &resource_name, &twice);
        let altered = match resource.and_then(|resource| Ok((resource, changes?))) {
            Ok(change) => {
                let request = IncrementalAlterConfigs { resources: vec![change], validate_only: request.validate_only };
                let altered = context.broker().incremental_alter_configs(request).await.pop();
                altered.unwrap_or(Err(Error::Closed)).map_err(Refusal::from)
            }
            Err(refusal) => Err(refusal),
        };
        let (error_code, error_message) = altered.err().map_or((0, None), Refusal::told);
        responses.push(incremental_alter_configs::AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type,
            resource_name,
        });
    }
    IncrementalAlterConfigsResponse { responses, ..Default::default() }
}

fn change(asked: incremental_alter_configs::AlterableConfig) -> std::result::Result<ConfigChange, Refusal> {
    let incremental_alter_configs::AlterableConfig { name, config_operation, value } = asked;
    match ConfigOperation::from_code(config_operation) {
        Some(operation) => Ok(ConfigChange { name: name.into(), operation, value: value.map(Into::into) }),
        None => invalid(format!("there is no operation {config_operation} on settings")),
    }
}

pub(in crate::broker::server) async fn list(
    context: &Context,
    request: ListConfigResourcesRequest,
    version: Version,
) -> ListConfigResourcesResponse {
    let refuse = |code: ErrorCode| ListConfigResourcesResponse { error_code: code.number(), ..Default::default() };
    if let Err(code) = check_cluster(context, AclOperation::DescribeConfigs) {
        return refuse(code);
    }
    let kinds = match request.resource_types {
        _ if version.number < KINDS_FROM => vec![CLIENT_METRICS],
        none if none.is_empty() => KINDS.to_vec(),
        some => some,
    };
    if kinds.iter().any(|kind| !KINDS.contains(kind)) {
        return refuse(ErrorCode::UnsupportedVersion);
    }
    let all = match context.broker().list_config_resources().await {
        Ok(all) => all,
        Err(error) => return refuse(ErrorCode::of(&error)),
    };
    let named = all.iter().filter(|resource| !matches!(resource, ConfigResource::Broker(None)));
    let listed = |resource_type, name: String| ListedResource { resource_name: name.into(), resource_type };
    let mut config_resources: Vec<_> = named.map(|resource| listed(resource.code(), resource.name())).collect();
    config_resources.push(listed(BROKER_LOGGER, context.broker().node_id().to_string()));
    config_resources.retain(|resource| kinds.contains(&resource.resource_type));
    ListConfigResourcesResponse { config_resources, ..Default::default() }
}
