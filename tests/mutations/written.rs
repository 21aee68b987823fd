//! A session as bytes, which is how a fuzzer has it.
//!
//! All bytes are some session. They are cut at each 0xFE, which is no UTF-8; the first byte of a piece says what is
//! done:
//!
//! ```text
//! 0 to 4   this client sends the rest of the piece
//! 5 to 9   the same five, byte by byte
//! A to E   this client ends its half
//! F to J   this client hangs up
//! K to O   this client stops reading
//! P to T   this client reads again
//! U to Y   this client takes 16 bytes for each byte in the rest of the piece
//! t        8 seconds pass for each
//! !        the host program tells the server something, as a transcript does
//! ```

use std::time::Duration;

use crate::crowd::Deed;

const CUT: u8 = 0xFE;
const OTHER_BAD_BYTE: u8 = 0xFF;
const CLIENTS: u8 = 5;
const TAKEN: usize = 16;
const SECONDS: u32 = 8;

/// What a piece means.
#[derive(Debug)]
pub enum Piece {
    Do(Deed),
    /// A deed that is a sending, byte by byte.
    Crumble(Deed),
    Tell(Vec<String>),
}

/// What the bytes mean. Pieces that mean nothing are left out.
pub fn read(bytes: &[u8]) -> impl Iterator<Item = Piece> + '_ {
    bytes.split(|&byte| byte == CUT).filter_map(|piece| read_piece(*piece.first()?, piece.get(1..)?))
}

fn read_piece(first: u8, rest: &[u8]) -> Option<Piece> {
    let client = |base: u8| char::from(b'0' + first - base).to_string();
    Some(Piece::Do(match first {
        b'0'..=b'4' => Deed::Send(client(b'0'), rest.into()),
        b'5'..=b'9' => return Some(Piece::Crumble(Deed::Send(client(b'5'), rest.into()))),
        b'A'..=b'E' => Deed::EndHalf(client(b'A')),
        b'F'..=b'J' => Deed::HangUp(client(b'F')),
        b'K'..=b'O' => Deed::Reading(client(b'K'), false),
        b'P'..=b'T' => Deed::Reading(client(b'P'), true),
        b'U'..=b'Y' => Deed::Take(client(b'U'), TAKEN * rest.len()),
        b't' => Deed::Tick(Duration::from_secs(1) * SECONDS * u32::try_from(rest.len()).ok()?),
        b'!' => {
            let words = String::from_utf8_lossy(rest);
            return Some(Piece::Tell(words.split_whitespace().map(Into::into).collect()));
        }
        _ => return None,
    }))
}

/// The bytes that mean this, as far as there are any.
pub fn write(setup: &[Vec<String>], deeds: &[Deed]) -> Vec<u8> {
    let mut pieces: Vec<Vec<u8>> = setup.iter().map(|words| format!("!{}", words.join(" ")).into()).collect();
    let mut names = Vec::new();
    pieces.extend(deeds.iter().map(|deed| write_deed(deed, &mut names)));
    pieces.join(&CUT)
}

fn write_deed<'d>(deed: &'d Deed, names: &mut Vec<&'d str>) -> Vec<u8> {
    let mut first = |base: u8, name: &'d str| base + number(name, names);
    match deed {
        Deed::Send(name, bytes) => {
            let bytes = bytes.iter().map(|&byte| if byte == CUT { OTHER_BAD_BYTE } else { byte });
            std::iter::once(first(b'0', name)).chain(bytes).collect()
        }
        Deed::EndHalf(name) => vec![first(b'A', name)],
        Deed::HangUp(name) => vec![first(b'F', name)],
        Deed::Reading(name, false) => vec![first(b'K', name)],
        Deed::Reading(name, true) => vec![first(b'P', name)],
        Deed::Take(name, bytes) => [vec![first(b'U', name)], vec![b' '; bytes / TAKEN]].concat(),
        Deed::Tick(time) => {
            let times = time.as_secs().div_ceil(u64::from(SECONDS));
            std::iter::once(b't').chain((0..times).map(|_| b' ')).collect()
        }
    }
}

/// Clients are numbered as they come; some share a number if there are many.
fn number<'d>(name: &'d str, names: &mut Vec<&'d str>) -> u8 {
    let known = names.iter().position(|known| *known == name);
    let index = known.unwrap_or_else(|| {
        names.push(name);
        names.len() - 1
    });
    u8::try_from(index).unwrap_or_default() % CLIENTS
}
