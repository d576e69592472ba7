//! Sets and removes quotas of users and clients (KIP-546).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct AlterClientQuotasRequest {
        [0+] entries: Vec<EntryData>,
        [0+] validate_only: bool,
    }

    /// The quotas of an entity.
    pub(crate) struct EntryData {
        [0+] entity: Vec<EntityData>,
        [0+] ops: Vec<OpData>,
    }

    /// A user, client id or address; `None` is the default of its type.
    pub(crate) struct EntityData {
        [0+] entity_type: Str,
        [0+] entity_name: Option<Str>,
    }

    /// A quota to set or to remove.
    pub(crate) struct OpData {
        [0+] key: Str,
        [0+] value: f64,
        [0+] remove: bool,
    }

    /// The response.
    pub(crate) struct AlterClientQuotasResponse {
        [0+] throttle_time_ms: i32,
        [0+] entries: Vec<EntryDataResult>,
    }

    /// What became of one entity.
    pub(crate) struct EntryDataResult {
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
        [0+] entity: Vec<EntityData>,
    }
}
