//! The quotas of users and clients that match a filter (KIP-546).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct DescribeClientQuotasRequest {
        [0+] components: Vec<ComponentData>,
        [0+] strict: bool,
    }

    /// A part of the filter: the name `match` (0), the default (1), or any name (2).
    pub(crate) struct ComponentData {
        [0+] entity_type: Str,
        [0+] match_type: i8,
        [0+] r#match: Option<Str>,
    }

    /// The response.
    pub(crate) struct DescribeClientQuotasResponse {
        [0+] throttle_time_ms: i32,
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
        [0+] entries: Option<Vec<EntryData>>,
    }

    /// The quotas of an entity.
    pub(crate) struct EntryData {
        [0+] entity: Vec<EntityData>,
        [0+] values: Vec<ValueData>,
    }

    /// A user, client id or address; `None` is the default of its type.
    pub(crate) struct EntityData {
        [0+] entity_type: Str,
        [0+] entity_name: Option<Str>,
    }

    /// A quota.
    pub(crate) struct ValueData {
        [0+] key: Str,
        [0+] value: f64,
    }
}
