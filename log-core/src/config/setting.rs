//! One row of the table: what a setting is called, what it can be, and what it is when nobody says anything.

use crate::types::{ConfigType, Error, Flush, Result, limits};
use std::collections::BTreeMap;

/// What was set for a resource, by name: as it was written, and checked.
pub(crate) type Overrides = BTreeMap<String, String>;

/// One setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) kind: ConfigType,
    /// `None` is Kafka's null: no value.
    pub(crate) default: Option<&'static str>,
    pub(super) check: Check,
    /// The broker's setting that holds where a topic has none.
    pub(crate) fallback: Option<&'static str>,
    /// Whether it is given at the start and stays.
    pub(crate) is_read_only: bool,
    pub(crate) doc: &'static str,
}

/// What a value has to be, beyond its type.
#[derive(Clone, Copy, Debug)]
pub(super) enum Check {
    Any,
    /// A whole number of at least, and at most, so much.
    Within(i64, i64),
    /// From 0 to 1.
    Fraction,
    /// One of these words; or, of a list, each of these.
    OneOf(&'static [&'static str]),
    /// As [`Flush`] reads it.
    Flush,
}

pub(super) const AT_LEAST_0: Check = Check::Within(0, i64::MAX);
pub(super) const AT_LEAST_1: Check = Check::Within(1, i64::MAX);
/// -1 is without a bound.
pub(super) const OR_UNBOUNDED: Check = Check::Within(-1, i64::MAX);

impl Setting {
    pub(super) const fn new(
        name: &'static str,
        kind: ConfigType,
        default: &'static str,
        check: Check,
        doc: &'static str,
    ) -> Self {
        Self { name, kind, default: Some(default), check, fallback: None, is_read_only: false, doc }
    }

    /// With the broker's setting that holds where this one has no value.
    pub(super) const fn falls_back_to(self, broker: &'static str) -> Self {
        Self { fallback: Some(broker), ..self }
    }

    pub(super) const fn read_only(self) -> Self {
        Self { is_read_only: true, ..self }
    }

    pub(super) const fn without_default(self) -> Self {
        Self { default: None, ..self }
    }

    /// Checks a value; what comes back is how it is kept.
    pub(crate) fn checked(&self, value: &str) -> Result<String> {
        let value = match self.kind {
            ConfigType::String => value.to_owned(),
            ConfigType::Boolean => value.trim().to_ascii_lowercase(),
            _ => value.trim().to_owned(),
        };
        match self.why_not(&value) {
            None => Ok(value),
            Some(why) => Err(Error::InvalidConfig { name: self.name.to_owned(), why }),
        }
    }

    fn why_not(&self, value: &str) -> Option<String> {
        let shown: String = value.chars().take(64).collect();
        if value.len() > limits::CONFIG_VALUE_BYTES_MAX {
            return Some(format!("a value has {} bytes at most", limits::CONFIG_VALUE_BYTES_MAX));
        }
        let number = match self.kind {
            ConfigType::Boolean if !["true", "false"].contains(&value) => {
                return Some(format!("`{shown}` is not true or false"));
            }
            ConfigType::Int => value.parse::<i32>().map(i64::from).ok(),
            ConfigType::Long => value.parse::<i64>().ok(),
            ConfigType::Double => return self.fraction(value, &shown),
            ConfigType::Boolean | ConfigType::String | ConfigType::List => Some(0),
        };
        let Some(number) = number else { return Some(format!("`{shown}` is not a whole number of its size")) };
        match self.check {
            Check::Within(least, most) if !(least..=most).contains(&number) => Some(if most == i64::MAX {
                format!("it is at least {least}, not {shown}")
            } else {
                format!("it is {least} to {most}, not {shown}")
            }),
            Check::OneOf(words) => {
                let mut given = if self.kind == ConfigType::List { parts(value) } else { vec![value] }.into_iter();
                let wrong = given.find(|given| !words.contains(given))?;
                Some(format!("`{wrong}` is not one of {}", words.join(", ")))
            }
            Check::Flush => value.parse::<Flush>().err().map(|error| error.to_string()),
            _ => None,
        }
    }

    fn fraction(&self, value: &str, shown: &str) -> Option<String> {
        match (value.parse::<f64>(), self.check) {
            (Ok(number), Check::Fraction) if !(0.0..=1.0).contains(&number) => {
                Some(format!("it is 0 to 1, not {shown}"))
            }
            (Ok(number), _) if number.is_finite() => None,
            _ => Some(format!("`{shown}` is not a number")),
        }
    }
}

/// The parts of a list; an empty text is an empty list.
pub(super) fn parts(list: &str) -> Vec<&str> {
    list.split(',').map(str::trim).filter(|part| !part.is_empty()).collect()
}
