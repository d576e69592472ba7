//! The generated implementation.

use crate::attributes::{FieldAttributes, TypeAttributes};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Error, Field, Fields, GenericArgument, PathArguments, Result, Type};

/// `impl Codec for` the type, with log-core at `log`.
pub(crate) fn record(input: &DeriveInput, log: &TokenStream) -> Result<TokenStream> {
    let attributes = TypeAttributes::parse(&input.attrs)?;
    let fields: Vec<&Field> = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => fields.named.iter().collect(),
            _ => {
                return Err(Error::new_spanned(
                    &input.ident,
                    "Record needs named fields: they are the columns. Write `struct Name { field: Type }`",
                ));
            }
        },
        Data::Enum(_) if attributes.bincode => {
            return Err(Error::new_spanned(
                &input.ident,
                "an enum is written as JSON: remove `format = \"bincode\"`, or put the enum into a field of a struct",
            ));
        }
        Data::Enum(_) => Vec::new(),
        Data::Union(_) => return Err(Error::new_spanned(&input.ident, "a union cannot be a Record; use a struct")),
    };
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &input.generics,
            "a Record has no generic parameters, because its schema has one set of columns; wrap it in a struct without",
        ));
    }
    let parsed = fields.iter().map(|field| FieldAttributes::parse(&field.attrs)).collect::<Result<Vec<_>>>()?;
    let key = only_one(&fields, &parsed, "key", |attributes| attributes.key)?.map(|field| {
        let name = &field.ident;
        quote! {
            fn key(&self) -> ::core::option::Option<::std::vec::Vec<u8>> {
                ::core::option::Option::Some(#log::Codec::to_bytes(&self.#name))
            }
        }
    });
    let event_time = only_one(&fields, &parsed, "event_time", |attributes| attributes.event_time)?.map(|field| {
        let name = &field.ident;
        quote! {
            fn event_time(&self) -> ::core::option::Option<#log::Timestamp> {
                ::core::convert::Into::into(self.#name)
            }
        }
    });
    let (name, text) = (&input.ident, input.ident.to_string());
    let format = if attributes.bincode { "bincode" } else { "json" };
    let (to, from) = (format_ident!("to_{format}"), format_ident!("from_{format}"));
    let format = if attributes.bincode { quote!(Bincode) } else { quote!(Json) };
    let version = attributes.version;
    let columns = fields.iter().zip(&parsed).filter(|(_, attributes)| !attributes.skip).map(|(field, attributes)| {
        let ident = field.ident.as_ref().map(|ident| ident.to_string()).unwrap_or_default();
        let name = attributes.rename.clone().unwrap_or_else(|| ident.trim_start_matches("r#").to_owned());
        let (inner, nullable) = option_of(&field.ty);
        let field_type = format_ident!("{}", column_type(inner));
        quote! {
            #log::codec::Field {
                name: ::std::string::String::from(#name),
                field_type: #log::codec::FieldType::#field_type,
                nullable: #nullable,
            }
        }
    });
    // An enum has no columns of its own: it is shown whole.
    let schema = (!matches!(input.data, Data::Enum(_))).then(|| {
        quote! {
            fn schema() -> ::core::option::Option<#log::codec::Schema> {
                ::core::option::Option::Some(#log::codec::Schema {
                    name: ::std::string::String::from(#text),
                    version: #version,
                    format: #log::codec::Format::#format,
                    fields: ::std::vec![#(#columns),*],
                })
            }
        }
    });
    Ok(quote! {
        #[automatically_derived]
        impl #log::Codec for #name {
            fn encode(&self, out: &mut ::std::vec::Vec<u8>) {
                #log::codec::#to(self, out);
            }
            fn decode(bytes: &[u8]) -> ::core::result::Result<Self, #log::DecodeError> {
                #log::codec::#from(bytes)
            }
            #key
            #event_time
            #schema
        }
    })
}

/// The one field that an attribute marks.
fn only_one<'f>(
    fields: &[&'f Field],
    attributes: &[FieldAttributes],
    what: &str,
    marked: impl Fn(&FieldAttributes) -> bool,
) -> Result<Option<&'f Field>> {
    let mut found = fields.iter().zip(attributes).filter(|(_, attributes)| marked(attributes)).map(|(field, _)| *field);
    let first = found.next();
    match found.next() {
        Some(second) => Err(Error::new_spanned(second, format!("a record has one `#[record({what})]`; remove one"))),
        None => Ok(first),
    }
}

/// The type inside an `Option`, and whether there was one.
fn option_of(ty: &Type) -> (&Type, bool) {
    if let Type::Path(path) = ty
        && let Some(last) = path.path.segments.last()
        && last.ident == "Option"
        && let PathArguments::AngleBracketed(arguments) = &last.arguments
        && let Some(GenericArgument::Type(inner)) = arguments.args.first()
    {
        return (inner, true);
    }
    (ty, false)
}

/// The column type by the type's last name; anything unknown is shown as JSON text.
fn column_type(ty: &Type) -> &'static str {
    let Type::Path(path) = ty else { return "Other" };
    let Some(last) = path.path.segments.last() else { return "Other" };
    match last.ident.to_string().as_str() {
        "bool" => "Bool",
        "i8" => "I8",
        "i16" => "I16",
        "i32" => "I32",
        "i64" => "I64",
        "u8" => "U8",
        "u16" => "U16",
        "u32" => "U32",
        "u64" => "U64",
        "f32" => "F32",
        "f64" => "F64",
        "String" => "String",
        "Timestamp" => "Timestamp",
        _ => "Other",
    }
}
