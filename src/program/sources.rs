//! Where settings come from: the command line, and a file for the others.
//!
//! A setting that is on the command line is not taken from the file at all.
//! Left out on purpose: which settings there are ([`super::table`]).

use std::fs;
use std::path::{Path, PathBuf};

use super::settings::Settings;
use super::table::{named, Setting};

/// Where settings come from: the command line, and a file for what is not on it.
#[derive(Default)]
pub(super) struct Sources {
    command_line: Vec<(&'static Setting, String)>,
    pub(super) file: Option<PathBuf>,
}

impl Sources {
    /// Adds an option of the command line.
    pub(super) fn add(&mut self, setting: &'static Setting, value: String) {
        self.command_line.push((setting, value));
    }

    /// The settings from all sources, or every error with its place.
    pub(super) fn settings(&self) -> Result<Settings, Vec<String>> {
        let (mut settings, mut errors) = (Settings::default(), Vec::new());
        if let Some(path) = &self.file {
            match fs::read_to_string(path) {
                Ok(text) => self.read_file(path, &text, &mut settings, &mut errors),
                Err(error) => errors.push(format!("{}: {error}", path.display())),
            }
        }
        for (setting, value) in &self.command_line {
            if let Err(error) = (setting.set)(&mut settings, value) {
                errors.push(format!("--{}: {error} (see loquat --help)", setting.name));
            }
        }
        if settings.in_memory && settings.data.is_some() {
            errors.push("what is in memory is kept in no folder: either in-memory or data".into());
        }
        if errors.is_empty() {
            Ok(settings)
        } else {
            Err(errors)
        }
    }

    fn read_file(&self, path: &Path, text: &str, settings: &mut Settings, errors: &mut Vec<String>) {
        for (line, number) in text.lines().zip(1..) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            if let Err(error) = self.read_line(name, value.trim(), settings) {
                errors.push(format!("{}:{number}: {error}", path.display()));
            }
        }
    }

    fn read_line(&self, name: &str, value: &str, settings: &mut Settings) -> Result<(), String> {
        let setting = named(name).ok_or_else(|| format!("nothing is called {name}"))?;
        if setting.has_value() == value.is_empty() {
            let wanted = if setting.has_value() { setting.value } else { "nothing behind it" };
            return Err(format!("{name}: want {wanted}"));
        }
        // The command line has precedence, but the file's value is checked all the same.
        let mut ignored = Settings::default();
        let is_overridden = self.command_line.iter().any(|(setting, _)| setting.name == name);
        let settings = if is_overridden { &mut ignored } else { settings };
        (setting.set)(settings, value).map_err(|error| format!("{name}: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(command_line: &[(&str, &str)], text: &str) -> Result<Settings, Vec<String>> {
        let mut sources = Sources::default();
        for (name, value) in command_line {
            sources.add(named(name).unwrap(), (*value).to_owned());
        }
        let (mut settings, mut errors) = (Settings::default(), Vec::new());
        sources.read_file(Path::new("f"), text, &mut settings, &mut errors);
        for (setting, value) in &sources.command_line {
            (setting.set)(&mut settings, value).unwrap();
        }
        if errors.is_empty() {
            Ok(settings)
        } else {
            Err(errors)
        }
    }

    #[test]
    fn the_command_line_has_precedence_over_the_file() {
        let text = "# where\nlisten 127.0.0.1:1\n  listen\t[::1]:2 \n\ndomain a\r\nuser x:p # q\nin-memory\n";
        let settings = read(&[], text).unwrap();
        assert_eq!((settings.listen.len(), settings.domain.as_deref()), (2, Some("a")));
        assert_eq!((&settings.users, settings.in_memory), (&vec![("x".into(), "p # q".into())], true));
        let settings = read(&[("listen", "0.0.0.0:3"), ("domain", "b")], text).unwrap();
        assert_eq!(settings.listen, ["0.0.0.0:3".parse().unwrap()]);
        assert_eq!(settings.domain.as_deref(), Some("b"));
    }

    #[test]
    fn each_error_is_reported_with_its_line() {
        let text = "nope\nlisten 5222\ndomain\nin-memory yes\nuser secret\nplaintext no\ndomain a b\n\
            scram-iterations -1\nuser a b:secret\nregistration open";
        let errors = read(&[("listen", "0.0.0.0:3")], text).unwrap_err();
        assert_eq!(errors.len(), 9, "{errors:#?}");
        for (error, number) in errors.iter().zip(1..) {
            assert!(error.starts_with(&format!("f:{number}: ")) && !error.contains("secret"), "{error}");
        }
    }
}
