//! One line of a file: an element, or a start tag, and a checksum over all that follows it.
//!
//! ```text
//! <user sum='0123456789abcdef' xmlns='urn:xmpp:pie:0' name='romeo'> ... </user>
//! ```
//!
//! A line never has a line break inside, so whatever happens to one, the next can be found.
//! Left out on purpose: what the element means ([`crate::tables::portable`]).

use crate::crypto::codec::{hex, sha1};
use crate::xml::{writer, Element};

/// Bytes of the SHA-1 digest that are kept: enough against accidents; whoever may write the file may write anything.
const SUM_BYTES: usize = 8;

/// Appends the line of `element`, which has no attribute `sum`.
pub(super) fn write(element: &Element, out: &mut Vec<u8>) {
    let bytes = single(element, "");
    seal(element.name(), bytes.get(1 + element.name().len()..).unwrap_or_default(), out);
}

/// Appends the line of `element` without a checksum, where the namespace `scope` is the default.
pub(super) fn write_plain(element: &Element, scope: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&single(element, scope));
    out.push(b'\n');
}

/// An element without line breaks.
fn single(element: &Element, scope: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    writer::write(element, scope, &mut bytes);
    let mut single = Vec::with_capacity(bytes.len());
    for &byte in &bytes {
        match byte {
            // Only text has them as they are; a reference means the same.
            b'\n' => single.extend_from_slice(b"&#10;"),
            _ => single.push(byte),
        }
    }
    single
}

/// Appends the line of a start tag.
pub(super) fn write_start(name: &str, attributes: &[(&str, &str)], out: &mut Vec<u8>) {
    let mut rest = Vec::new();
    attributes.iter().for_each(|(name, value)| writer::attribute(name, value, &mut rest));
    rest.push(b'>');
    seal(name, &rest, out);
}

fn seal(name: &str, rest: &[u8], out: &mut Vec<u8>) {
    out.push(b'<');
    out.extend_from_slice(name.as_bytes());
    writer::attribute("sum", &sum(name.as_bytes(), rest), out);
    out.extend_from_slice(rest);
    out.push(b'\n');
}

/// Whether a line, without its line break, is as it was written.
pub(super) fn is_whole(line: &[u8]) -> bool {
    const MARK: &[u8] = b" sum='";
    let Some(at) = line.windows(MARK.len()).position(|window| window == MARK) else { return false };
    let (before, behind) = line.split_at(at);
    let behind = behind.get(MARK.len()..).unwrap_or_default();
    let (said, rest) = behind.split_at(behind.len().min(2 * SUM_BYTES));
    match (before, rest) {
        ([b'<', name @ ..], [b'\'', rest @ ..]) => said == sum(name, rest).as_bytes(),
        _ => false,
    }
}

/// The name of the element that a line begins with; empty if it begins with none.
pub(super) fn name(line: &[u8]) -> &[u8] {
    let end = line.iter().position(|byte| byte.is_ascii_whitespace()).unwrap_or(line.len());
    line.get(1..end).unwrap_or_default()
}

/// An attribute of the start tag that a line begins with, as it stands there. A value has no quotes and no `>`, so
/// nothing that somebody chose can look like one.
pub(super) fn attribute<'l>(line: &'l [u8], name: &str) -> Option<&'l str> {
    let tag = line.split(|&byte| byte == b'>').next()?;
    let (_, value) = std::str::from_utf8(tag).ok()?.split_once(&format!(" {name}='"))?;
    Some(value.split_once('\'')?.0)
}

fn sum(name: &[u8], rest: &[u8]) -> String {
    hex(sha1(&[name, rest].concat()).get(..SUM_BYTES).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_damage_shows() {
        let element = Element::new("user", "p")
            .with_attr("name", "用户")
            .with(Element::new("a", "p").with_text("x\ny"));
        let mut line = Vec::new();
        write(&element, &mut line);
        assert_eq!(line.pop(), Some(b'\n'));
        assert!(is_whole(&line) && !line.contains(&b'\n'));
        for at in 0..line.len() {
            let mut damaged = line.clone();
            damaged[at] ^= 1;
            assert!(!is_whole(&damaged), "a flipped bit at {at}");
            assert!(!is_whole(&line[..at]), "cut at {at}");
        }
        assert!(!is_whole(&[line.as_slice(), b" "].concat()));
    }

    #[test]
    fn attributes_are_those_of_the_start_tag() {
        let element = Element::new("user", "p")
            .with_attr("name", "' b='1'>")
            .with_attr("a", "2")
            .with(Element::new("group", "p").with_attr("d", "4").with_text(" c='3'"));
        let mut line = Vec::new();
        write(&element, &mut line);
        assert_eq!((name(&line), attribute(&line, "a")), (b"user".as_slice(), Some("2")));
        for none in ["b", "c", "d"] {
            assert_eq!(attribute(&line, none), None);
        }
        let mut start = Vec::new();
        write_start("host", &[("jid", "a")], &mut start);
        start.pop();
        assert!(is_whole(&start) && attribute(&start, "jid") == Some("a") && start.ends_with(b"'>"));
    }
}
