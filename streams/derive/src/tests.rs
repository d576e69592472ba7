//! What the derive writes, and what it says to a type that it cannot serve.

use crate::expand::record;
use quote::quote;
use syn::parse_quote;

/// What the derive generates, without spaces, or the message of its compile error.
fn expand(input: syn::DeriveInput) -> Result<String, String> {
    let expanded = record(&input, &quote!(::log)).map_err(|e| e.to_string())?;
    Ok(expanded.to_string().replace(' ', ""))
}

#[test]
fn a_struct_gets_codec_key_event_time_and_columns() {
    let expanded = expand(parse_quote! {
        #[record(format = "bincode", version = 3)]
        struct Click {
            #[record(key)]
            page: String,
            #[record(event_time)]
            at: Timestamp,
            #[serde(rename = "duration", default)]
            ms: Option<u64>,
            tags: Vec<String>,
            #[serde(skip)]
            cache: u8,
        }
    })
    .unwrap();
    for part in [
        "impl::log::CodecforClick",
        "to_bincode(self,out)",
        "from_bincode(bytes)",
        "to_bytes(&self.page)",
        "Into::into(self.at)",
        "version:3u32",
        r#"from("duration"),field_type:::log::codec::FieldType::U64,nullable:true"#,
        r#"from("tags"),field_type:::log::codec::FieldType::Other,nullable:false"#,
    ] {
        assert!(expanded.contains(part), "{part} is not in {expanded}");
    }
    assert!(!expanded.contains("cache"));
}

#[test]
fn an_enum_is_json_without_columns() {
    let expanded = expand(parse_quote!(
        enum Event {
            A,
            B(u8),
        }
    ))
    .unwrap();
    assert!(expanded.contains("to_json(self,out)") && !expanded.contains("schema"));
}

#[test]
fn what_is_wrong_says_what_to_write() {
    let message = |input| expand(input).unwrap_err();
    assert!(
        message(parse_quote!(
            struct P(u8, u8);
        ))
        .contains("struct Name { field: Type }")
    );
    assert!(
        message(parse_quote!(
            #[record(format = "bincode")]
            enum E {
                A,
            }
        ))
        .contains("remove `format")
    );
    assert!(
        message(parse_quote!(
            #[record(format = "xml")]
            struct P {
                a: u8,
            }
        ))
        .contains("\"json\" or \"bincode\"")
    );
    assert!(
        message(parse_quote!(
            #[record(fmt = 1)]
            struct P {
                a: u8,
            }
        ))
        .contains("version = n")
    );
    assert!(
        message(parse_quote!(
            struct P {
                #[record(id)]
                a: u8,
            }
        ))
        .contains("`key` or `event_time`")
    );
    assert!(
        message(parse_quote!(
            struct P {
                #[record(key)]
                a: u8,
                #[record(key)]
                b: u8,
            }
        ))
        .contains("remove one")
    );
    assert!(
        message(parse_quote!(
            struct P<T> {
                a: T,
            }
        ))
        .contains("generic parameters")
    );
    assert!(message(parse_quote!(union U { a: u8 })).contains("use a struct"));
}
