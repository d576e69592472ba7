//! Which quota a client falls under, and what is left of it.
//!
//! For a user and a client id the first of these that has the key decides (Kafka's order):
//!
//! ```text
//!   user + client id      user + <default>      user
//!   <default> + client id <default> + <default> <default>
//!                         client id             <default> client id
//! ```
//! Whoever falls under the same one shares it; under a default everyone has their own. Addresses have a quota of their
//! own or the default one.

use crate::types::{Instant, QuotaEntity, QuotaKey, QuotaMatch, QuotaName};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a client may save up what it does not use, and how long it can be in debt at most: Kafka's window of 11
/// samples of a second.
const WINDOW: Duration = Duration::from_secs(11);

/// The quotas there are.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Quotas(BTreeMap<QuotaEntity, BTreeMap<QuotaKey, f64>>);

/// What clients that share a quota are counted by: the user's name, the client id, the address, as far as they matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Bucket {
    pub(crate) user: Option<String>,
    pub(crate) client_id: Option<String>,
    pub(crate) ip: Option<String>,
}

impl Quotas {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn entities(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn of(&self, entity: &QuotaEntity) -> Option<&BTreeMap<QuotaKey, f64>> {
        self.0.get(entity)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&QuotaEntity, &BTreeMap<QuotaKey, f64>)> {
        self.0.iter()
    }

    /// Gives an entity all its quotas; none forgets it.
    pub(crate) fn set(&mut self, entity: QuotaEntity, values: BTreeMap<QuotaKey, f64>) {
        if values.is_empty() {
            self.0.remove(&entity);
        } else {
            self.0.insert(entity, values);
        }
    }

    /// The limit for a user's client, and what it is counted by.
    pub(crate) fn limit(&self, user: &str, client_id: &str, key: QuotaKey) -> Option<(Bucket, f64)> {
        let exact = |name: &str| Some(QuotaName::Exactly(name.to_owned()));
        let default = || Some(QuotaName::Default);
        let order = [
            (exact(user), exact(client_id)),
            (exact(user), default()),
            (exact(user), None),
            (default(), exact(client_id)),
            (default(), default()),
            (default(), None),
            (None, exact(client_id)),
            (None, default()),
        ];
        order.into_iter().find_map(|(of_user, of_client)| {
            let bucket = Bucket {
                user: of_user.is_some().then(|| user.to_owned()),
                client_id: of_client.is_some().then(|| client_id.to_owned()),
                ip: None,
            };
            let entity = QuotaEntity { user: of_user, client_id: of_client, ip: None };
            self.0.get(&entity)?.get(&key).map(|limit| (bucket, *limit))
        })
    }

    /// The connections a second that an address may open.
    pub(crate) fn connection_rate(&self, ip: &str) -> Option<f64> {
        let of = |ip| {
            let entity = QuotaEntity { ip: Some(ip), ..QuotaEntity::default() };
            self.0.get(&entity)?.get(&QuotaKey::ConnectionCreationRate).copied()
        };
        of(QuotaName::Exactly(ip.to_owned())).or_else(|| of(QuotaName::Default))
    }

    /// The entities that have each of `parts` as it says; with `strict` none that have others too. The parts are
    /// Kafka's: `user`, `client-id`, `ip`.
    pub(crate) fn matching(
        &self,
        parts: &[(String, QuotaMatch)],
        strict: bool,
    ) -> Vec<(QuotaEntity, BTreeMap<QuotaKey, f64>)> {
        let of = |entity: &QuotaEntity, kind: &str| entity.parts().find(|(k, _)| *k == kind).map(|(_, n)| n.clone());
        let chosen = self.0.iter().filter(|(entity, _)| {
            parts.iter().all(|(kind, wanted)| wanted.matches(of(entity, kind).as_ref()))
                && (!strict || entity.parts().count() == parts.len())
        });
        chosen.map(|(entity, values)| (entity.clone(), values.clone())).collect()
    }
}

/// What is left of a quota: filled at the quota's rate, up to a window's worth, and charged after the fact.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter {
    rate: f64,
    left: f64,
    at: Instant,
}

impl Meter {
    pub(crate) fn new(rate: f64, now: Instant) -> Self {
        Self { rate, left: rate * WINDOW.as_secs_f64(), at: now }
    }

    /// Takes `amount` and returns how long its user is to be kept waiting until nothing is owed.
    pub(crate) fn charge(&mut self, rate: f64, amount: f64, now: Instant) -> Duration {
        let most = rate * WINDOW.as_secs_f64();
        self.left = (self.left + rate * now.since(self.at).as_secs_f64()).min(most) - amount;
        (self.rate, self.at) = (rate, now);
        if self.left >= 0.0 || rate <= 0.0 {
            return Duration::ZERO;
        }
        Duration::from_secs_f64((-self.left / rate).min(WINDOW.as_secs_f64()))
    }

    /// Whether a new one would say the same.
    pub(crate) fn is_stale(&self, now: Instant) -> bool {
        self.left + self.rate * now.since(self.at).as_secs_f64() >= self.rate * WINDOW.as_secs_f64()
    }
}
