//! Makes a share group without members forget topics (KIP-932).

use crate::wire::Str;
use crate::wire::declare::wire;
use uuid::Uuid;

wire! {
    /// The request.
    pub(crate) struct DeleteShareGroupOffsetsRequest {
        [0+] group_id: Str,
        [0+] topics: Vec<DeleteShareGroupOffsetsRequestTopic>,
    }

    /// A topic to forget.
    pub(crate) struct DeleteShareGroupOffsetsRequestTopic {
        [0+] topic_name: Str,
    }

    /// The response.
    pub(crate) struct DeleteShareGroupOffsetsResponse {
        [0+] throttle_time_ms: i32,
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
        [0+] responses: Vec<DeleteShareGroupOffsetsResponseTopic>,
    }

    /// What became of one topic.
    pub(crate) struct DeleteShareGroupOffsetsResponseTopic {
        [0+] topic_name: Str,
        [0+] topic_id: Uuid,
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
    }
}
