//! `#[derive(Record)]`: the codec, key, event time and schema of a type, from its serde implementations.
//!
//! Users meet it as `tailwater_streams::Record` or `tailwater::Record`. The generated code names log-core's `Codec`
//! through whichever of our packages the user's manifest has.

#![doc = include_str!("example.md")]

mod attributes;
mod expand;
#[cfg(test)]
mod tests;

use proc_macro2::Span;
use quote::quote;
use syn::{DeriveInput, Ident, parse_macro_input};

/// Makes a struct with named fields, or an enum, a value (and with `Ord` a key) of topics.
///
/// Derive serde's `Serialize` and `Deserialize` too: they say how the fields are written. The crate's front page has an
/// example.
///
/// * `#[record(format = "json")]` (the default) or `"bincode"`: how values are encoded. Enums are JSON only.
/// * `#[record(version = n)]`: the version in the schema; 1 unless said otherwise.
/// * `#[record(key)]` on one field: the key of the record when a value is sent by itself. The field has a codec.
/// * `#[record(event_time)]` on one field: when what the record tells happened. A `Timestamp` or `Option<Timestamp>`.
#[proc_macro_derive(Record, attributes(record))]
pub fn derive_record(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::record(&input, &log_path()).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// The path to log-core from where the derive is used.
fn log_path() -> proc_macro2::TokenStream {
    use proc_macro_crate::{FoundCrate, crate_name};
    // The umbrella's examples and tests see it by its own name; so do those of the packages below.
    let path = |package: &str, tail: proc_macro2::TokenStream| match crate_name(package).ok()? {
        FoundCrate::Itself => {
            let name = Ident::new(&package.replace('-', "_"), Span::call_site());
            Some(quote!(::#name #tail))
        }
        FoundCrate::Name(name) => {
            let name = Ident::new(&name, Span::call_site());
            Some(quote!(::#name #tail))
        }
    };
    path("tailwater-log", quote!())
        .or_else(|| path("tailwater-streams", quote!(::log)))
        .or_else(|| path("tailwater", quote!(::log)))
        .unwrap_or_else(|| quote!(::tailwater::log))
}
