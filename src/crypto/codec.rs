//! Bytes written as text, digests, keys derived from passwords, and secrets compared.
//!
//! Read first: RFC 4648 section 4 (base64), RFC 2104 (HMAC), RFC 8018 section 5.2 (PBKDF2). All of it stands on the one
//! hash that the server has, SHA-1, which is sound in all three and in SCRAM.
//! Left out on purpose: anything that knows what the bytes mean.

use sha1_smol::Sha1;

/// Bytes of a SHA-1 digest.
pub(crate) const DIGEST_BYTES: usize = 20;

/// A SHA-1 digest.
pub(crate) type Digest = [u8; DIGEST_BYTES];

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    let digit = |value: u32| BASE64.get((value & 63) as usize).copied().map_or('=', char::from);
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0, |group, &byte| group << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            text.push(if place <= chunk.len() { digit(group >> (18 - 6 * place)) } else { '=' });
        }
    }
    text
}

/// What base64 stands for; `None` for what is none (RFC 4648 section 3: no other characters, whole padding, no stray
/// bits).
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text).as_bytes();
    if text.len() % 4 != 0 || text.len() - digits.len() != (4 - digits.len() % 4) % 4 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for chunk in digits.chunks(4) {
        let mut group = 0u32;
        for digit in chunk {
            group = group << 6 | u32::try_from(BASE64.iter().position(|b| b == digit)?).ok()?;
        }
        group <<= 6 * (4 - chunk.len());
        let [_, whole @ ..] = group.to_be_bytes();
        let (kept, rest) = whole.split_at(chunk.len() * 6 / 8);
        if rest.iter().any(|&byte| byte != 0) {
            return None;
        }
        bytes.extend_from_slice(kept);
    }
    Some(bytes)
}

/// SHA-1.
pub(crate) fn sha1(bytes: &[u8]) -> Digest {
    Sha1::from(bytes).digest().bytes()
}

/// HMAC-SHA-1 under one key; both pads are hashed once.
#[derive(Clone)]
pub(crate) struct Hmac {
    inner: Sha1,
    outer: Sha1,
}

/// Bytes of a SHA-1 block.
const BLOCK_BYTES: usize = 64;

impl Hmac {
    pub(crate) fn new(key: &[u8]) -> Self {
        let digest;
        let key = if key.len() > BLOCK_BYTES {
            digest = sha1(key);
            &digest
        } else {
            key
        };
        let mut block = [0; BLOCK_BYTES];
        block.iter_mut().zip(key).for_each(|(slot, byte)| *slot = *byte);
        Self {
            inner: Sha1::from(block.map(|byte| byte ^ 0x36)),
            outer: Sha1::from(block.map(|byte| byte ^ 0x5C)),
        }
    }

    pub(crate) fn of(&self, message: &[u8]) -> Digest {
        let (mut inner, mut outer) = (self.inner.clone(), self.outer.clone());
        inner.update(message);
        outer.update(&inner.digest().bytes());
        outer.digest().bytes()
    }
}

/// The first block of PBKDF2 with HMAC-SHA-1; SCRAM's `Hi` (RFC 5802 2.2).
pub(crate) fn pbkdf2(password: &[u8], salt: &[u8], iterations: u32) -> Digest {
    let hmac = Hmac::new(password);
    let mut last = hmac.of(&[salt, &[0, 0, 0, 1]].concat());
    let mut sum = last;
    for _ in 1..iterations {
        last = hmac.of(&last);
        sum = xor(&sum, &last);
    }
    sum
}

/// Two digests, bit by bit.
pub(crate) fn xor(a: &Digest, b: &Digest) -> Digest {
    let mut sum = *a;
    sum.iter_mut().zip(b).for_each(|(slot, byte)| *slot ^= *byte);
    sum
}

/// The digest of `jabber:iq:auth`: SHA-1 over the stream's id and the password, in lower-case hexadecimal digits
/// (XEP-0078 section 3.1).
pub fn legacy_digest(stream_id: &str, password: &str) -> String {
    hex(&sha1(&[stream_id.as_bytes(), password.as_bytes()].concat()))
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

    /// RFC 4648 section 10.
    #[test]
    fn base64_vectors() {
        let vectors = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
        ];
        for (bytes, text) in vectors {
            assert_eq!(base64(bytes.as_bytes()), text);
            assert_eq!(from_base64(text).as_deref(), Some(bytes.as_bytes()));
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(from_base64(&base64(&all)), Some(all));
    }

    #[test]
    fn bad_base64() {
        for text in [
            "Z", "Zg", "Zg=", "Zg===", "=", "====", "Zh==", "Zm9=", "Zm 9v", "Zm9v\n", "Zg==Zg==", "Zm9-",
            "é===",
        ] {
            assert_eq!(from_base64(text), None, "{text:?}");
        }
    }

    /// RFC 2202 section 3.
    #[test]
    fn hmac_vectors() {
        let of = |key: &[u8], data: &[u8]| hex(&Hmac::new(key).of(data));
        assert_eq!(of(&[0x0B; 20], b"Hi There"), "b617318655057264e28bc0b6fb378c8ef146be00");
        assert_eq!(of(b"Jefe", b"what do ya want for nothing?"), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        let long = "Test Using Larger Than Block-Size Key - Hash Key First";
        assert_eq!(of(&[0xAA; 80], long.as_bytes()), "aa4ae5e15272d00e95705637ce8a3b55ed402112");
    }

    /// RFC 6070.
    #[test]
    fn pbkdf2_vectors() {
        let of = |iterations| hex(&pbkdf2(b"password", b"salt", iterations));
        assert_eq!(of(1), "0c60c80f961f0e71f3a9b524af6012062fe037a6");
        assert_eq!(of(2), "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957");
        assert_eq!(of(4096), "4b007901b765489abead49d926f721d065a429c1");
    }
}
