//! Bytes written as text, and secrets compared.
//!
//! Left out on purpose: anything that knows what the bytes mean.

use sha1_smol::Sha1;

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The digest of `jabber:iq:auth`: SHA-1 over the stream's id and the password, in lower-case hexadecimal digits
/// (XEP-0078 section 3.1).
pub fn legacy_digest(stream_id: &str, password: &str) -> String {
    let mut sha1 = Sha1::new();
    sha1.update(stream_id.as_bytes());
    sha1.update(password.as_bytes());
    hex(&sha1.digest().bytes())
}

/// Whether two secrets are the same, in a time that tells nothing but their lengths.
pub(crate) fn same_secret(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (x, y)| difference | (x ^ y)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_xep_0078() {
        assert_eq!(legacy_digest("3EE948B0", "Calli0pe"), "48fc78be9ec8f86d8ce1c39c320c97c21d62334d");
    }

    #[test]
    fn secrets() {
        assert!(same_secret(b"", b"") && same_secret(b"abc", b"abc"));
        assert!(!same_secret(b"abc", b"abd") && !same_secret(b"abc", b"ab"));
    }
}
