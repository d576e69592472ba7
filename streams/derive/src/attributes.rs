//! What `#[record(..)]` may say.

use syn::{Attribute, Error, LitInt, LitStr, Result};

/// On the type.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TypeAttributes {
    pub(crate) bincode: bool,
    pub(crate) version: u32,
}

impl TypeAttributes {
    pub(crate) fn parse(attributes: &[Attribute]) -> Result<Self> {
        let mut found = Self { bincode: false, version: 1 };
        for attribute in attributes.iter().filter(|a| a.path().is_ident("record")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("format") {
                    let format: LitStr = meta.value()?.parse()?;
                    found.bincode = match format.value().as_str() {
                        "json" => false,
                        "bincode" => true,
                        _ => return Err(Error::new(format.span(), "the format is \"json\" or \"bincode\"")),
                    };
                    Ok(())
                } else if meta.path.is_ident("version") {
                    found.version = meta.value()?.parse::<LitInt>()?.base10_parse()?;
                    Ok(())
                } else {
                    Err(meta.error("on a type, record takes `format = \"json\"` or `\"bincode\"`, and `version = n`"))
                }
            })?;
        }
        Ok(found)
    }
}

/// On a field.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldAttributes {
    pub(crate) key: bool,
    pub(crate) event_time: bool,
    /// serde's name for the field, when it has one of its own.
    pub(crate) rename: Option<String>,
    /// Whether serde leaves the field out.
    pub(crate) skip: bool,
}

impl FieldAttributes {
    pub(crate) fn parse(attributes: &[Attribute]) -> Result<Self> {
        let mut found = Self::default();
        for attribute in attributes.iter().filter(|a| a.path().is_ident("record")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("key") {
                    found.key = true;
                } else if meta.path.is_ident("event_time") {
                    found.event_time = true;
                } else {
                    return Err(meta.error("on a field, record takes `key` or `event_time`"));
                }
                Ok(())
            })?;
        }
        for attribute in attributes.iter().filter(|a| a.path().is_ident("serde")) {
            // serde reports what is wrong with its own attributes; here they are only looked through.
            let _ = attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("rename") && meta.input.peek(syn::Token![=]) {
                    found.rename = Some(meta.value()?.parse::<LitStr>()?.value());
                } else if meta.path.is_ident("skip") {
                    found.skip = true;
                } else if meta.input.peek(syn::Token![=]) {
                    meta.value()?.parse::<syn::Expr>()?;
                }
                Ok(())
            });
        }
        Ok(found)
    }
}
