//! Disks that are full, fail, or lie.

use super::*;
