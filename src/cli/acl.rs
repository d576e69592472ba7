//! `tw acl`: who may do what, by Kafka's names of operations and resources.

use super::user::principal;
use super::{Context, Result};
use crate::output::counted;
use tailwater::log::Log;
use tailwater::log::types::{
    AclBinding, AclFilter, AclOperation, AclPermission, CLUSTER_NAME, PatternFilter, PatternType, ResourceType,
    WILDCARD,
};

/// `tw acl …`
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Allow a user something, or refuse it with --deny
    #[command(after_help = "Examples:\n  tw acl add alice read --topic orders --group billing\n  \
                            tw acl add alice write create --topic orders- --prefix\n  tw acl add '*' describe --cluster")]
    Add {
        /// The user, or * for everyone
        user: String,
        /// read, write, create, delete, alter, describe, describe-configs, alter-configs, …, or all
        #[arg(required = true, value_parser = operation)]
        operations: Vec<AclOperation>,
        #[command(flatten)]
        resources: Resources,
        /// From this address alone
        #[arg(long, value_name = "ADDRESS", default_value = WILDCARD)]
        host: String,
        /// Refuse it, whatever else is allowed
        #[arg(long)]
        deny: bool,
    },
    /// Take away what was said of a user; all of it, or what is named
    Remove {
        /// The user, or * for what holds for everyone
        user: String,
        /// These operations alone
        #[arg(value_parser = operation)]
        operations: Vec<AclOperation>,
        #[command(flatten)]
        resources: Resources,
    },
    /// List who may do what
    List {
        /// Of this user alone
        user: Option<String>,
        #[command(flatten)]
        resources: Resources,
    },
}

/// What it is about.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Resources {
    /// A topic; * is all of them
    #[arg(long, value_name = "NAME")]
    topic: Vec<String>,
    /// A group
    #[arg(long, value_name = "NAME")]
    group: Vec<String>,
    /// A transactional id
    #[arg(long, value_name = "NAME")]
    transactional_id: Vec<String>,
    /// The cluster
    #[arg(long)]
    cluster: bool,
    /// The names are beginnings of names
    #[arg(long)]
    prefix: bool,
}

impl Resources {
    fn all(&self) -> Vec<(ResourceType, String, PatternType)> {
        let pattern = if self.prefix { PatternType::Prefixed } else { PatternType::Literal };
        let of = |kind, names: &[String]| names.iter().map(move |name| (kind, name.clone(), pattern)).collect();
        let mut all: Vec<_> = [
            of(ResourceType::Topic, &self.topic),
            of(ResourceType::Group, &self.group),
            of(ResourceType::TransactionalId, &self.transactional_id),
        ]
        .into_iter()
        .flat_map(|found: Vec<_>| found)
        .collect();
        if self.cluster {
            all.push((ResourceType::Cluster, CLUSTER_NAME.to_owned(), PatternType::Literal));
        }
        all
    }

    /// What chooses them; everything if none is named.
    fn filters(&self, user: Option<&str>, operations: &[AclOperation]) -> Vec<AclFilter> {
        let about = AclFilter { principal: user.map(principal), ..AclFilter::default() };
        let mut filters: Vec<_> = self
            .all()
            .into_iter()
            .map(|(kind, name, pattern)| AclFilter {
                resource_type: Some(kind),
                pattern_type: PatternFilter::Exactly(pattern),
                resource_name: Some(name),
                ..about.clone()
            })
            .collect();
        if filters.is_empty() {
            filters.push(about);
        }
        if operations.is_empty() {
            return filters;
        }
        let each = |filter: AclFilter| {
            operations.iter().map(move |operation| AclFilter { operation: Some(*operation), ..filter.clone() })
        };
        filters.into_iter().flat_map(each).collect()
    }
}

pub(crate) async fn run(command: Command, cx: &mut Context) -> Result<()> {
    match command {
        Command::Add { user, operations, resources, host, deny } => {
            let permission = if deny { AclPermission::Deny } else { AclPermission::Allow };
            let entry = |(resource_type, resource_name, pattern_type), operation| AclBinding {
                resource_type,
                pattern_type,
                resource_name,
                principal: principal(&user),
                host: host.clone(),
                operation,
                permission,
            };
            let resources = resources.all();
            if resources.is_empty() {
                let why = "it is not said on what:   --topic, --group, --transactional-id or --cluster".into();
                return Err(tailwater::log::Error::InvalidRequest { why }.into());
            }
            let of = |resource: &(ResourceType, String, PatternType)| {
                let resource = resource.clone();
                let entry = &entry;
                operations.iter().map(move |operation| entry(resource.clone(), *operation)).collect::<Vec<_>>()
            };
            let entries: Vec<_> = resources.iter().flat_map(of).collect();
            cx.with_log(async |log, cx| {
                log.admin().add_acls(entries.clone()).await?;
                show(&entries, cx)
            })
            .await
        }
        Command::Remove { user, operations, resources } => {
            cx.with_present_log(async |log, cx| {
                let mut removed = Vec::new();
                for filter in resources.filters(Some(&user), &operations) {
                    removed.extend(log.admin().remove_acls(filter).await?);
                }
                cx.out.note(format!("removed {}", counted(removed.len() as u64, "permission")));
                show(&removed, cx)
            })
            .await
        }
        Command::List { user, resources } => {
            cx.with_present_log(async |log, cx| list(log, cx, user.as_deref(), &resources).await).await
        }
    }
}

async fn list(log: &Log, cx: &mut Context, user: Option<&str>, resources: &Resources) -> Result<()> {
    let mut found = Vec::new();
    for filter in resources.filters(user, &[]) {
        found.extend(log.admin().acls(filter).await?);
    }
    found.sort();
    found.dedup();
    if found.is_empty() && !cx.out.json() {
        cx.out.note("nothing is said of it;   tw acl add USER read --topic NAME");
        return Ok(());
    }
    show(&found, cx)
}

fn show(entries: &[AclBinding], cx: &mut Context) -> Result<()> {
    if cx.out.json() {
        return entries.iter().try_for_each(|entry| {
            let line = serde_json::json!({
                "principal": entry.principal,
                "permission": entry.permission.to_string(),
                "operation": entry.operation.to_string(),
                "resource_type": entry.resource_type.to_string(),
                "resource_name": entry.resource_name,
                "pattern_type": entry.pattern_type.to_string(),
                "host": entry.host,
            });
            cx.out.line(line.to_string())
        });
    }
    if entries.is_empty() {
        return Ok(());
    }
    let row = |entry: &AclBinding| {
        let any = if entry.pattern_type == PatternType::Prefixed { "…" } else { "" };
        vec![
            entry.principal.clone(),
            entry.permission.to_string(),
            entry.operation.to_string(),
            entry.resource_type.to_string(),
            format!("{}{any}", entry.resource_name),
            entry.host.clone(),
        ]
    };
    let rows: Vec<_> = entries.iter().map(row).collect();
    cx.out.table(&["principal", "permission", "operation", "resource", "name", "host"], &[], &rows)
}

fn operation(name: &str) -> Result<AclOperation, String> {
    AclOperation::from_name(name).ok_or_else(|| {
        let names: Vec<_> = AclOperation::ALL.iter().map(ToString::to_string).collect();
        format!("the operations are {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources() -> Resources {
        Resources { topic: Vec::new(), group: Vec::new(), transactional_id: Vec::new(), cluster: false, prefix: false }
    }

    #[test]
    fn what_is_named_is_what_is_chosen() {
        assert_eq!(resources().filters(None, &[]), [AclFilter::default()]);
        let of_alice = resources().filters(Some("alice"), &[AclOperation::Read, AclOperation::Write]);
        assert_eq!(of_alice.len(), 2);
        assert!(of_alice.iter().all(|filter| filter.principal.as_deref() == Some("User:alice")));
        let some = Resources { topic: vec!["a".into(), "b".into()], cluster: true, prefix: true, ..resources() };
        let filters = some.filters(Some("Group:x"), &[]);
        assert_eq!(filters.len(), 3);
        assert_eq!(filters[0].pattern_type, PatternFilter::Exactly(PatternType::Prefixed));
        // The cluster has no names that begin.
        assert_eq!(filters[2].pattern_type, PatternFilter::Exactly(PatternType::Literal));
        assert_eq!(filters[2].principal.as_deref(), Some("Group:x"));
    }

    #[test]
    fn operations_have_kafkas_names_in_any_form() {
        assert_eq!(operation("alter-configs"), Ok(AclOperation::AlterConfigs));
        assert_eq!(operation("IDEMPOTENT_WRITE"), Ok(AclOperation::IdempotentWrite));
        assert!(operation("fly").is_err_and(|names| names.contains("Describe")));
    }
}
