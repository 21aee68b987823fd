//! How a session goes wrong: one random change at a time, to what is sent or to what is done.

use std::time::Duration;

use crate::crowd::Deed;
use crate::random::Random;

/// What tends to hurt, anywhere.
#[rustfmt::skip]
const THORNS: &[&[u8]] = &[
    // Pieces of XML, and of what only looks like it.
    b"<", b">", b"&", b"'", b"\"", b"/", b"]]>", b"<![CDATA[", b"<!--", b"&#0;", b"&#xD800;", b"&#xFFFE;", b"&#13;&#10;",
    b"&lt;", b"&apos;&quot;&gt;", b"&b;", b"\r\n\t", b"        ",
    // No UTF-8, half a character, a byte order mark, no character at all, and what not every parser takes in a name.
    b"\0", b"\xFF", b"\xED\xA0\x80", b"\xF0\x9F", b"\xEF\xBB\xBF", b"\xEF\xBF\xBE", b"\xC2\xB7", b"\xCC\x81",
];

/// What tends to hurt in a tag.
#[rustfmt::skip]
const ATTRIBUTES: &[&[u8]] = &[
    b" xmlns=''", b" xmlns='jabber:server'", b" xmlns:stream='urn:x'", b" xmlns:xml='urn:x'", b" p:to=''", b" to=''",
    b" id=''", b" id=\"'\"", b" x='\"&apos;'", b" xml:lang='x'", b" xmlns:p='urn:p' xmlns:q='urn:p' p:x='' q:x=''", b" x=''x=''",
    b" type='error'", b" type='result'", b" type='unavailable'", b" type='subscribe'",
    b" to='bystander-one@localhost/bench'", b" to='bystander-two@localhost'", b" from='bystander-two@localhost/bench'",
];

/// What tends to hurt behind a tag.
#[rustfmt::skip]
const ELEMENTS: &[&[u8]] = &[
    b"<presence/>", b"<presence type='unavailable'/>", b"<presence type='probe' to='bystander-one@localhost'/>",
    b"<message to='bystander-two@localhost'><body xmlns='x'><stream:error/></body></message>",
    b"<iq type='get' id='x'><query xmlns='jabber:iq:roster'/></iq>", b"<stream:error/>", b"</stream:stream>",
    b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
    b"<?xml version='1.0'?>", b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"<![CDATA[<]]>", b"<!-- -->",
    b"<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>",
];

/// Changes something. `others` is where pieces of other sessions come from.
pub fn change(deeds: &mut Vec<Deed>, others: &[Deed], random: &mut Random) {
    if deeds.is_empty() {
        return deeds.push(random.pick(others).clone());
    }
    let at = random.below(deeds.len());
    match random.below(5) {
        0 => change_order(deeds, at, others, random),
        1 => deeds.insert(at, surprise(client_of(&deeds[at]), random)),
        _ => {
            let bytes = deeds[at..].iter_mut().find_map(|deed| match deed {
                Deed::Send(_, bytes) => Some(bytes),
                _ => None,
            });
            if let Some(bytes) = bytes {
                change_bytes(bytes, bytes_of(random.pick(others)), random);
            }
        }
    }
}

fn change_order(deeds: &mut Vec<Deed>, at: usize, others: &[Deed], random: &mut Random) {
    match random.below(4) {
        0 => deeds.insert(at, deeds[at].clone()),
        1 => drop(deeds.remove(at)),
        2 => {
            let with = random.below(deeds.len());
            deeds.swap(at, with);
        }
        _ => deeds.insert(at, random.pick(others).clone()),
    }
}

fn surprise(client: String, random: &mut Random) -> Deed {
    match random.below(6) {
        0 => Deed::HangUp(client),
        1 => Deed::EndHalf(client),
        2 => Deed::Reading(client, false),
        3 => Deed::Reading(client, true),
        4 => Deed::Take(client, random.below(700)),
        _ => Deed::Tick(Duration::from_millis(1 << random.below(20))),
    }
}

fn change_bytes(bytes: &mut Vec<u8>, donor: &[u8], random: &mut Random) {
    let piece = random.piece(bytes.len());
    match random.below(9) {
        0 if !bytes.is_empty() => bytes[piece.start] ^= 1 << random.below(8),
        1 if !bytes.is_empty() => bytes[piece.start] = random.byte(),
        2 => drop(bytes.drain(piece)),
        3 => {
            let copy = bytes[piece.clone()].to_vec();
            let most = if random.below(8) == 0 { 300 } else { 3 };
            bytes.splice(piece.end..piece.end, copy.repeat(1 + random.below(most)));
        }
        4 => {
            bytes.truncate(piece.start);
            bytes.extend_from_slice(&donor[random.piece(donor.len())]);
        }
        5 => bytes.truncate(piece.start),
        _ => {
            let (at, thorn) = thorn(bytes, piece.start, random);
            bytes.splice(at..at, thorn.iter().copied());
        }
    }
}

/// Something that hurts, and where to put it: from `start` on.
fn thorn(bytes: &[u8], start: usize, random: &mut Random) -> (usize, &'static [u8]) {
    let end_of_tag = bytes[start..].iter().position(|&byte| byte == b'>').map(|at| start + at);
    let (at, thorns) = match (random.below(3), end_of_tag) {
        (0, Some(end)) if bytes[..end].ends_with(b"/") => (end - 1, ATTRIBUTES),
        (0, Some(end)) => (end, ATTRIBUTES),
        (1, Some(end)) => (end + 1, ELEMENTS),
        _ => (start, THORNS),
    };
    (at, *random.pick(thorns))
}

fn bytes_of(deed: &Deed) -> &[u8] {
    match deed {
        Deed::Send(_, bytes) => bytes,
        _ => b"",
    }
}

fn client_of(deed: &Deed) -> String {
    match deed {
        Deed::Send(name, _)
        | Deed::EndHalf(name)
        | Deed::HangUp(name)
        | Deed::Reading(name, _)
        | Deed::Take(name, _) => name.clone(),
        Deed::Tick(_) => "newcomer".into(),
    }
}
