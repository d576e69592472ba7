//! Filters on `_partition`, `_offset` and `_timestamp`, as sets of integers.
//!
//! A filter that compares one of these columns with constants, combined by AND and OR over the same column, is exact:
//! the scan applies it itself and DataFusion does not look again, so that a LIMIT can be pushed too. `_partition` and
//! `_offset` choose what is fetched at all. `_timestamp` is checked on every record, because a log's timestamps may
//! go back; its lower bound also skips the head of each partition, up to the first record that is not older.
//! Every other filter stays with DataFusion.

use crate::schema::Meta;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

/// A set of integers as ascending, disjoint, inclusive intervals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ranges(Vec<(i64, i64)>);

impl Ranges {
    pub(crate) fn all() -> Self {
        Self(vec![(i64::MIN, i64::MAX)])
    }

    fn none() -> Self {
        Self(Vec::new())
    }

    fn between(low: i64, high: i64) -> Self {
        if low <= high { Self(vec![(low, high)]) } else { Self::none() }
    }

    fn below(value: i64) -> Self {
        value.checked_sub(1).map_or_else(Self::none, |high| Self::between(i64::MIN, high))
    }

    fn above(value: i64) -> Self {
        value.checked_add(1).map_or_else(Self::none, |low| Self::between(low, i64::MAX))
    }

    pub(crate) fn is_all(&self) -> bool {
        *self == Self::all()
    }

    pub(crate) fn intervals(&self) -> &[(i64, i64)] {
        &self.0
    }

    pub(crate) fn contains(&self, value: i64) -> bool {
        self.0.iter().any(|&(low, high)| (low..=high).contains(&value))
    }

    pub(crate) fn intersect(&self, other: &Self) -> Self {
        let mut both = Vec::new();
        for &(a, b) in &self.0 {
            both.extend(other.0.iter().map(|&(c, d)| (a.max(c), b.min(d))).filter(|(low, high)| low <= high));
        }
        Self(both)
    }

    fn union(self, other: Self) -> Self {
        let mut parts = [self.0, other.0].concat();
        parts.sort_unstable();
        let mut merged: Vec<(i64, i64)> = Vec::new();
        for (low, high) in parts {
            match merged.last_mut() {
                Some(last) if low <= last.1.saturating_add(1) => last.1 = last.1.max(high),
                _ => merged.push((low, high)),
            }
        }
        Self(merged)
    }

    fn complement(&self) -> Self {
        let mut rest = Self::all();
        for &(low, high) in &self.0 {
            rest = rest.intersect(&Self::below(low).union(Self::above(high)));
        }
        rest
    }
}

/// What a scan may leave out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pushdown {
    pub(crate) partition: Ranges,
    pub(crate) offset: Ranges,
    pub(crate) timestamp: Ranges,
}

impl Pushdown {
    /// The conjunction of `filters`; those that [`ranges_of`] does not take are left to DataFusion.
    pub(crate) fn new(filters: &[Expr]) -> Self {
        let mut pushdown = Self { partition: Ranges::all(), offset: Ranges::all(), timestamp: Ranges::all() };
        for (column, ranges) in filters.iter().filter_map(ranges_of) {
            let bound = match column {
                Meta::Partition => &mut pushdown.partition,
                Meta::Offset => &mut pushdown.offset,
                _ => &mut pushdown.timestamp,
            };
            *bound = bound.intersect(&ranges);
        }
        pushdown
    }
}

/// The values of one metadata column for which `filter` is true, if the filter is about one such column only.
pub(crate) fn ranges_of(filter: &Expr) -> Option<(Meta, Ranges)> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            let ((a, x), (b, y)) = (ranges_of(left)?, ranges_of(right)?);
            (a == b).then(|| (a, x.intersect(&y)))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let ((a, x), (b, y)) = (ranges_of(left)?, ranges_of(right)?);
            (a == b).then(|| (a, x.union(y)))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (column(left), column(right)) {
            (Some(meta), None) => Some((meta, compared(*op, constant(meta, right)?)?)),
            (None, Some(meta)) => Some((meta, compared(op.swap()?, constant(meta, left)?)?)),
            _ => None,
        },
        Expr::Between(between) => {
            let meta = column(&between.expr)?;
            let (low, high) = (constant(meta, &between.low)?, constant(meta, &between.high)?);
            // With a NULL bound, BETWEEN is never true, and NOT BETWEEN may be.
            let (Some(low), Some(high)) = (low, high) else {
                return (!between.negated).then(|| (meta, Ranges::none()));
            };
            let ranges = Ranges::between(low, high);
            Some((meta, if between.negated { ranges.complement() } else { ranges }))
        }
        Expr::InList(list) => {
            let meta = column(&list.expr)?;
            let mut ranges = Ranges::none();
            for item in &list.list {
                match constant(meta, item)? {
                    Some(value) => ranges = ranges.union(Ranges::between(value, value)),
                    // x NOT IN (…, NULL) is never true; x IN (…, NULL) is decided by the others.
                    None if list.negated => return Some((meta, Ranges::none())),
                    None => {}
                }
            }
            Some((meta, if list.negated { ranges.complement() } else { ranges }))
        }
        _ => None,
    }
}

fn column(expr: &Expr) -> Option<Meta> {
    let Expr::Column(column) = expr else { return None };
    Meta::named(&column.name).filter(|meta| matches!(meta, Meta::Partition | Meta::Offset | Meta::Timestamp))
}

/// A constant in the column's unit; the inner `None` is NULL.
#[expect(clippy::option_option, reason = "not a constant, and the constant NULL, are two things")]
fn constant(meta: Meta, expr: &Expr) -> Option<Option<i64>> {
    let Expr::Literal(value, _) = expr else { return None };
    if value.is_null() {
        return Some(None);
    }
    match (meta, value) {
        (Meta::Timestamp, ScalarValue::TimestampMillisecond(value, _)) => Some(*value),
        (Meta::Timestamp, _) => None,
        (_, ScalarValue::Int8(value)) => Some(value.map(i64::from)),
        (_, ScalarValue::Int16(value)) => Some(value.map(i64::from)),
        (_, ScalarValue::Int32(value)) => Some(value.map(i64::from)),
        (_, ScalarValue::Int64(value)) => Some(*value),
        (_, ScalarValue::UInt8(value)) => Some(value.map(i64::from)),
        (_, ScalarValue::UInt16(value)) => Some(value.map(i64::from)),
        (_, ScalarValue::UInt32(value)) => Some(value.map(i64::from)),
        _ => None,
    }
}

/// The values `v` for which `v op constant` is true; a comparison with NULL never is.
fn compared(op: Operator, constant: Option<i64>) -> Option<Ranges> {
    let Some(value) = constant else {
        return matches!(
            op,
            Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq
        )
        .then(Ranges::none);
    };
    Some(match op {
        Operator::Eq => Ranges::between(value, value),
        Operator::NotEq => Ranges::between(value, value).complement(),
        Operator::Lt => Ranges::below(value),
        Operator::LtEq => Ranges::between(i64::MIN, value),
        Operator::Gt => Ranges::above(value),
        Operator::GtEq => Ranges::between(value, i64::MAX),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::logical_expr::{col, lit};

    fn ranges(filter: &Expr) -> Option<Vec<(i64, i64)>> {
        ranges_of(filter).map(|(_, ranges)| ranges.0)
    }

    #[test]
    fn comparisons_become_intervals() {
        let (min, max) = (i64::MIN, i64::MAX);
        let o = || col("_offset");
        assert_eq!(ranges(&o().eq(lit(5_i64))), Some(vec![(5, 5)]));
        assert_eq!(ranges(&lit(5_i64).lt(o())), Some(vec![(6, max)]));
        assert_eq!(ranges(&o().not_eq(lit(5_i64))), Some(vec![(min, 4), (6, max)]));
        assert_eq!(ranges(&o().gt(lit(max))), Some(vec![]));
        assert_eq!(ranges(&o().lt(lit(min))), Some(vec![]));
        assert_eq!(ranges(&o().between(lit(3_i64), lit(1_i64))), Some(vec![]));
        assert_eq!(ranges(&o().not_between(lit(3_i64), lit(4_i64))), Some(vec![(min, 2), (5, max)]));
        let list = vec![lit(1_i64), lit(2_i64), lit(7_i64)];
        assert_eq!(ranges(&o().in_list(list.clone(), false)), Some(vec![(1, 2), (7, 7)]));
        assert_eq!(ranges(&o().in_list(list, true)), Some(vec![(min, 0), (3, 6), (8, max)]));
        let both = o().gt_eq(lit(3_i64)).and(o().lt(lit(6_i64))).or(o().eq(lit(6_i64)));
        assert_eq!(ranges(&both), Some(vec![(3, 6)]));
    }

    #[test]
    fn null_compares_as_never_true() {
        let null = || lit(ScalarValue::Int64(None));
        assert_eq!(ranges(&col("_offset").eq(null())), Some(vec![]));
        assert_eq!(ranges(&col("_offset").in_list(vec![lit(1_i64), null()], false)), Some(vec![(1, 1)]));
        assert_eq!(ranges(&col("_offset").in_list(vec![lit(1_i64), null()], true)), Some(vec![]));
        assert_eq!(ranges(&col("_offset").not_between(null(), lit(5_i64))), None);
    }

    #[test]
    fn what_cannot_be_decided_by_one_metadata_column_is_left() {
        let offset = || col("_offset").eq(lit(1_i64));
        for filter in [
            col("n").eq(lit(1_i64)),
            offset().and(col("n").eq(lit(1_i64))),
            offset().or(col("_partition").eq(lit(1))),
            col("_offset").lt(lit(1.5)),
            col("_offset").eq(col("_partition")),
            (col("_offset") + lit(1_i64)).eq(lit(2_i64)),
            col("_key").eq(lit("k")),
        ] {
            assert_eq!(ranges_of(&filter), None, "{filter}");
        }
    }
}
