//! Secrets: nonces and salts, from the operating system.

/// Bytes that nobody can guess.
///
/// # Panics
/// If the operating system has none to give, which a running one always has.
pub fn secret<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

#[cfg(test)]
mod tests {
    #[test]
    fn two_secrets_differ() {
        assert_ne!(super::secret::<16>(), super::secret::<16>());
    }
}
