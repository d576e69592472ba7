//! The types of csv columns, from all their values.
//!
//! A column is what every one of its values is: whole numbers, numbers, booleans, otherwise text. Empty and `NA` are
//! null in any column. A value is a number only if it is written as JSON would write it, so `007`, `+1`, `1_000` and
//! numbers too large for 64 bits keep their text.

use super::super::value::json_string;

/// What all values of a column are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ColumnType {
    /// Only nulls so far.
    #[default]
    Unknown,
    Int,
    Float,
    Bool,
    Text,
}

impl ColumnType {
    /// The type that also holds `cell`.
    pub(super) fn widened(self, cell: &str) -> Self {
        let one = match cell {
            _ if is_null(cell) => return self,
            _ if is_int(cell) => Self::Int,
            _ if is_number(cell) => Self::Float,
            "true" | "false" | "TRUE" | "FALSE" | "True" | "False" => Self::Bool,
            _ => Self::Text,
        };
        match (self, one) {
            (Self::Unknown, one) => one,
            (was, one) if was == one => was,
            (Self::Int, Self::Float) | (Self::Float, Self::Int) => Self::Float,
            _ => Self::Text,
        }
    }

    /// The cell as JSON. One that does not fit (the types came from a sample) is text.
    pub(super) fn write(self, cell: &str, out: &mut String) {
        match self {
            _ if is_null(cell) => out.push_str("null"),
            Self::Int if is_int(cell) => out.push_str(cell),
            Self::Float if is_number(cell) => {
                out.push_str(cell);
                if !cell.contains(['.', 'e', 'E']) {
                    out.push_str(".0");
                }
            }
            Self::Bool if Self::Unknown.widened(cell) == Self::Bool => out.push_str(&cell.to_ascii_lowercase()),
            _ => out.push_str(&json_string(cell)),
        }
    }
}

fn is_null(cell: &str) -> bool {
    matches!(cell, "" | "NA")
}

fn is_int(cell: &str) -> bool {
    let digits = cell.strip_prefix('-').unwrap_or(cell);
    let canonical = digits == "0" && !cell.starts_with('-') || !digits.starts_with('0');
    canonical && digits.bytes().all(|b| b.is_ascii_digit()) && cell.parse::<i64>().is_ok()
}

/// A JSON number that a 64-bit float can hold.
fn is_number(cell: &str) -> bool {
    if is_int(cell) {
        return true;
    }
    // Digits alone that are no 64-bit integer would lose digits as a float.
    let plain = cell.strip_prefix('-').unwrap_or(cell);
    !plain.is_empty()
        && !plain.bytes().all(|b| b.is_ascii_digit())
        && plain.starts_with(|c: char| c.is_ascii_digit())
        && serde_json::from_str::<f64>(cell).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(cells: &[&str]) -> (ColumnType, String) {
        let column = cells.iter().fold(ColumnType::Unknown, |t, cell| t.widened(cell));
        let mut out = String::new();
        for (i, cell) in cells.iter().enumerate() {
            out.push_str(if i > 0 { "," } else { "" });
            column.write(cell, &mut out);
        }
        (column, out)
    }

    #[test]
    fn a_column_is_what_all_its_values_are() {
        assert_eq!(column(&["1", "NA", "-20", ""]), (ColumnType::Int, "1,null,-20,null".into()));
        assert_eq!(column(&["1", "2.5", "1e3"]), (ColumnType::Float, "1.0,2.5,1e3".into()));
        assert_eq!(column(&["TRUE", "false"]), (ColumnType::Bool, "true,false".into()));
        assert_eq!(column(&["", "NA"]), (ColumnType::Unknown, "null,null".into()));
        assert_eq!(column(&["1", "true"]), (ColumnType::Text, r#""1","true""#.into()));
        assert_eq!(column(&["2", "x\"y"]), (ColumnType::Text, r#""2","x\"y""#.into()));
    }

    #[test]
    fn what_would_lose_digits_stays_text() {
        for cell in ["007", "+1", "99999999999999999999", "1_000", "inf", "NaN", ".5", "5.", "0x10", "-", " 1", "-0"] {
            let (kind, out) = column(&[cell]);
            assert_eq!((kind, out), (ColumnType::Text, json_string(cell)), "{cell}");
        }
    }

    #[test]
    fn a_cell_beyond_its_sampled_type_is_text() {
        let mut out = String::new();
        ColumnType::Int.write("late", &mut out);
        assert_eq!(out, r#""late""#);
    }
}
