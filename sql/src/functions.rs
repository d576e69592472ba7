//! Functions that topics need beyond DataFusion's: `json_get`.

use crate::decode::{Cell, JsonDecoder, Row};
use crate::schema::ColumnType;
use datafusion::arrow::array::{ArrayRef, AsArray, StringBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use std::sync::Arc;

/// `json_get(text, field)`: a field of a JSON object as text; NULL when the text is no object or has no such field.
/// A string comes without its quotes; a nested value as JSON text, which `json_get` takes again.
pub(crate) fn json_get() -> ScalarUDF {
    let types = vec![DataType::Utf8, DataType::Utf8];
    create_udf("json_get", types, DataType::Utf8, Volatility::Immutable, Arc::new(invoke))
}

fn invoke(args: &[ColumnarValue]) -> Result<ColumnarValue> {
    let rows = args.iter().find_map(|arg| match arg {
        ColumnarValue::Array(array) => Some(array.len()),
        ColumnarValue::Scalar(_) => None,
    });
    let arrays = ColumnarValue::values_to_arrays(args)?;
    let (texts, fields) = (arrays[0].as_string::<i32>(), arrays[1].as_string::<i32>());
    let mut out = StringBuilder::new();
    let mut row = Row::default();
    let mut decoder: Option<(String, JsonDecoder)> = None;
    for (text, field) in texts.iter().zip(fields) {
        let (Some(text), Some(field)) = (text, field) else {
            out.append_null();
            continue;
        };
        // Nearly always the field is the same for all rows.
        if decoder.as_ref().is_none_or(|(name, _)| name != field) {
            decoder = Some((field.to_owned(), JsonDecoder::new(vec![(field.to_owned(), ColumnType::Text)])));
        }
        let (_, json) = decoder.as_ref().expect("set above");
        row.clear(1);
        match (json.decode(text.as_bytes(), &mut row), row.cells[0]) {
            (Ok(()), Cell::Text { start, end }) => out.append_value(&row.text[start..end]),
            _ => out.append_null(),
        }
    }
    let result: ArrayRef = Arc::new(out.finish());
    Ok(match rows {
        Some(_) => ColumnarValue::Array(result),
        None => ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&result, 0)?),
    })
}
