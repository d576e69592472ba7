//! DescribeAcls, CreateAcls, DeleteAcls: who may do what.

use super::{Refusal, check_cluster};
use crate::broker::server::context::Context;
use crate::service::{CreateAcls, DeleteAcls, DescribeAcls, Service};
use crate::types::{
    AclBinding, AclFilter, AclOperation, AclPermission, Error, PatternFilter, PatternType, ResourceType,
};
use crate::wire::create_acls::{AclCreation, AclCreationResult};
use crate::wire::delete_acls::{DeleteAclsFilter, DeleteAclsFilterResult, DeleteAclsMatchingAcl};
use crate::wire::describe_acls::{AclDescription, DescribeAclsResource};
use crate::wire::{
    CreateAclsRequest, CreateAclsResponse, DeleteAclsRequest, DeleteAclsResponse, DescribeAclsRequest,
    DescribeAclsResponse, Str,
};
use std::collections::BTreeMap;

/// The code by which a filter leaves a field open.
const ANY: i8 = 1;
/// The code of the pattern type that finds every pattern which covers a name.
const MATCH: i8 = 2;

/// Filters of one request, each of which may choose every entry; those beyond are not answered.
const FILTERS_MAX: usize = 100;

/// The value of a code of an entry.
fn known<T>(what: &str, code: i8, value: Option<T>) -> Result<T, Refusal> {
    let why = || format!("an entry cannot have the {what} {code}");
    value.ok_or_else(|| Error::InvalidRequest { why: why() }.into())
}

/// The value of a code of a filter.
fn filtered<T>(what: &str, code: i8, value: Option<T>) -> Result<Option<T>, Refusal> {
    if code == ANY { Ok(None) } else { known(what, code, value).map(Some) }
}

/// What a request says of the entries that it means.
struct Asked {
    resource_type: i8,
    pattern_type: i8,
    operation: i8,
    permission: i8,
    resource_name: Option<Str>,
    principal: Option<Str>,
    host: Option<Str>,
}

impl Asked {
    fn filter(self) -> Result<AclFilter, Refusal> {
        let pattern_type = match self.pattern_type {
            ANY => PatternFilter::Any,
            MATCH => PatternFilter::Match,
            code => PatternFilter::Exactly(known("pattern type", code, PatternType::from_code(code))?),
        };
        let Self { resource_type, operation, permission, .. } = self;
        Ok(AclFilter {
            resource_type: filtered("resource type", resource_type, ResourceType::from_code(resource_type))?,
            pattern_type,
            resource_name: self.resource_name.map(Into::into),
            principal: self.principal.map(Into::into),
            host: self.host.map(Into::into),
            operation: filtered("operation", operation, AclOperation::from_code(operation))?,
            permission: filtered("permission", permission, AclPermission::from_code(permission))?,
        })
    }
}

pub(in crate::broker::server) async fn describe(
    context: &Context,
    request: DescribeAclsRequest,
) -> DescribeAclsResponse {
    let asked = Asked {
        resource_type: request.resource_type_filter,
        pattern_type: request.pattern_type_filter,
        operation: request.operation,
        permission: request.permission_type,
        resource_name: request.resource_name_filter,
        principal: request.principal_filter,
        host: request.host_filter,
    };
    let found = async {
        check_cluster(context, AclOperation::Describe)?;
        let filter = asked.filter()?;
        context.broker().describe_acls(DescribeAcls { filter }).await.map_err(Refusal::from)
    };
    let entries = match found.await {
        Ok(entries) => entries,
        Err(refusal) => {
            let (error_code, error_message) = refusal.told();
            return DescribeAclsResponse { error_code, error_message, ..Default::default() };
        }
    };
    let mut by_resource = BTreeMap::<_, Vec<AclDescription>>::new();
    for entry in entries {
        let AclBinding { resource_type, pattern_type, resource_name, principal, host, operation, permission } = entry;
        let description = AclDescription {
            principal: principal.into(),
            host: host.into(),
            operation: operation.code(),
            permission_type: permission.code(),
        };
        by_resource.entry((resource_type, resource_name, pattern_type)).or_default().push(description);
    }
    let resource = |((kind, name, pattern), acls): ((ResourceType, String, PatternType), _)| DescribeAclsResource {
        resource_type: kind.code(),
        resource_name: name.into(),
        pattern_type: pattern.code(),
        acls,
    };
    DescribeAclsResponse { resources: by_resource.into_iter().map(resource).collect(), ..Default::default() }
}

pub(in crate::broker::server) async fn create(context: &Context, request: CreateAclsRequest) -> CreateAclsResponse {
    let allowed = check_cluster(context, AclOperation::Alter);
    let mut entries = Vec::with_capacity(request.creations.len());
    let asked = request.creations.into_iter().map(|creation| {
        allowed?;
        entries.push(binding(creation)?);
        Ok(())
    });
    let asked: Vec<Result<(), Refusal>> = asked.collect();
    let mut created = context.broker().create_acls(CreateAcls { entries }).await.into_iter();
    let results = asked.into_iter().map(|asked| {
        let created = asked.and_then(|()| created.next().unwrap_or(Err(Error::Closed)).map_err(Refusal::from));
        match created {
            Ok(()) => AclCreationResult::default(),
            Err(refusal) => {
                let (error_code, error_message) = refusal.told();
                AclCreationResult { error_code, error_message }
            }
        }
    });
    CreateAclsResponse { results: results.collect(), ..Default::default() }
}

fn binding(asked: AclCreation) -> Result<AclBinding, Refusal> {
    let AclCreation { resource_type, resource_pattern_type, operation, permission_type, .. } = asked;
    let pattern = PatternType::from_code(resource_pattern_type);
    Ok(AclBinding {
        resource_type: known("resource type", resource_type, ResourceType::from_code(resource_type))?,
        pattern_type: known("pattern type", resource_pattern_type, pattern)?,
        resource_name: asked.resource_name.into(),
        principal: asked.principal.into(),
        host: asked.host.into(),
        operation: known("operation", operation, AclOperation::from_code(operation))?,
        permission: known("permission", permission_type, AclPermission::from_code(permission_type))?,
    })
}

pub(in crate::broker::server) async fn delete(context: &Context, request: DeleteAclsRequest) -> DeleteAclsResponse {
    let allowed = check_cluster(context, AclOperation::Alter);
    let mut filters = Vec::with_capacity(request.filters.len().min(FILTERS_MAX));
    let asked = request.filters.into_iter().take(FILTERS_MAX).map(|asked| {
        allowed?;
        let DeleteAclsFilter { resource_type_filter, pattern_type_filter, operation, permission_type, .. } = asked;
        let asked = Asked {
            resource_type: resource_type_filter,
            pattern_type: pattern_type_filter,
            operation,
            permission: permission_type,
            resource_name: asked.resource_name_filter,
            principal: asked.principal_filter,
            host: asked.host_filter,
        };
        filters.push(asked.filter()?);
        Ok(())
    });
    let asked: Vec<Result<(), Refusal>> = asked.collect();
    let mut deleted = context.broker().delete_acls(DeleteAcls { filters }).await.into_iter();
    let results = asked.into_iter().map(|asked| {
        let deleted = asked.and_then(|()| deleted.next().unwrap_or(Err(Error::Closed)).map_err(Refusal::from));
        match deleted {
            Ok(entries) => {
                let matching_acls = entries.into_iter().map(gone).collect();
                DeleteAclsFilterResult { matching_acls, ..Default::default() }
            }
            Err(refusal) => {
                let (error_code, error_message) = refusal.told();
                DeleteAclsFilterResult { error_code, error_message, ..Default::default() }
            }
        }
    });
    DeleteAclsResponse { filter_results: results.collect(), ..Default::default() }
}

fn gone(entry: AclBinding) -> DeleteAclsMatchingAcl {
    let AclBinding { resource_type, pattern_type, resource_name, principal, host, operation, permission } = entry;
    DeleteAclsMatchingAcl {
        error_code: 0,
        error_message: None,
        resource_type: resource_type.code(),
        resource_name: resource_name.into(),
        pattern_type: pattern_type.code(),
        principal: principal.into(),
        host: host.into(),
        operation: operation.code(),
        permission_type: permission.code(),
    }
}
