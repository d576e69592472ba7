//! What a group can be told (KIP-848, KIP-932). In order of name.

use super::setting::{AT_LEAST_1, Check, Setting};
use crate::types::ConfigType::{Int, String};

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "consumer.heartbeat.interval.ms",
        Int,
        "5000",
        AT_LEAST_1,
        "How often members of the consumer protocol say that they live.",
    )
    .falls_back_to("group.consumer.heartbeat.interval.ms"),
    Setting::new(
        "consumer.session.timeout.ms",
        Int,
        "45000",
        AT_LEAST_1,
        "A member of the consumer protocol that is silent for longer is taken to be dead.",
    )
    .falls_back_to("group.consumer.session.timeout.ms"),
    Setting::new(
        "share.auto.offset.reset",
        String,
        "latest",
        Check::OneOf(&["earliest", "latest"]),
        "Where a new queue group begins.",
    ),
];
