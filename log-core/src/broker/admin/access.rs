//! Who may do what, and how much of it: entries of access control, users, quotas.

use super::super::Broker;
use super::super::metadata::MetadataRecord;
use crate::access::credential_of;
use crate::service::{
    AlterQuotas, AlterScramUsers, ByUser, CreateAcls, DeleteAcls, DescribeAcls, DescribeQuotas, DescribeScramUsers,
    QuotaDescription, ScramUpsertion, ScramUser,
};
use crate::types::{AclBinding, Error, QuotaEntity, QuotaKey, Result, limits};
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of a user's name at most.
const USER_BYTES_MAX: usize = 249;

impl Broker {
    pub(in crate::broker) async fn add_acls(&self, request: CreateAcls) -> Vec<Result<()>> {
        let checked: Vec<_> = request.entries.iter().map(AclBinding::validate).collect();
        let valid = request.entries.into_iter().zip(&checked).filter(|(_, checked)| checked.is_ok());
        let valid: BTreeSet<_> = valid.map(|(entry, _)| entry).collect();
        let added = self.change(|image| {
            let present: BTreeSet<_> = image.acls().iter().collect();
            let new: Vec<_> = valid.iter().filter(|entry| !present.contains(entry)).cloned().collect();
            if image.acls().len() + new.len() > limits::ACLS_MAX {
                let why = format!("there are {} access control entries at most", limits::ACLS_MAX);
                return Err(Error::InvalidRequest { why });
            }
            Ok((new.into_iter().map(|entry| MetadataRecord::Acl { entry, present: true }).collect(), ()))
        });
        let added = added.await;
        checked.into_iter().map(|checked| checked.and_then(|()| added.clone())).collect()
    }

    pub(in crate::broker) fn acls(&self, request: &DescribeAcls) -> Result<Vec<AclBinding>> {
        self.check_open()?;
        Ok(self.image.read().acls().matching(&request.filter))
    }

    pub(in crate::broker) async fn remove_acls(&self, request: DeleteAcls) -> Vec<Result<Vec<AclBinding>>> {
        let removed = self.change(|image| {
            let chosen: Vec<_> = request.filters.iter().map(|filter| image.acls().matching(filter)).collect();
            let all: BTreeSet<_> = chosen.iter().flatten().cloned().collect();
            let records = all.into_iter().map(|entry| MetadataRecord::Acl { entry, present: false });
            Ok((records.collect(), chosen))
        });
        match removed.await {
            Ok(removed) => removed.into_iter().map(Ok).collect(),
            Err(error) => request.filters.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    pub(in crate::broker) fn users(&self, request: &DescribeScramUsers) -> Result<ByUser<ScramUser>> {
        self.check_open()?;
        let image = self.image.read();
        let known = || image.credentials().iter().map(|(user, _)| user.to_owned()).collect();
        let wanted: Vec<String> = request.users.clone().unwrap_or_else(known);
        let mut named = BTreeMap::<_, usize>::new();
        wanted.iter().for_each(|user| *named.entry(user.clone()).or_default() += 1);
        let described = named.into_iter().map(|(user, times)| {
            let credentials = image.credentials().of_user(&user).map(|known| (known.mechanism, known.iterations));
            let found = ScramUser { user: user.clone(), credentials: credentials.collect() };
            let result = match times {
                1 if found.credentials.is_empty() => Err(Error::ResourceNotFound { what: format!("user `{user}`") }),
                1 => Ok(found),
                _ => Err(Error::DuplicateResource { what: format!("user `{user}`") }),
            };
            (user, result)
        });
        Ok(described.collect())
    }

    pub(in crate::broker) async fn change_users(&self, request: AlterScramUsers) -> Result<ByUser<()>> {
        let AlterScramUsers { deletions, upsertions } = request;
        let mut named = BTreeMap::<_, usize>::new();
        let mut users = BTreeMap::<String, Result<()>>::new();
        let keys = deletions.iter().cloned().chain(upsertions.iter().map(|u| (u.user.clone(), u.mechanism)));
        keys.for_each(|key| *named.entry(key).or_default() += 1);
        for ((user, mechanism), times) in &named {
            let twice = || Error::DuplicateResource { what: format!("user `{user}` with {mechanism}") };
            let found = if *times > 1 { Err(twice()) } else { Ok(()) };
            let of_user = users.entry(user.clone()).or_insert(Ok(()));
            *of_user = of_user.clone().and(found);
        }
        self.change(|image| {
            let mut records = Vec::new();
            for (user, mechanism) in &deletions {
                let known = image.credentials().of(user, *mechanism).is_some();
                let what = || format!("credential of user `{user}` for {mechanism}");
                let found = if known { Ok(()) } else { Err(Error::ResourceNotFound { what: what() }) };
                let record = MetadataRecord::Credential { user: user.clone(), mechanism: *mechanism, credential: None };
                note(&mut users, user, found.map(|()| record), &mut records);
            }
            for upsertion in &upsertions {
                note(&mut users, &upsertion.user, credential(upsertion), &mut records);
            }
            // One that failed for a user leaves all of that user as it was.
            records.retain(|(user, _)| users[user].is_ok());
            let new: BTreeSet<_> =
                records.iter().map(|(user, _)| user).filter(|user| !image.credentials().has(user)).collect();
            if image.credentials().users() + new.len() > limits::USERS_MAX {
                return Err(Error::InvalidRequest { why: format!("there are {} users at most", limits::USERS_MAX) });
            }
            Ok((records.into_iter().map(|(_, record)| record).collect(), users.into_iter().collect()))
        })
        .await
    }

    pub(in crate::broker) fn quotas(&self, request: &DescribeQuotas) -> Result<Vec<QuotaDescription>> {
        self.check_open()?;
        let mut kinds = BTreeSet::new();
        for (kind, _) in &request.parts {
            if !["user", "client-id", "ip"].contains(&kind.as_str()) {
                return Err(Error::Unsupported { what: "a quota of another kind than user, client-id and ip" });
            }
            if !kinds.insert(kind) {
                return Err(Error::InvalidRequest { why: format!("`{kind}` is named twice") });
            }
        }
        if kinds.len() > 1 && kinds.contains(&"ip".to_owned()) {
            return Err(Error::InvalidRequest { why: "a quota for an address is for nobody else".into() });
        }
        let found = self.image.read().quotas().matching(&request.parts, request.strict);
        let described = found.into_iter().map(|(entity, values)| {
            let values = values.into_iter().collect();
            QuotaDescription { entity, values }
        });
        Ok(described.collect())
    }

    pub(in crate::broker) async fn change_quotas(&self, request: AlterQuotas) -> Vec<Result<()>> {
        let AlterQuotas { entries, validate_only } = request;
        let mut changed = Vec::with_capacity(entries.len());
        for (entity, changes) in entries {
            let decide = self.change(|image| {
                let mut values = image.quotas().of(&entity).cloned().unwrap_or_default();
                let before = values.clone();
                apply_quotas(&entity, &changes, &mut values)?;
                if image.quotas().entities() >= limits::QUOTA_ENTITIES_MAX && before.is_empty() {
                    let why = format!("there are quotas for {} entities at most", limits::QUOTA_ENTITIES_MAX);
                    return Err(Error::InvalidRequest { why });
                }
                if validate_only || values == before {
                    return Ok((Vec::new(), ()));
                }
                let values = values.into_iter().collect();
                Ok((vec![MetadataRecord::Quotas { entity: entity.clone(), values }], ()))
            });
            changed.push(decide.await);
        }
        changed
    }
}

fn apply_quotas(
    entity: &QuotaEntity,
    changes: &[(String, Option<f64>)],
    values: &mut BTreeMap<QuotaKey, f64>,
) -> Result<()> {
    entity.validate()?;
    for (name, value) in changes {
        let Some(key) = QuotaKey::from_name(name) else {
            let name: String = name.chars().take(64).collect();
            return Err(Error::InvalidRequest { why: format!("there is no quota `{name}`") });
        };
        match value {
            Some(value) => {
                key.validate(entity, *value)?;
                values.insert(key, *value);
            }
            None => {
                values.remove(&key);
            }
        }
    }
    Ok(())
}

/// Keeps a record for a user, or why there is none.
fn note(
    users: &mut BTreeMap<String, Result<()>>,
    user: &str,
    record: Result<MetadataRecord>,
    records: &mut Vec<(String, MetadataRecord)>,
) {
    match record {
        Ok(record) => records.push((user.to_owned(), record)),
        Err(error) => {
            let of_user = users.entry(user.to_owned()).or_insert(Ok(()));
            *of_user = of_user.clone().and(Err(error));
        }
    }
}

fn credential(upsertion: &ScramUpsertion) -> Result<MetadataRecord> {
    let ScramUpsertion { user, mechanism, iterations, salt, salted_password } = upsertion;
    let unacceptable = |why: String| Err(Error::UnacceptableCredential { why });
    if user.is_empty() || user.len() > USER_BYTES_MAX {
        return unacceptable(format!("a user's name has 1 to {USER_BYTES_MAX} bytes"));
    }
    if salted_password.len() != mechanism.key_bytes() {
        let (bytes, given) = (mechanism.key_bytes(), salted_password.len());
        return unacceptable(format!("the salted password of {mechanism} has {bytes} bytes, not {given}"));
    }
    let credential = credential_of(*mechanism, salted_password, salt.clone(), *iterations);
    credential.validate()?;
    Ok(MetadataRecord::Credential { user: user.clone(), mechanism: *mechanism, credential: Some(credential) })
}
