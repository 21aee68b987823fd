//! SCRAM-SHA-1 as the server sees it: keys that stand for a password, and the four messages.
//!
//! Read first: RFC 5802 section 3 (who computes what) and section 7 (the messages). The keys prove that a client knows
//! the password, and prove to the client that we do; the password cannot be had from them but by guessing. Left out on
//! purpose: channel binding (it needs TLS), and how messages travel ([`crate::features`]).

use crate::crypto::codec::{base64, from_base64, pbkdf2, same_secret, sha1, xor, Digest, Hmac, DIGEST_BYTES};

/// What rests of a password (RFC 5802 section 3).
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) salt: Box<[u8]>,
    pub(crate) iterations: u32,
    pub(crate) stored_key: Digest,
    pub(crate) server_key: Digest,
}

impl Keys {
    /// The slow way from a password to its keys: `iterations` rounds, each of two SHA-1 blocks.
    pub(crate) fn derive(password: &str, salt: &[u8], iterations: u32) -> Self {
        let salted = Hmac::new(&pbkdf2(password.as_bytes(), salt, iterations));
        Self {
            salt: salt.into(),
            iterations,
            stored_key: sha1(&salted.of(b"Client Key")),
            server_key: salted.of(b"Server Key"),
        }
    }

    /// Keys that no password has, for a name that nobody has: with this salt the exchange looks like any other.
    pub(crate) fn of_nobody(salt: &[u8], iterations: u32) -> Self {
        Self { salt: salt.into(), iterations, stored_key: [0; DIGEST_BYTES], server_key: [0; DIGEST_BYTES] }
    }

    /// Whether these are the keys of `password`.
    pub(crate) fn fit(&self, password: &str) -> bool {
        same_secret(&Self::derive(password, &self.salt, self.iterations).stored_key, &self.stored_key)
    }
}

/// Why a message is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The client's first message (RFC 5802 section 7).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ClientFirst<'m> {
    /// For whom the client wants to act, if not for itself.
    pub(crate) authzid: Option<String>,
    pub(crate) username: String,
    nonce: &'m str,
    gs2_header: &'m str,
    bare: &'m str,
}

impl<'m> ClientFirst<'m> {
    pub(crate) fn parse(message: &'m str) -> Result<Self, Malformed> {
        let (flag, rest) = message.split_once(',').ok_or(Malformed)?;
        let (authzid, bare) = rest.split_once(',').ok_or(Malformed)?;
        // `y` and `n`: no channel binding. `p`: one that we did not offer.
        if !matches!(flag, "n" | "y") {
            return Err(Malformed);
        }
        let authzid = match authzid {
            "" => None,
            authzid => Some(name(authzid.strip_prefix("a=").ok_or(Malformed)?)?),
        };
        // A mandatory extension `m=` would stand here; there are none, so it is refused as RFC 5802 5.1 wants.
        let mut attributes = bare.split(',');
        let username = name(attributes.next().and_then(|part| part.strip_prefix("n=")).ok_or(Malformed)?)?;
        let nonce = attributes.next().and_then(|part| part.strip_prefix("r=")).ok_or(Malformed)?;
        if nonce.is_empty() || !nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Malformed);
        }
        let gs2_header = message.get(..message.len() - bare.len()).ok_or(Malformed)?;
        Ok(Self { authzid, username, nonce, gs2_header, bare })
    }

    /// Goes on with the keys of the account, and what of the nonce is ours.
    pub(crate) fn answered(&self, keys: Keys, server_nonce: &str) -> Exchange {
        let nonce = format!("{}{server_nonce}", self.nonce);
        let server_first = format!("r={nonce},s={},i={}", base64(&keys.salt), keys.iterations);
        Exchange {
            binding: base64(self.gs2_header.as_bytes()),
            client_first_bare: self.bare.to_owned(),
            server_first,
            nonce,
            keys,
        }
    }
}

/// RFC 5802 5.1: a name, in which `,` and `=` are written as `=2C` and `=3D`.
fn name(text: &str) -> Result<String, Malformed> {
    let mut parts = text.split('=');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (escaped, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return Err(Malformed),
        };
        name.push(escaped);
        name.push_str(rest);
    }
    if name.is_empty() {
        return Err(Malformed);
    }
    Ok(name)
}

/// A login that waits for the client's last message.
pub(crate) struct Exchange {
    keys: Keys,
    nonce: String,
    binding: String,
    client_first_bare: String,
    server_first: String,
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(a SCRAM exchange)")
    }
}

impl Exchange {
    /// Whether it is with these keys.
    pub(crate) fn is_about(&self, keys: &Keys) -> bool {
        self.keys.stored_key == keys.stored_key
    }

    /// Our first message.
    pub(crate) fn server_first(&self) -> &str {
        &self.server_first
    }

    /// Checks the client's last message. Our last one if its proof is good, `None` if it is not.
    pub(crate) fn finish(&self, message: &str) -> Result<Option<String>, Malformed> {
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or(Malformed)?;
        let mut attributes = without_proof.split(',');
        let binding = attributes.next().and_then(|part| part.strip_prefix("c=")).ok_or(Malformed)?;
        let nonce = attributes.next().and_then(|part| part.strip_prefix("r=")).ok_or(Malformed)?;
        let proof: Digest = from_base64(proof).and_then(|proof| proof.try_into().ok()).ok_or(Malformed)?;
        let auth_message = format!("{},{},{without_proof}", self.client_first_bare, self.server_first);
        let signature = Hmac::new(&self.keys.stored_key).of(auth_message.as_bytes());
        let proved = same_secret(&sha1(&xor(&proof, &signature)), &self.keys.stored_key);
        if !(proved && binding == self.binding && nonce == self.nonce) {
            return Ok(None);
        }
        let verifier = Hmac::new(&self.keys.server_key).of(auth_message.as_bytes());
        Ok(Some(format!("v={}", base64(&verifier))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5802 section 5.
    fn exchange() -> Exchange {
        let salt = from_base64("QSXCR+Q6sek8bf92").unwrap();
        let first = ClientFirst::parse("n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL").unwrap();
        assert_eq!((first.username.as_str(), &first.authzid), ("user", &None));
        first.answered(Keys::derive("pencil", &salt, 4096), "3rfcNHYJY1ZVvWVs7j")
    }

    const NONCE: &str = "fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j";

    #[test]
    fn the_exchange_of_rfc_5802() {
        let exchange = exchange();
        assert_eq!(exchange.server_first(), format!("r={NONCE},s=QSXCR+Q6sek8bf92,i=4096"));
        let last = exchange.finish(&format!("c=biws,r={NONCE},p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="));
        assert_eq!(last, Ok(Some("v=rmF9pqV8S7suAoZWja4dJRkFsKQ=".to_owned())));
    }

    #[test]
    fn wrong_proof_binding_or_nonce() {
        let good = "p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=";
        for message in [
            format!("c=biws,r={NONCE},p=v0X8v3Bz2T0CJGbJQyF0X+HI4Tt="),
            format!("c=eSws,r={NONCE},{good}"),
            format!("c=biws,r={NONCE}x,{good}"),
        ] {
            assert_eq!(exchange().finish(&message).unwrap_or_default(), None, "{message}");
        }
        for message in [
            "",
            "c=biws",
            "c=biws,r=x",
            "c=biws,p=",
            "r=x,c=biws,p=AAAA",
            "c=biws,r=x,p=AAAA",
            "c=biws,r=x,p=!",
        ] {
            assert_eq!(exchange().finish(message), Err(Malformed), "{message}");
        }
    }

    #[test]
    fn first_messages() {
        let first = ClientFirst::parse("y,a=b=2Cc,n=a=3Db,r=x,ext=1").unwrap();
        assert_eq!((first.authzid.as_deref(), first.username.as_str()), (Some("b,c"), "a=b"));
        let bad = [
            "",
            "n",
            "n,",
            "n,,",
            "n,,n=,r=x",
            "n,,n=a",
            "n,,n=a,r=",
            "n,,r=x,n=a",
            "p=tls-unique,,n=a,r=x",
            "x,,n=a,r=x",
            "n,b,n=a,r=x",
            "n,,m=1,n=a,r=x",
            "n,,n=a=2c,r=x",
            "n,,n=a=,r=x",
            "n,,n=a,r=ü",
        ];
        for message in bad {
            assert_eq!(ClientFirst::parse(message), Err(Malformed), "{message}");
        }
    }

    #[test]
    fn keys_fit_their_password_only() {
        let keys = Keys::derive("密码", b"salt", 2);
        assert!(keys.fit("密码") && !keys.fit("密") && !Keys::of_nobody(b"salt", 2).fit("密码"));
    }
}
