//! The tests of the whole product, in one binary: every further file in `tests/` would link DataFusion once more.

mod cli;
#[cfg(feature = "sql")]
mod demo;
mod examples;
mod tidy;
