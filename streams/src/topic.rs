//! A topic with the types of its keys and values.

use std::marker::PhantomData;

/// The name of a topic and the types of its keys and values; a `const` in user code.
///
/// ```
/// use tailwater_streams::Topic;
/// const COUNTS: Topic<String, u64> = Topic::new("word-counts");
/// assert_eq!(COUNTS.name(), "word-counts");
/// ```
///
/// `Topic<(), V>` is a topic whose records have no keys.
pub struct Topic<K, V> {
    name: &'static str,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Topic<K, V> {
    /// A topic called `name`. The name is checked when the topology is built.
    pub const fn new(name: &'static str) -> Self {
        Self { name, types: PhantomData }
    }

    /// The topic's name.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<K, V> Clone for Topic<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for Topic<K, V> {}

impl<K, V> std::fmt::Debug for Topic<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Topic({})", self.name)
    }
}
