//! bincode structs, read by their schema: `log-core`'s `codec::to_bincode`, without the Rust type.
//!
//! ```text
//!   value     01  field field …            version byte, then the fields in order, nothing between or after
//!   bool      00 | 01
//!   i8 u8     one byte
//!   unsigned  00‥fa | fb u16 | fc u32 | fd u64          little-endian, the shortest that fits is written
//!   signed    zigzag, then as unsigned: 0 -1 1 -2 … are 0 1 2 3 …
//!   f32 f64   IEEE 754, little-endian
//!   string    length as unsigned, UTF-8
//!   Option    00 | 01 value
//! ```
//! This is bincode 2's `standard()` configuration (its spec.md). Every length is checked against the bytes that
//! remain. Nested fields have no form that a schema of flat columns describes, so such a topic is refused earlier.

use super::{Cell, Row};
use crate::schema::{Column, ColumnType};
use tailwater_log::codec::{Field, FieldType};

const VERSION: u8 = 1;

#[derive(Debug)]
pub(crate) struct BincodeDecoder {
    fields: Vec<FieldPlan>,
}

#[derive(Debug)]
struct FieldPlan {
    field: Field,
    /// The column and the cell to fill; `None` for a field that is only stepped over.
    target: Option<(ColumnType, usize)>,
}

impl BincodeDecoder {
    pub(crate) fn new(fields: &[Field], columns: &[Column], wanted: &[usize]) -> Self {
        let target = |field: &Field| {
            let slot = wanted.iter().position(|&i| columns[i].name == field.name)?;
            Some((columns[wanted[slot]].column_type, slot))
        };
        Self { fields: fields.iter().map(|f| FieldPlan { field: f.clone(), target: target(f) }).collect() }
    }

    pub(crate) fn decode(&self, value: &[u8], row: &mut Row) -> Result<(), String> {
        let Some((&VERSION, body)) = value.split_first() else {
            return Err(format!("not a bincode value of version {VERSION}"));
        };
        let mut input = Input { rest: body, field: "" };
        for plan in &self.fields {
            input.field = &plan.field.name;
            input.field(plan, row)?;
        }
        if !input.rest.is_empty() {
            return Err(format!("{} bytes after the value", input.rest.len()));
        }
        Ok(())
    }
}

struct Input<'a> {
    rest: &'a [u8],
    /// The field being read, for messages.
    field: &'a str,
}

impl<'a> Input<'a> {
    fn field(&mut self, plan: &FieldPlan, row: &mut Row) -> Result<(), String> {
        if plan.field.nullable && !self.flag()? {
            return Ok(());
        }
        let cell = match plan.field.field_type {
            FieldType::Bool => Cell::Bool(self.flag()?),
            FieldType::I8 => Cell::Int(i128::from(i8::from_le_bytes(self.array()?))),
            FieldType::U8 => Cell::Int(i128::from(u8::from_le_bytes(self.array()?))),
            FieldType::U16 => self.unsigned(u64::from(u16::MAX))?,
            FieldType::U32 => self.unsigned(u64::from(u32::MAX))?,
            FieldType::U64 => self.unsigned(u64::MAX)?,
            FieldType::I16 => self.signed(u64::from(u16::MAX))?,
            FieldType::I32 => self.signed(u64::from(u32::MAX))?,
            FieldType::I64 | FieldType::Timestamp => self.signed(u64::MAX)?,
            FieldType::F32 => Cell::Float(f64::from(f32::from_le_bytes(self.array()?))),
            FieldType::F64 => Cell::Float(f64::from_le_bytes(self.array()?)),
            FieldType::String => {
                let len = usize::try_from(self.varint()?).map_err(|_| self.wrong("has an impossible length"))?;
                let text = std::str::from_utf8(self.take(len)?).map_err(|_| self.wrong("is not UTF-8"))?;
                if let Some((_, slot)) = plan.target {
                    row.push_text(slot, text);
                }
                return Ok(());
            }
            FieldType::Other => return Err(self.wrong("is nested, and a nested bincode field has no column")),
        };
        match (plan.target, cell) {
            (Some((column, slot)), Cell::Int(value)) => row.push_int(slot, self.field, column, value),
            (Some((_, slot)), cell) => row.cells[slot] = cell,
            (None, _) => {}
        }
        Ok(())
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], String> {
        let Some((head, rest)) = self.rest.split_at_checked(len) else {
            return Err(self.wrong("ends too early"));
        };
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        Ok(self.take(N)?.try_into().expect("take returned N bytes"))
    }

    fn flag(&mut self) -> Result<bool, String> {
        match self.array::<1>()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(self.wrong(&format!("has a flag of {other}"))),
        }
    }

    fn varint(&mut self) -> Result<u64, String> {
        match self.array::<1>()? {
            [small @ 0..=250] => Ok(u64::from(small)),
            [251] => Ok(u64::from(u16::from_le_bytes(self.array()?))),
            [252] => Ok(u64::from(u32::from_le_bytes(self.array()?))),
            [253] => Ok(u64::from_le_bytes(self.array()?)),
            _ => Err(self.wrong("is wider than 64 bits")),
        }
    }

    fn bounded(&mut self, max: u64) -> Result<u64, String> {
        let value = self.varint()?;
        if value > max { Err(self.wrong("is out of its type's range")) } else { Ok(value) }
    }

    fn unsigned(&mut self, max: u64) -> Result<Cell, String> {
        Ok(Cell::Int(i128::from(self.bounded(max)?)))
    }

    fn signed(&mut self, max: u64) -> Result<Cell, String> {
        let zigzag = self.bounded(max)?;
        let value = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
        Ok(Cell::Int(i128::from(value)))
    }

    fn wrong(&self, what: &str) -> String {
        format!("field `{}` {what}", self.field)
    }
}
