//! Features that a cluster has agreed on (KIP-584): what a client may rely on beyond versions of requests.

/// A feature: its name, the levels that this build knows, and the level of a new cluster.
#[derive(Clone, Copy, Debug)]
pub(in crate::broker) struct Feature {
    pub(in crate::broker) name: &'static str,
    pub(in crate::broker) min_level: i16,
    pub(in crate::broker) max_level: i16,
    pub(in crate::broker) default_level: i16,
}

/// Every feature, in order of name.
pub(in crate::broker) const FEATURES: &[Feature] = &[
    // The consumer protocol (KIP-848).
    Feature { name: "group.version", min_level: 0, max_level: 1, default_level: 1 },
    // Kafka's number for what a metadata log can hold; tools show it, nothing here depends on it.
    Feature { name: "metadata.version", min_level: 7, max_level: 30, default_level: 30 },
    // Transactions with an epoch of their own each (KIP-890).
    Feature { name: "transaction.version", min_level: 0, max_level: 2, default_level: 2 },
];
