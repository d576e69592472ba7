//! DescribeClientQuotas, AlterClientQuotas: how much clients may use.

use super::{Refusal, check_cluster};
use crate::broker::server::context::Context;
use crate::service::{AlterQuotas, DescribeQuotas, QuotaDescription, QuotaValues, Service};
use crate::types::{AclOperation, Error, QuotaEntity, QuotaMatch, QuotaName};
use crate::wire::alter_client_quotas::{self, EntryDataResult, OpData};
use crate::wire::describe_client_quotas::{ComponentData, EntityData, EntryData, ValueData};
use crate::wire::{
    AlterClientQuotasRequest, AlterClientQuotasResponse, DescribeClientQuotasRequest, DescribeClientQuotasResponse,
};

/// How a part of a filter is meant, by Kafka's codes.
const EXACTLY: i8 = 0;
const DEFAULT: i8 = 1;
const ANY: i8 = 2;

pub(in crate::broker::server) async fn describe(
    context: &Context,
    request: DescribeClientQuotasRequest,
) -> DescribeClientQuotasResponse {
    let refuse = |refusal: Refusal| {
        let (error_code, error_message) = refusal.told();
        DescribeClientQuotasResponse { error_code, error_message, entries: None, ..Default::default() }
    };
    if let Err(code) = check_cluster(context, AclOperation::DescribeConfigs) {
        return refuse(code.into());
    }
    let parts = request.components.into_iter().map(part).collect::<Result<Vec<_>, Error>>();
    let found = match parts {
        Ok(parts) => context.broker().describe_quotas(DescribeQuotas { parts, strict: request.strict }).await,
        Err(error) => Err(error),
    };
    let found = match found {
        Ok(found) => found,
        Err(error) => return refuse(error.into()),
    };
    let entries = found.into_iter().map(|QuotaDescription { entity, values }| {
        let part = |(kind, name): (&'static str, &QuotaName)| EntityData {
            entity_type: kind.into(),
            entity_name: match name {
                QuotaName::Default => None,
                QuotaName::Exactly(name) => Some(name.as_str().into()),
            },
        };
        let values = values.into_iter().map(|(key, value)| ValueData { key: key.name().into(), value });
        EntryData { entity: entity.parts().map(part).collect(), values: values.collect() }
    });
    DescribeClientQuotasResponse { entries: Some(entries.collect()), ..Default::default() }
}

fn part(asked: ComponentData) -> Result<(String, QuotaMatch), Error> {
    let kind = asked.entity_type.into();
    let invalid = |why: &str| Err(Error::InvalidRequest { why: format!("`{kind}` of a quota {why}") });
    let wanted = match (asked.match_type, asked.r#match) {
        (EXACTLY, Some(name)) => QuotaMatch::Exactly(name.into()),
        (EXACTLY, None) => return invalid("is to be one that is not named"),
        (DEFAULT, None) => QuotaMatch::Default,
        (ANY, None) => QuotaMatch::Any,
        (DEFAULT | ANY, Some(_)) => return invalid("is named, and is to be no particular one"),
        _ => return invalid("is to be matched in a way that there is not"),
    };
    Ok((kind, wanted))
}

pub(in crate::broker::server) async fn alter(
    context: &Context,
    request: AlterClientQuotasRequest,
) -> AlterClientQuotasResponse {
    let allowed = check_cluster(context, AclOperation::AlterConfigs);
    let mut entries = Vec::with_capacity(request.entries.len());
    for asked in request.entries {
        let altered = match allowed {
            Ok(()) => {
                let altered = alter_one(context, &asked.entity, asked.ops, request.validate_only).await;
                altered.map_err(Refusal::from)
            }
            Err(code) => Err(code.into()),
        };
        let (error_code, error_message) = altered.err().map_or((0, None), Refusal::told);
        entries.push(EntryDataResult { error_code, error_message, entity: asked.entity });
    }
    AlterClientQuotasResponse { entries, ..Default::default() }
}

async fn alter_one(
    context: &Context,
    asked: &[alter_client_quotas::EntityData],
    operations: Vec<OpData>,
    validate_only: bool,
) -> Result<(), Error> {
    let entity = entity(asked)?;
    let value = |operation: OpData| (operation.key.into(), (!operation.remove).then_some(operation.value));
    let values: QuotaValues = operations.into_iter().map(value).collect();
    let request = AlterQuotas { entries: vec![(entity, values)], validate_only };
    context.broker().alter_quotas(request).await.pop().unwrap_or(Err(Error::Closed))
}

/// Whom a quota is for, by the parts that a request names.
fn entity(parts: &[alter_client_quotas::EntityData]) -> Result<QuotaEntity, Error> {
    let mut entity = QuotaEntity::default();
    for part in parts {
        let place = match &*part.entity_type {
            "user" => &mut entity.user,
            "client-id" => &mut entity.client_id,
            "ip" => &mut entity.ip,
            other => {
                let kind: String = other.chars().take(64).collect();
                return Err(Error::InvalidRequest { why: format!("there are no quotas for a `{kind}`") });
            }
        };
        let name = match &part.entity_name {
            None => QuotaName::Default,
            Some(name) if name.is_empty() => {
                let why = format!("the {} of a quota has no name; none at all is everyone", part.entity_type);
                return Err(Error::InvalidRequest { why });
            }
            Some(name) => QuotaName::Exactly(name.to_string()),
        };
        if place.replace(name).is_some() {
            return Err(Error::InvalidRequest { why: format!("`{}` is named twice", part.entity_type) });
        }
    }
    Ok(entity)
}
