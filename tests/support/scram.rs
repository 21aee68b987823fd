//! SCRAM-SHA-1 as a client does it, so that the server is not tested with its own arithmetic.
//!
//! Read first: RFC 5802 sections 3 and 5. Everything here is a function of what the client says first without its nonce
//! (`n,,n=romeo`), the password, and the server's challenge; the nonce is always the same.

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use hmac::{Hmac, Mac};
use sha1::{Digest, Sha1};

const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";

pub fn base64(text: impl AsRef<[u8]>) -> String {
    STANDARD.encode(text)
}

/// The client's first message.
pub fn first(head: &str) -> String {
    base64(format!("{head},r={NONCE}"))
}

/// The client's last message. `instead` takes the place of its `c=` or `r=`; the proof is good for what is sent.
pub fn last(challenge: &str, head: &str, password: &str, instead: Option<&str>) -> Result<String, String> {
    let exchange = Exchange::new(challenge, head, password, instead)?;
    let stored_key = Sha1::digest(exchange.key("Client Key"));
    let signature = hmac(&stored_key, &exchange.auth_message);
    let proof: Vec<u8> = exchange.key("Client Key").iter().zip(signature).map(|(a, b)| a ^ b).collect();
    Ok(base64(format!("{},p={}", exchange.without_proof, base64(proof))))
}

/// What the server's last message must be: it proves that the server knows the password's keys.
pub fn verifier(challenge: &str, head: &str, password: &str) -> Result<String, String> {
    let exchange = Exchange::new(challenge, head, password, None)?;
    Ok(base64(format!("v={}", base64(hmac(&exchange.key("Server Key"), &exchange.auth_message)))))
}

/// What a challenge says of the account: salt and iterations.
pub fn salt(challenge: &str) -> Result<String, String> {
    let [_, salt, iterations] = attributes(challenge)?;
    Ok(format!("{salt},{iterations}"))
}

struct Exchange {
    salted_password: [u8; 20],
    without_proof: String,
    auth_message: String,
}

impl Exchange {
    fn new(challenge: &str, head: &str, password: &str, instead: Option<&str>) -> Result<Self, String> {
        let [nonce, salt, iterations] = attributes(challenge)?;
        let (salt, iterations) = (value(&salt, "s=")?, value(&iterations, "i=")?);
        let salt = STANDARD.decode(salt).map_err(|error| format!("salt: {error}"))?;
        let iterations = iterations.parse().map_err(|_| "iterations are a number")?;
        let bare_at = head.match_indices(',').nth(1).ok_or("the head has two commas")?.0 + 1;
        let (gs2_header, bare) = head.split_at(bare_at);
        let of = |name: &str, default: String| {
            instead.filter(|instead| instead.starts_with(name)).map_or(default, Into::into)
        };
        let binding = of("c=", format!("c={}", base64(gs2_header)));
        let without_proof = format!("{binding},{}", of("r=", nonce));
        let server_first = decoded(challenge)?;
        Ok(Self {
            salted_password: pbkdf2::pbkdf2_hmac_array::<Sha1, 20>(password.as_bytes(), &salt, iterations),
            auth_message: format!("{bare},r={NONCE},{server_first},{without_proof}"),
            without_proof,
        })
    }

    fn key(&self, name: &str) -> Vec<u8> {
        hmac(&self.salted_password, name)
    }
}

fn hmac(key: &[u8], message: &str) -> Vec<u8> {
    let mut mac = <Hmac<Sha1> as Mac>::new_from_slice(key).expect("any key will do");
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn decoded(message: &str) -> Result<String, String> {
    let bytes = STANDARD.decode(message).map_err(|error| format!("{message:?}: {error}"))?;
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

/// The three parts of a challenge, the first of which must go on with our nonce.
fn attributes(challenge: &str) -> Result<[String; 3], String> {
    let challenge = decoded(challenge)?;
    let parts: Vec<String> = challenge.split(',').map(Into::into).collect();
    let parts: [String; 3] = parts.try_into().map_err(|_| format!("{challenge} has not three parts"))?;
    let nonce = value(&parts[0], "r=")?.strip_prefix(NONCE).ok_or("that is not our nonce")?;
    if nonce.len() < 16 {
        return Err(format!("{nonce:?} is too short a nonce"));
    }
    Ok(parts)
}

fn value<'p>(part: &'p str, name: &str) -> Result<&'p str, String> {
    part.strip_prefix(name).ok_or_else(|| format!("{part:?} does not begin with {name}"))
}
