//! `#[derive(Record)]` as its users see it.

use crate::log::codec::{FieldType, Format};
use crate::{Codec, Record, Timestamp};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Record, Serialize, Deserialize)]
struct Click {
    #[record(key)]
    page: String,
    #[record(event_time)]
    at: Timestamp,
    #[serde(rename = "duration")]
    ms: Option<u64>,
    tags: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Record, Serialize, Deserialize)]
#[record(format = "bincode", version = 2)]
struct Packed {
    #[record(event_time)]
    at: Option<Timestamp>,
    value: i32,
    name: String,
}

#[derive(Clone, Debug, PartialEq, Record, Serialize, Deserialize)]
enum Event {
    Opened,
    Moved { x: u8 },
}

#[test]
fn json_has_the_fields_by_name_and_a_key_and_a_time() {
    let click = Click { page: "/".into(), at: Timestamp(5), ms: Some(7), tags: vec!["a".into()] };
    let bytes = click.to_bytes();
    assert_eq!(String::from_utf8(bytes.clone()).unwrap(), r#"{"page":"/","at":5,"duration":7,"tags":["a"]}"#);
    assert_eq!(Click::decode(&bytes), Ok(click.clone()));
    assert_eq!((click.key(), click.event_time()), (Some(b"/".to_vec()), Some(Timestamp(5))));
    let why = Click::decode(br#"{"page":"/"}"#).unwrap_err().why;
    assert!(why.contains("missing field `at`"), "{why}");
}

#[test]
fn the_schema_lists_the_columns() {
    let schema = Click::schema().unwrap();
    let columns: Vec<_> = schema.fields.iter().map(|f| (f.name.as_str(), f.field_type, f.nullable)).collect();
    assert_eq!(
        columns,
        [
            ("page", FieldType::String, false),
            ("at", FieldType::Timestamp, false),
            ("duration", FieldType::U64, true),
            ("tags", FieldType::Other, false)
        ]
    );
    assert_eq!((schema.name.as_str(), schema.version, schema.format), ("Click", 1, Format::Json));
    let packed = Packed::schema().unwrap();
    assert_eq!((packed.version, packed.format), (2, Format::Bincode));
    assert_eq!(Event::schema(), None);
}

#[test]
fn enums_are_json() {
    for (event, json) in [(Event::Opened, r#""Opened""#), (Event::Moved { x: 3 }, r#"{"Moved":{"x":3}}"#)] {
        assert_eq!(String::from_utf8(event.to_bytes()).unwrap(), json);
        assert_eq!(Event::decode(json.as_bytes()), Ok(event));
    }
}

proptest! {
    #[test]
    fn bincode_comes_back(at: Option<i64>, value: i32, name: String) {
        let packed = Packed { at: at.map(Timestamp), value, name };
        prop_assert_eq!(packed.event_time(), at.map(Timestamp));
        prop_assert_eq!(Packed::decode(&packed.to_bytes()), Ok(packed));
    }

    #[test]
    fn any_bytes_decode_or_say_why(bytes: Vec<u8>) {
        let _ = (Packed::decode(&bytes), Click::decode(&bytes), Event::decode(&bytes));
    }
}
