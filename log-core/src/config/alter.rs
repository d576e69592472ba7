//! Changing what is set: the four operations of IncrementalAlterConfigs (KIP-339), and a whole set at once.

use super::setting::{Overrides, Setting, parts};
use super::{find, settings_of};
use crate::types::{ConfigChange, ConfigOperation, ConfigResource, ConfigType, Error, Result};
use std::collections::BTreeSet;

/// What is set after `changes`, if all of them can be made.
pub(crate) fn changed(resource: &ConfigResource, current: &Overrides, changes: &[ConfigChange]) -> Result<Overrides> {
    let mut named = BTreeSet::new();
    if let Some(twice) = changes.iter().find(|change| !named.insert(&change.name)) {
        return Err(Error::InvalidRequest {
            why: format!("the setting `{}` of {resource} is named twice", twice.name),
        });
    }
    let mut overrides = current.clone();
    for ConfigChange { name, operation, value } in changes {
        if *operation == ConfigOperation::Delete {
            // Also of a setting that is not known any more.
            if find(settings_of(resource), name).is_some_and(|setting| setting.is_read_only) {
                return Err(read_only(name));
            }
            overrides.remove(name);
            continue;
        }
        let setting = settable(resource, name)?;
        let Some(value) = value else {
            return Err(Error::InvalidRequest { why: format!("the setting `{name}` is given no value") });
        };
        let present = overrides.get(name).map(String::as_str).or(setting.default).unwrap_or_default();
        let value = match operation {
            ConfigOperation::Append => {
                let mut all = list_of(setting, present)?;
                for part in parts(value) {
                    if !all.contains(&part) {
                        all.push(part);
                    }
                }
                all.join(",")
            }
            ConfigOperation::Subtract => {
                let (all, gone) = (list_of(setting, present)?, parts(value));
                all.into_iter().filter(|part| !gone.contains(part)).collect::<Vec<_>>().join(",")
            }
            ConfigOperation::Set | ConfigOperation::Delete => value.clone(),
        };
        overrides.insert(name.clone(), setting.checked(&value)?);
    }
    Ok(overrides)
}

/// What is set if it is exactly this: for a topic that is created, and for AlterConfigs. A value that is missing is left
/// out, which is the default.
pub(crate) fn checked<'a>(
    resource: &ConfigResource,
    values: impl IntoIterator<Item = (&'a String, &'a Option<String>)>,
) -> Result<Overrides> {
    let mut overrides = Overrides::new();
    for (name, value) in values {
        let setting = settable(resource, name)?;
        let Some(value) = value else {
            return Err(Error::InvalidConfig { name: name.clone(), why: "it is given no value".into() });
        };
        if overrides.insert(name.clone(), setting.checked(value)?).is_some() {
            return Err(Error::InvalidRequest { why: format!("the setting `{name}` of {resource} is named twice") });
        }
    }
    Ok(overrides)
}

/// What a broker is given at the start, which may be any setting of a broker.
pub(crate) fn started(values: Overrides) -> Result<Overrides> {
    let broker = ConfigResource::Broker(None);
    let check = |(name, value): (String, String)| match find(settings_of(&broker), &name) {
        Some(setting) => setting.checked(&value).map(|value| (name, value)),
        None => Err(unknown(&broker, &name)),
    };
    let mut values = values.into_iter().map(check).collect::<Result<Overrides>>()?;
    // Two names of one thing.
    if let Some(id) = values.get("node.id").or_else(|| values.get("broker.id")).cloned() {
        values.insert("node.id".into(), id.clone());
        values.insert("broker.id".into(), id);
    }
    Ok(values)
}

fn unknown(resource: &ConfigResource, name: &str) -> Error {
    let why = format!("{resource} has no such setting");
    Error::InvalidConfig { name: name.chars().take(64).collect(), why }
}

fn settable(resource: &ConfigResource, name: &str) -> Result<&'static Setting> {
    let settings = settings_of(resource);
    let Some(setting) = find(settings, name) else {
        return Err(unknown(resource, name));
    };
    if setting.is_read_only { Err(read_only(name)) } else { Ok(setting) }
}

fn read_only(name: &str) -> Error {
    let why = "it is given when the broker is started and stays until it is started again".into();
    Error::InvalidConfig { name: name.to_owned(), why }
}

fn list_of<'a>(setting: &Setting, value: &'a str) -> Result<Vec<&'a str>> {
    if setting.kind == ConfigType::List {
        return Ok(parts(value));
    }
    let why = "it is not a list, so nothing can be appended to it or taken out".into();
    Err(Error::InvalidConfig { name: setting.name.to_owned(), why })
}
