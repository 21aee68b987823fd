//! Where settings come from: the command line, and a file for the others.
//!
//! A setting that is on the command line is not taken from the file at all.
//! Left out on purpose: which settings there are ([`super::table`]).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::settings::Settings;
use super::table::Key;
use super::{named, places};

/// Bytes of the longest settings file.
const FILE_BYTES: u64 = 1 << 20;

/// The command line's settings, and the file with others.
#[derive(Default)]
pub(super) struct Sources {
    command_line: Vec<(String, Key, String)>,
    pub(super) file: Option<PathBuf>,
}

impl Sources {
    /// Adds an option of the command line.
    pub(super) fn add(&mut self, name: &str, key: Key, value: String) {
        self.command_line.push((name.to_owned(), key, value));
    }

    /// The settings from all sources, or every error with its place.
    pub(super) fn settings(&self) -> Result<Settings, Vec<String>> {
        let (mut settings, mut errors) = (Settings::default(), Vec::new());
        settings.default_data = places::data_folder();
        if let Some(path) = &self.file {
            match read(path) {
                Ok(text) => self.apply_file(path, &text, &mut settings, &mut errors),
                Err(error) => errors.push(named(path, &error)),
            }
        }
        self.apply_command_line(&mut settings, &mut errors);
        if settings.in_memory && settings.data.is_some() {
            errors.push("in-memory keeps nothing and data names a folder: choose one of them".into());
        }
        if errors.is_empty() {
            Ok(settings)
        } else {
            Err(errors)
        }
    }

    fn apply_command_line(&self, settings: &mut Settings, errors: &mut Vec<String>) {
        // These two exclude each other, and the command line has precedence.
        settings.in_memory &= !self.has("data");
        settings.data = settings.data.take().filter(|_| !self.has("in-memory"));
        for (index, (name, key, value)) in self.command_line.iter().enumerate() {
            let is_repeated = self.command_line.iter().take(index).any(|(earlier, ..)| earlier == name);
            let done = match is_repeated && !key.repeats() {
                true => Err("it is given twice".to_owned()),
                false => key.set(settings, value),
            };
            if let Err(error) = done {
                errors.push(format!("--{name}: {error} (see loquat --help)"));
            }
        }
    }

    fn has(&self, name: &str) -> bool {
        self.command_line.iter().any(|(given, ..)| given == name)
    }

    fn apply_file(&self, path: &Path, text: &str, settings: &mut Settings, errors: &mut Vec<String>) {
        let mut lines_of = BTreeMap::new();
        for (line, number) in text.lines().zip(1..) {
            let line = without_comment(line);
            if line.is_empty() {
                continue;
            }
            let (name, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let earlier = lines_of.insert(name, number);
            if let Err(error) = self.apply_line(name, value.trim(), earlier, settings) {
                errors.push(format!("{}:{number}: {error}", path.display()));
            }
        }
    }

    /// Applies a line of the file. `earlier` is the number of another line that sets the same.
    fn apply_line(
        &self,
        name: &str,
        value: &str,
        earlier: Option<u32>,
        settings: &mut Settings,
    ) -> Result<(), String> {
        let unknown = || format!("there is no setting {name} (see loquat --help)");
        let key = Key::named(name).ok_or_else(unknown)?;
        if let Some(number) = earlier.filter(|_| !key.repeats()) {
            return Err(format!("{name} is set already in line {number}"));
        }
        match (key.value(), value) {
            ("", "") => (),
            ("", _) => return Err(format!("{name}: want nothing behind it")),
            (wanted, "") => return Err(format!("{name}: want {wanted}")),
            _ => (),
        }
        // The command line has precedence, but the file's value is checked all the same.
        let mut ignored = Settings::default();
        let settings = if self.has(name) { &mut ignored } else { settings };
        key.set(settings, value).map_err(|error| format!("{name}: {error}"))
    }
}

/// Reads a settings file. Some editors put a byte order mark at its start, which is skipped.
fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES + 1).read_to_string(&mut text).map_err(|error| match error.kind() {
        ErrorKind::InvalidData => io::Error::new(error.kind(), "this is no text in UTF-8"),
        _ => error,
    })?;
    if text.len() as u64 > FILE_BYTES {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("it has more than {FILE_BYTES} bytes")));
    }
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// A line up to its comment, which begins with a `#` at the start of the line or behind white space. A `#` within a
/// word belongs to the word.
fn without_comment(line: &str) -> &str {
    let mut behind_space = true;
    for (at, character) in line.char_indices() {
        if character == '#' && behind_space {
            return line.get(..at).unwrap_or_default().trim();
        }
        behind_space = character.is_whitespace();
    }
    line.trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(command_line: &[(&str, &str)], text: &str) -> Result<Settings, Vec<String>> {
        let mut sources = Sources::default();
        for (name, value) in command_line {
            sources.add(name, Key::named(name).unwrap(), (*value).to_owned());
        }
        let (mut settings, mut errors) = (Settings::default(), Vec::new());
        sources.apply_file(Path::new("f"), text, &mut settings, &mut errors);
        sources.apply_command_line(&mut settings, &mut errors);
        if errors.is_empty() {
            Ok(settings)
        } else {
            Err(errors)
        }
    }

    #[test]
    fn the_command_line_has_precedence_over_the_file() {
        let text = "# where\nlisten 127.0.0.1:1\n  listen\t[::1]:2 \n\ndomain a\r\nin-memory\n";
        let settings = apply(&[], text).unwrap();
        assert_eq!((settings.listen.len(), settings.domain.as_deref()), (2, Some("a")));
        assert!(settings.in_memory);
        let settings = apply(&[("listen", "0.0.0.0:3"), ("domain", "b"), ("data", "d")], text).unwrap();
        assert_eq!(settings.listen, ["0.0.0.0:3".parse().unwrap()]);
        assert_eq!(settings.domain.as_deref(), Some("b"));
        assert_eq!((settings.in_memory, settings.data), (false, Some("d".into())));
        let settings = apply(&[("in-memory", "")], "data d").unwrap();
        assert_eq!((settings.in_memory, settings.data), (true, None));
    }

    #[test]
    fn a_comment_begins_with_a_number_sign_behind_white_space() {
        let text =
            "#c\n #c\nuser a:p#w # comment\nuser b:p w\t#\ndomain x #\r\nin-memory # c\nlimit.depth 5 #";
        let settings = apply(&[], text).unwrap();
        assert_eq!(settings.users, [("a".into(), "p#w".into()), ("b".into(), "p w".into())]);
        assert_eq!(
            (settings.domain.as_deref(), settings.in_memory, settings.limits.depth),
            (Some("x"), true, 5)
        );
    }

    #[test]
    fn each_error_is_reported_with_its_line() {
        let text = "nope\nlisten 5222\ndomain\nin-memory yes\nuser secret\nplaintext no\nadmin # nobody\n\
            scram-iterations -1\nuser a b:secret\nping-interval 18446744073709551615\n\
            durability 0\nlimit.nope 1\nlimit.depth\nregistration open";
        let errors = apply(&[("listen", "0.0.0.0:3")], text).unwrap_err();
        assert_eq!(errors.len(), 13, "{errors:#?}");
        for (error, number) in errors.iter().zip(1..) {
            assert!(error.starts_with(&format!("f:{number}: ")) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn what_has_one_value_is_set_once() {
        let text = "admin a\nadmin b\nplaintext never\n\nplaintext never\nlimit.depth 5\nlimit.depth 6";
        let errors = apply(&[], text).unwrap_err();
        assert_eq!(
            errors,
            ["f:5: plaintext is set already in line 3", "f:7: limit.depth is set already in line 6"]
        );
        let errors =
            apply(&[("domain", "a"), ("admin", "a"), ("domain", "a"), ("admin", "b")], "").unwrap_err();
        assert_eq!(errors, ["--domain: it is given twice (see loquat --help)"]);
    }
}
