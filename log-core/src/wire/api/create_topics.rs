//! Creates topics. -1 partitions or replicas are the broker's defaults (KIP-464); assignments replace both.
//!
//! Versions:
//! - 5: the answer shows the configuration (KIP-525). 6: `THROTTLING_QUOTA_EXCEEDED` (KIP-599). 7: topic ids
//!   (KIP-516).

use crate::wire::Str;
use crate::wire::declare::wire;
use uuid::Uuid;

wire! {
    /// The request.
    pub(crate) struct CreateTopicsRequest {
        [0+] topics: Vec<CreatableTopic>,
        [0+] timeout_ms: i32 = 60000,
        [1+] validate_only: bool,
    }

    /// A topic to create.
    pub(crate) struct CreatableTopic {
        [0+] name: Str,
        [0+] num_partitions: i32,
        [0+] replication_factor: i16,
        [0+] assignments: Vec<CreatableReplicaAssignment>,
        [0+] configs: Vec<CreatableTopicConfig>,
    }

    /// The brokers of one partition, the preferred leader first.
    pub(crate) struct CreatableReplicaAssignment {
        [0+] partition_index: i32,
        [0+] broker_ids: Vec<i32>,
    }

    /// A setting of the new topic.
    pub(crate) struct CreatableTopicConfig {
        [0+] name: Str,
        [0+] value: Option<Str>,
    }

    /// The response.
    pub(crate) struct CreateTopicsResponse {
        [2+] throttle_time_ms: i32,
        [0+] topics: Vec<CreatableTopicResult>,
    }

    /// What became of one topic, and what it is like.
    pub(crate) struct CreatableTopicResult {
        [0+]       name: Str,
        [7+]       topic_id: Uuid,
        [0+]       error_code: i16,
        [1+]       error_message: Option<Str>,
        [5+ tag 0] topic_config_error_code: i16,
        [5+]       num_partitions: i32 = -1,
        [5+]       replication_factor: i16 = -1,
        [5+]       configs: Option<Vec<CreatableTopicConfigs>>,
    }

    /// A setting that the topic has now. The sources are those of `describe_configs`.
    pub(crate) struct CreatableTopicConfigs {
        [5+] name: Str,
        [5+] value: Option<Str>,
        [5+] read_only: bool,
        [5+] config_source: i8 = -1,
        [5+] is_sensitive: bool,
    }
}
