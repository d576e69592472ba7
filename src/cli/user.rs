//! `tw user`: who may come in, and with what password.
//!
//! A password is asked for on the terminal, or is the first line of standard input. It is never an argument: those are
//! seen by everyone on the machine and kept by the shell.

use super::{Context, Error, Result};
use crate::output::counted;
use std::io::BufRead as _;
use tailwater::log::types::{
    AclBinding, AclFilter, AclOperation, AclPermission, CLUSTER_NAME, PatternType, ResourceType, WILDCARD,
};
use tailwater::log::{Admin, Log};

/// What of a file of passwords is looked at: a line is not longer.
const PASSWORD_BYTES_MAX: usize = 1024;

/// `tw user …`
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Add a user; the password is asked for, or read from standard input
    Add {
        /// The user's name
        name: String,
        /// Allow everything on topics, groups, transactions and the cluster
        #[arg(long)]
        admin: bool,
    },
    /// Give a user another password
    Passwd {
        /// The user's name
        name: String,
    },
    /// Take a user away, with the permissions in that name
    Remove {
        /// The user's name
        name: String,
    },
    /// List the users
    List,
}

pub(crate) async fn run(command: Command, cx: &mut Context) -> Result<()> {
    match command {
        Command::Add { name, admin } => {
            let password = password(&name, cx)?;
            cx.with_log(async |log, cx| add(log, cx, &name, &password, admin).await).await
        }
        Command::Passwd { name } => {
            let password = password(&name, cx)?;
            cx.with_present_log(async |log, cx| {
                if !is_known(&log.admin(), &name).await? {
                    return Err(tailwater::log::Error::ResourceNotFound { what: format!("user `{name}`") }.into());
                }
                log.admin().set_user(&name, &password).await?;
                done(cx, "changed", &name, format!("changed the password of `{name}`"))
            })
            .await
        }
        Command::Remove { name } => {
            cx.with_present_log(async |log, cx| {
                let admin = log.admin();
                admin.remove_user(&name).await?;
                let filter = AclFilter { principal: Some(principal(&name)), ..AclFilter::default() };
                let entries = counted(admin.remove_acls(filter).await?.len() as u64, "permission");
                done(cx, "removed", &name, format!("removed user `{name}` and {entries}"))
            })
            .await
        }
        Command::List => cx.with_present_log(list).await,
    }
}

/// As entries of access control name a user.
pub(super) fn principal(name: &str) -> String {
    if name.contains(':') { name.to_owned() } else { format!("User:{name}") }
}

async fn is_known(admin: &Admin, name: &str) -> Result<bool> {
    Ok(admin.users().await?.iter().any(|user| user.user == name))
}

async fn add(log: &Log, cx: &mut Context, name: &str, password: &str, everything: bool) -> Result<()> {
    let admin = log.admin();
    let users = admin.users().await?;
    if users.iter().any(|user| user.user == name) {
        return Err(Error::Coded {
            code: "TW0511",
            message: format!("there is a user `{name}` already"),
            help: Some(format!("give another password with   tw user passwd {name}")),
        });
    }
    admin.set_user(name, password).await?;
    if everything {
        let of = |(resource_type, resource_name): (ResourceType, &str)| AclBinding {
            resource_type,
            pattern_type: PatternType::Literal,
            resource_name: resource_name.to_owned(),
            principal: principal(name),
            host: WILDCARD.to_owned(),
            operation: AclOperation::All,
            permission: AclPermission::Allow,
        };
        let all = [
            (ResourceType::Topic, WILDCARD),
            (ResourceType::Group, WILDCARD),
            (ResourceType::TransactionalId, WILDCARD),
            (ResourceType::Cluster, CLUSTER_NAME),
        ];
        admin.add_acls(all.map(of).to_vec()).await?;
    }
    done(cx, "added", name, format!("added user `{name}`"))?;
    if cx.out.json() {
        return Ok(());
    }
    if users.is_empty() {
        cx.out.note("from now on clients may do what is allowed to them, and nothing else");
    }
    if !everything {
        cx.out.note(format!("allow something with   tw acl add {name} read --topic NAME"));
    }
    Ok(())
}

async fn list(log: &Log, cx: &mut Context) -> Result<()> {
    let users = log.admin().users().await?;
    let mechanisms = |user: &tailwater::log::service::ScramUser| -> Vec<String> {
        user.credentials.iter().map(|(mechanism, _)| mechanism.to_string()).collect()
    };
    if cx.out.json() {
        return users.iter().try_for_each(|user| {
            let line = serde_json::json!({ "user": user.user, "mechanisms": mechanisms(user) });
            cx.out.line(line.to_string())
        });
    }
    if users.is_empty() {
        cx.out.note("no users: whoever reaches the broker may do everything;   tw user add NAME --admin");
        return Ok(());
    }
    let rows: Vec<_> = users.iter().map(|user| vec![user.user.clone(), mechanisms(user).join(", ")]).collect();
    cx.out.table(&["user", "mechanisms"], &[], &rows)
}

fn done(cx: &mut Context, what: &str, name: &str, said: String) -> Result<()> {
    if cx.out.json() {
        return cx.out.line(serde_json::json!({ what: name }).to_string());
    }
    cx.out.note(said);
    Ok(())
}

/// Asks a person, twice, or reads a line.
fn password(name: &str, cx: &mut Context) -> Result<String> {
    let none = |why: &str| Error::Coded {
        code: "TW0512",
        message: why.to_owned(),
        help: Some("pipe it in:   tw user add NAME < password-file".into()),
    };
    let unread = |error: std::io::Error| Error::Input { input: "the password".into(), why: error.to_string() };
    let password = if cx.out.can_ask() {
        cx.out.ask(&format!("Password of `{name}`: "));
        let first = rpassword::read_password().map_err(unread)?;
        cx.out.ask("Once more: ");
        if rpassword::read_password().map_err(unread)? != first {
            return Err(none("the two passwords are not the same"));
        }
        first
    } else {
        let mut line = String::new();
        let mut input = std::io::Read::take(std::io::stdin().lock(), PASSWORD_BYTES_MAX as u64 + 2);
        input.read_line(&mut line).map_err(unread)?;
        line.trim_end_matches(['\n', '\r']).to_owned()
    };
    match password.len() {
        0 => Err(none("there is no password")),
        1..=PASSWORD_BYTES_MAX => Ok(password),
        _ => Err(none("the password is too long")),
    }
}
