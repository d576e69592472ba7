//! Gives a producer its id and epoch; with a transactional id it ends what an earlier one has begun (KIP-98).
//!
//! Versions:
//! - 3: the id and epoch that the producer has, to go on with the next epoch (KIP-360). 4: `PRODUCER_FENCED`
//!   (KIP-588). 5: `TRANSACTION_ABORTABLE` (KIP-890). 6, two-phase commit, is not stable in Kafka 4.3.

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct InitProducerIdRequest {
        [0+] transactional_id: Option<Str>,
        [0+] transaction_timeout_ms: i32,
        [3+] producer_id: i64 = -1,
        [3+] producer_epoch: i16 = -1,
    }

    /// The response.
    pub(crate) struct InitProducerIdResponse {
        [0+] throttle_time_ms: i32,
        [0+] error_code: i16,
        [0+] producer_id: i64 = -1,
        [0+] producer_epoch: i16,
    }
}
