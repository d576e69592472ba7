//! Deletes topics with their records.
//!
//! Versions:
//! - 5: `THROTTLING_QUOTA_EXCEEDED` (KIP-599) and messages. 6: by id too (KIP-516).

use crate::wire::Str;
use crate::wire::declare::wire;
use uuid::Uuid;

wire! {
    /// The request.
    pub(crate) struct DeleteTopicsRequest {
        [6+]  topics: Vec<DeleteTopicState>,
        [0-5] topic_names: Vec<Str>,
        [0+]  timeout_ms: i32,
    }

    /// A topic, by name or by id.
    pub(crate) struct DeleteTopicState {
        [6+] name: Option<Str>,
        [6+] topic_id: Uuid,
    }

    /// The response.
    pub(crate) struct DeleteTopicsResponse {
        [1+] throttle_time_ms: i32,
        [0+] responses: Vec<DeletableTopicResult>,
    }

    /// What became of one topic.
    pub(crate) struct DeletableTopicResult {
        [0+ null 6+] name: Option<Str>,
        [6+]         topic_id: Uuid,
        [0+]         error_code: i16,
        [5+]         error_message: Option<Str>,
    }
}
