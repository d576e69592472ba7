//! Access: entries of access control, users and their credentials, quotas. Any broker answers, and passes changes on.
//!
//! A password does not leave this process: what is sent is its salted hash, as the caller made it.

use super::Remote;
use super::cluster::{Target, answer, call};
use super::retry::{REQUEST_LIMIT, Trouble, persist};
use crate::service::{
    AlterQuotas, AlterScramUsers, ByUser, CreateAcls, DeleteAcls, DescribeAcls, DescribeQuotas, DescribeScramUsers,
    QuotaDescription, ScramUser,
};
use crate::types::{
    AclBinding, AclFilter, AclOperation, AclPermission, Error, PatternFilter, PatternType, QuotaEntity, QuotaKey,
    QuotaMatch, QuotaName, ResourceType, Result, ScramMechanism,
};
use crate::wire::alter_client_quotas::{EntityData, EntryData, OpData};
use crate::wire::alter_user_scram_credentials::{ScramCredentialDeletion, ScramCredentialUpsertion};
use crate::wire::create_acls::AclCreation;
use crate::wire::delete_acls::DeleteAclsFilter;
use crate::wire::describe_client_quotas::ComponentData;
use crate::wire::describe_user_scram_credentials::UserName;
use crate::wire::{
    AlterClientQuotasRequest, AlterUserScramCredentialsRequest, CreateAclsRequest, DeleteAclsRequest,
    DescribeAclsRequest, DescribeClientQuotasRequest, DescribeUserScramCredentialsRequest, ErrorCode, Request, Str,
};

/// Kafka's codes of what a filter leaves open, and of patterns that cover a name.
const ANY: i8 = 1;
const MATCH: i8 = 2;

impl Remote {
    pub(super) async fn make_acls(&self, request: CreateAcls) -> Vec<Result<()>> {
        let count = request.entries.len();
        let creation = |entry: AclBinding| AclCreation {
            resource_type: entry.resource_type.code(),
            resource_name: entry.resource_name.into(),
            resource_pattern_type: entry.pattern_type.code(),
            principal: entry.principal.into(),
            host: entry.host.into(),
            operation: entry.operation.code(),
            permission_type: entry.permission.code(),
        };
        let asked = CreateAclsRequest { creations: request.entries.into_iter().map(creation).collect() };
        let told = persist!(self.cluster.patience(REQUEST_LIMIT), async {
            let told =
                answer!(self.cluster.ask(Target::Any, call(Request::CreateAcls(asked.clone()))).await, CreateAcls)?;
            passing(told.results.iter().map(|one| one.error_code))?;
            Ok::<_, Trouble>(told.results)
        });
        each(count, told, |one| refused(one.error_code, "access control", one.error_message.as_deref()))
    }

    pub(super) async fn look_at_acls(&self, request: DescribeAcls) -> Result<Vec<AclBinding>> {
        let filter = filter(&request.filter);
        let asked = DescribeAclsRequest {
            resource_type_filter: filter.resource_type_filter,
            resource_name_filter: filter.resource_name_filter,
            pattern_type_filter: filter.pattern_type_filter,
            principal_filter: filter.principal_filter,
            host_filter: filter.host_filter,
            operation: filter.operation,
            permission_type: filter.permission_type,
        };
        let told = persist!(self.cluster.patience(REQUEST_LIMIT), async {
            let call = call(Request::DescribeAcls(asked.clone()));
            let told = answer!(self.cluster.ask(Target::Any, call).await, DescribeAcls)?;
            Trouble::check(told.error_code, "access control", told.error_message.as_deref())?;
            Ok::<_, Trouble>(told)
        })?;
        let mut entries = Vec::new();
        for resource in &told.resources {
            for one in &resource.acls {
                let kind = (resource.resource_type, resource.pattern_type, &resource.resource_name);
                entries.extend(binding(kind, &one.principal, &one.host, one.operation, one.permission_type));
            }
        }
        Ok(entries)
    }

    pub(super) async fn drop_acls(&self, request: DeleteAcls) -> Vec<Result<Vec<AclBinding>>> {
        let asked = DeleteAclsRequest { filters: request.filters.iter().map(filter).collect() };
        let told = persist!(self.cluster.patience(REQUEST_LIMIT), async {
            let told =
                answer!(self.cluster.ask(Target::Any, call(Request::DeleteAcls(asked.clone()))).await, DeleteAcls)?;
            passing(told.filter_results.iter().map(|one| one.error_code))?;
            Ok::<_, Trouble>(told.filter_results)
        });
        each(request.filters.len(), told, |one| {
            refused(one.error_code, "access control", one.error_message.as_deref())?;
            let mut gone = Vec::new();
            for one in &one.matching_acls {
                refused(one.error_code, "access control", one.error_message.as_deref())?;
                let kind = (one.resource_type, one.pattern_type, &one.resource_name);
                gone.extend(binding(kind, &one.principal, &one.host, one.operation, one.permission_type));
            }
            Ok(gone)
        })
    }

    pub(super) async fn look_at_users(&self, request: DescribeScramUsers) -> Result<ByUser<ScramUser>> {
        let users = request.users.map(|users| users.into_iter().map(|user| UserName { name: user.into() }).collect());
        let asked = DescribeUserScramCredentialsRequest { users };
        let told = persist!(self.cluster.patience(REQUEST_LIMIT), async {
            let call = call(Request::DescribeUserScramCredentials(asked.clone()));
            let told = answer!(self.cluster.ask(Target::Any, call).await, DescribeUserScramCredentials)?;
            Trouble::check(told.error_code, "users", told.error_message.as_deref())?;
            Ok::<_, Trouble>(told)
        })?;
        let of = |one: crate::wire::describe_user_scram_credentials::DescribeUserScramCredentialsResult| {
            let user = one.user.to_string();
            let told = refused_user(one.error_code, &user, one.error_message.as_deref()).map(|()| {
                let credential = |info: &crate::wire::describe_user_scram_credentials::CredentialInfo| {
                    Some((ScramMechanism::from_code(info.mechanism)?, u32::try_from(info.iterations).ok()?))
                };
                ScramUser {
                    user: user.clone(),
                    credentials: one.credential_infos.iter().filter_map(credential).collect(),
                }
            });
            (user, told)
        };
        Ok(told.results.into_iter().map(of).collect())
    }

    pub(super) async fn change_users(&self, request: AlterScramUsers) -> Result<ByUser<()>> {
        let AlterScramUsers { deletions, upsertions } = request;
        let deletion = |(name, mechanism): (String, ScramMechanism)| ScramCredentialDeletion {
            name: name.into(),
            mechanism: mechanism.code(),
        };
        let upsertion = |one: crate::service::ScramUpsertion| ScramCredentialUpsertion {
            name: one.user.into(),
            mechanism: one.mechanism.code(),
            iterations: i32::try_from(one.iterations).unwrap_or(i32::MAX),
            salt: one.salt.into(),
            salted_password: one.salted_password.into(),
        };
        let asked = AlterUserScramCredentialsRequest {
            deletions: deletions.into_iter().map(deletion).collect(),
            upsertions: upsertions.into_iter().map(upsertion).collect(),
        };
        let told = persist!(self.cluster.patience(REQUEST_LIMIT), async {
            let call = call(Request::AlterUserScramCredentials(asked.clone()));
            let told = answer!(self.cluster.ask_controller(call).await, AlterUserScramCredentials)?;
            for one in &told.results {
                if ErrorCode::from_number(one.error_code) == ErrorCode::NotController {
                    self.checked_change(one.error_code, &one.user, None)?;
                }
            }
            Ok::<_, Trouble>(told)
        })?;
        let of = |one: crate::wire::alter_user_scram_credentials::AlterUserScramCredentialsResult| {
            let user = one.user.to_string();
            let result = refused_user(one.error_code, &user, one.error_message.as_deref());
            (user, result)
        };
        Ok(told.results.into_iter().map(of).collect())
    }

    pub(super) async fn look_at_quotas(&self, request: DescribeQuotas) -> Result<Vec<QuotaDescription>> {
        let component = |(kind, wanted): (String, QuotaMatch)| {
            let (match_type, name) = match wanted {
                QuotaMatch::Exactly(name) => (0, Some(name.into())),
                QuotaMatch::Default => (1, None),
                QuotaMatch::Any => (2, None),
            };
            ComponentData { entity_type: kind.into(), match_type, r#match: name }
        };
        let components = request.parts.into_iter().map(component).collect();
        let asked = DescribeClientQuotasRequest { components, strict: request.strict };
        let told = persist!(self.cluster.patience(REQUEST_LIMIT), async {
            let call = call(Request::DescribeClientQuotas(asked.clone()));
            let told = answer!(self.cluster.ask(Target::Any, call).await, DescribeClientQuotas)?;
            Trouble::check(told.error_code, "quotas", told.error_message.as_deref())?;
            Ok::<_, Trouble>(told)
        })?;
        let described = told.entries.unwrap_or_default().into_iter().map(|told| {
            let mut entity = QuotaEntity::default();
            for part in told.entity {
                let name = part.entity_name.map_or(QuotaName::Default, |name| QuotaName::Exactly(name.into()));
                match &*part.entity_type {
                    "user" => entity.user = Some(name),
                    "client-id" => entity.client_id = Some(name),
                    "ip" => entity.ip = Some(name),
                    _ => {}
                }
            }
            let values = told.values.iter().filter_map(|told| Some((QuotaKey::from_name(&told.key)?, told.value)));
            QuotaDescription { entity, values: values.collect() }
        });
        Ok(described.collect())
    }

    pub(super) async fn set_quotas(&self, request: AlterQuotas) -> Vec<Result<()>> {
        let count = request.entries.len();
        let entry = |(entity, values): (QuotaEntity, Vec<(String, Option<f64>)>)| EntryData {
            entity: entity.parts().map(part).collect(),
            ops: values
                .into_iter()
                .map(|(key, value)| OpData { key: key.into(), value: value.unwrap_or(0.0), remove: value.is_none() })
                .collect(),
        };
        let entries = request.entries.into_iter().map(entry).collect();
        let asked = AlterClientQuotasRequest { entries, validate_only: request.validate_only };
        let told = persist!(self.cluster.patience(REQUEST_LIMIT), async {
            let call = call(Request::AlterClientQuotas(asked.clone()));
            let told = answer!(self.cluster.ask_controller(call).await, AlterClientQuotas)?;
            passing(told.entries.iter().map(|one| one.error_code))?;
            Ok::<_, Trouble>(told.entries)
        });
        each(count, told, |one| refused(one.error_code, "quotas", one.error_message.as_deref()))
    }
}

/// The answers in the order of what was asked; the same error for all if there are none.
fn each<T, U>(count: usize, told: Result<Vec<T>>, result: impl Fn(T) -> Result<U>) -> Vec<Result<U>> {
    match told {
        Ok(told) if told.len() == count => told.into_iter().map(result).collect(),
        Ok(_) => {
            let why = "the broker's answer leaves something out";
            (0..count).map(|_| Err(Error::Malformed { why: why.into() })).collect()
        }
        Err(error) => (0..count).map(|_| Err(error.clone())).collect(),
    }
}

/// Trouble if one of the codes passes, as they do when the controller moves.
fn passing(mut codes: impl Iterator<Item = i16>) -> Result<(), Trouble> {
    codes.try_for_each(|code| match Trouble::of(code, "the controller", None) {
        Some(Trouble::Again(error)) => Err(Trouble::Again(error)),
        _ => Ok(()),
    })
}

fn refused(code: i16, subject: &str, message: Option<&str>) -> Result<()> {
    ErrorCode::from_number(code).error(subject, message).map_or(Ok(()), Err)
}

fn refused_user(code: i16, user: &str, message: Option<&str>) -> Result<()> {
    match ErrorCode::from_number(code) {
        ErrorCode::ResourceNotFound => Err(Error::ResourceNotFound { what: format!("user `{user}`") }),
        ErrorCode::DuplicateResource => Err(Error::DuplicateResource { what: format!("user `{user}`") }),
        _ => refused(code, user, message),
    }
}

fn part((kind, name): (&'static str, &QuotaName)) -> EntityData {
    let entity_name = match name {
        QuotaName::Default => None,
        QuotaName::Exactly(name) => Some(name.as_str().into()),
    };
    EntityData { entity_type: kind.into(), entity_name }
}

fn filter(filter: &AclFilter) -> DeleteAclsFilter {
    let text = |text: &Option<String>| text.as_deref().map(Str::from);
    DeleteAclsFilter {
        resource_type_filter: filter.resource_type.map_or(ANY, ResourceType::code),
        resource_name_filter: text(&filter.resource_name),
        pattern_type_filter: match filter.pattern_type {
            PatternFilter::Any => ANY,
            PatternFilter::Match => MATCH,
            PatternFilter::Exactly(pattern) => pattern.code(),
        },
        principal_filter: text(&filter.principal),
        host_filter: text(&filter.host),
        operation: filter.operation.map_or(ANY, AclOperation::code),
        permission_type: filter.permission.map_or(ANY, AclPermission::code),
    }
}

/// An entry as it was told; `None` if it speaks of what is not known here.
fn binding(
    (resource_type, pattern_type, name): (i8, i8, &Str),
    principal: &Str,
    host: &Str,
    operation: i8,
    permission: i8,
) -> Option<AclBinding> {
    Some(AclBinding {
        resource_type: ResourceType::from_code(resource_type)?,
        pattern_type: PatternType::from_code(pattern_type)?,
        resource_name: name.to_string(),
        principal: principal.to_string(),
        host: host.to_string(),
        operation: AclOperation::from_code(operation)?,
        permission: AclPermission::from_code(permission)?,
    })
}
