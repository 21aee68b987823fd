//! Which names may be forwarded.
//!
//! XML's editions disagree on name characters, and many clients' parsers keep to the fourth: a name that one of
//! them refuses would let a sender disconnect a recipient. So names are held to a part of that edition: ASCII,
//! and the letters of the scripts that people name things in (CJK ideographs, kana, hangul, Latin-1, Greek, Cyrillic).

/// Whether this is a name without a colon that every parser takes (XML 1.0 fourth edition, Namespaces in XML 1.0).
pub(super) fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(is_start) && chars.all(|c| is_start(c) || is_inner(c))
}

fn is_start(c: char) -> bool {
    c.is_ascii_alphabetic()
        || c == '_'
        || matches!(c,
            '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{131}' // Latin
            | '\u{3A3}'..='\u{3CE}' | '\u{410}'..='\u{44F}' // Greek, Cyrillic
            | '\u{3007}' | '\u{3021}'..='\u{3029}' | '\u{4E00}'..='\u{9FA5}' // ideographs
            | '\u{3041}'..='\u{3094}' | '\u{30A1}'..='\u{30FA}' | '\u{AC00}'..='\u{D7A3}')
    // kana, hangul
}

fn is_inner(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '-' | '.')
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn names_that_every_parser_takes() {
        for good in ["a", "_", "msgExtension", "x-1.y", "消息", "メ", "é", "Привет", "한"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "1x", "-a", ".a", "a:b", "a b", "a\u{B7}", "\u{20000}", "😀", "a\u{301}"] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
