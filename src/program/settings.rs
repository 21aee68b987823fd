//! What can be set: `--name value` on the command line, `name value` in a file.
//!
//! One table lists the settings; the command line, the file and `--help` are made from it. A setting that is on the
//! command line is not taken from the file at all.
//! Left out on purpose: what the settings do ([`super::serve`]).

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use loquat::{Config, Durability, Jid, Plaintext};

/// The port that is registered for clients (RFC 6120 14.7).
const CLIENT_PORT: u16 = 5222;

/// The values of all settings; `None` or empty where none was given.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Settings {
    pub(super) domain: Option<String>,
    aliases: Vec<String>,
    pub(super) listen: Vec<SocketAddr>,
    pub(super) users: Vec<(String, String)>,
    admins: Vec<String>,
    registration: Option<bool>,
    legacy_auth: Option<bool>,
    plaintext: Option<Plaintext>,
    scram_iterations: Option<u32>,
    ping_interval: Option<u64>,
    max_connections: Option<usize>,
    pub(super) data: Option<PathBuf>,
    pub(super) durability: Option<Durability>,
    pub(super) in_memory: bool,
}

/// A row of the table.
pub(super) struct Setting {
    pub(super) name: &'static str,
    /// The value's placeholder in `--help`; empty for a flag without a value.
    value: &'static str,
    set: fn(&mut Settings, &str) -> Result<(), String>,
    help: &'static [&'static str],
}

impl Setting {
    pub(super) fn has_value(&self) -> bool {
        !self.value.is_empty()
    }
}

/// All settings.
const SETTINGS: &[Setting] = &[
    Setting {
        name: "domain",
        value: "NAME",
        set: |settings, value| {
            Config::new(value).map_err(|error| error.to_string())?;
            settings.domain = Some(value.to_owned());
            Ok(())
        },
        help: &[
            "the server's name, behind the @ of its addresses [that of",
            "the data folder; localhost if the folder is new]",
        ],
    },
    Setting {
        name: "alias",
        value: "NAME",
        set: |settings, value| {
            Config::new(value).map_err(|error| error.to_string())?;
            settings.aliases.push(value.to_owned());
            Ok(())
        },
        help: &["another name or IP address of the same host; may be", "repeated"],
    },
    Setting {
        name: "listen",
        value: "ADDR:PORT",
        set: |settings, value| {
            let address = value.parse();
            let wanted = "want an IP address and a port, such as 0.0.0.0:5222 or [::]:5222";
            settings.listen.push(address.map_err(|_| wanted.to_owned())?);
            Ok(())
        },
        help: &[
            "where to listen; may be repeated; port 0 picks a free one",
            "[127.0.0.1:5222 and [::1]:5222]; an address that is named",
            "is an alias, too",
        ],
    },
    Setting {
        name: "user",
        value: "NAME:PASSWORD",
        // The error does not repeat the value, which may contain a password.
        set: |settings, value| {
            let (name, password) = value.split_once(':').ok_or("want NAME:PASSWORD")?;
            Jid::new(Some(name), "localhost", None).map_err(|_| "that is no user name".to_owned())?;
            settings.users.push((name.into(), password.into()));
            Ok(())
        },
        help: &[
            "an account that is made if it is not there; may be repeated",
            "(a command line is visible to other users of the machine:",
            "better `loquat user add NAME`)",
        ],
    },
    Setting {
        name: "admin",
        value: "NAME",
        set: |settings, value| {
            settings.admins.push(value.to_owned());
            Ok(())
        },
        help: &["an account whose owner may manage the server from a chat", "client; may be repeated"],
    },
    Setting {
        name: "registration",
        value: "open|closed",
        set: |settings, value| {
            choice(value, &[("open", true), ("closed", false)], &mut settings.registration)
        },
        help: &[
            "whether anybody may make an account over the wire [open",
            "while every listener is on loopback, else closed]",
        ],
    },
    Setting {
        name: "legacy-auth",
        value: "on|off",
        set: |settings, value| choice(value, &[("on", true), ("off", false)], &mut settings.legacy_auth),
        help: &[
            "offer the login of XEP-0078, whose digest needs the",
            "passwords themselves to be kept [on]",
        ],
    },
    Setting {
        name: "plaintext",
        value: "loopback|always|never",
        set: |settings, value| {
            let words = [
                ("loopback", Plaintext::Loopback),
                ("always", Plaintext::Always),
                ("never", Plaintext::Never),
            ];
            choice(value, &words, &mut settings.plaintext)
        },
        help: &["where a password may be sent as it is [loopback]"],
    },
    Setting {
        name: "scram-iterations",
        value: "N",
        set: |settings, value| number(value, &mut settings.scram_iterations),
        help: &["rounds of key derivation for new passwords [4096]"],
    },
    Setting {
        name: "ping-interval",
        value: "SECONDS",
        set: |settings, value| number(value, &mut settings.ping_interval),
        help: &["silence after which a client is asked whether it is there;", "0 never asks [120]"],
    },
    Setting {
        name: "max-connections",
        value: "N",
        set: |settings, value| number(value, &mut settings.max_connections),
        help: &["connections at a time [16384]"],
    },
    Setting {
        name: "data",
        value: "FOLDER",
        set: |settings, value| {
            settings.data = Some(value.into());
            Ok(())
        },
        help: &["where accounts and what belongs to them are kept", "[loquat-data]"],
    },
    Setting {
        name: "durability",
        value: "always|SECONDS|never",
        set: |settings, value| {
            settings.durability = Some(match (value, value.parse()) {
                ("always", _) => Durability::Always,
                ("never", _) => Durability::Never,
                (_, Ok(seconds)) => Durability::Every(Duration::from_secs(seconds)),
                (_, Err(_)) => return Err("want always, a number of seconds, or never".into()),
            });
            Ok(())
        },
        help: &[
            "when a change is safe from a loss of power: before anybody",
            "is told of it; at most so many seconds later, which is",
            "kinder to flash and may lose the changes of these seconds;",
            "or when the system likes [always]",
        ],
    },
    Setting {
        name: "in-memory",
        value: "",
        set: |settings, _| {
            settings.in_memory = true;
            Ok(())
        },
        help: &["keep nothing: all ends with the program"],
    },
];

/// One of a few words.
fn choice<T: Copy>(value: &str, words: &[(&str, T)], to: &mut Option<T>) -> Result<(), String> {
    let Some((_, meant)) = words.iter().find(|(word, _)| *word == value) else {
        return Err(format!("want {}", words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" or ")));
    };
    *to = Some(*meant);
    Ok(())
}

fn number<T: std::str::FromStr>(value: &str, to: &mut Option<T>) -> Result<(), String> {
    *to = Some(value.parse().map_err(|_| "want a number that is not too big".to_owned())?);
    Ok(())
}

/// The settings' part of `--help`.
pub(super) fn help() -> String {
    let mut text = String::new();
    for setting in SETTINGS {
        let mut option = format!("  --{} {}", setting.name, setting.value);
        // One that is too long for its column has a line to itself.
        if option.len() > 28 {
            text.push_str(&format!("{option}\n"));
            option.clear();
        }
        for line in setting.help {
            text.push_str(&format!("{option:<29}{line}\n"));
            option.clear();
        }
    }
    text
}

/// The setting of this name.
pub(super) fn named(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

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

impl Settings {
    /// The configuration of a server for `domain`.
    pub(super) fn config(&self, domain: &str) -> Result<Config, String> {
        let mut config = Config::new(domain).map_err(|error| format!("{domain}: {error}"))?;
        for alias in &self.aliases {
            config.add_alias(alias).map_err(|error| format!("alias {alias}: {error}"))?;
        }
        for admin in &self.admins {
            config.add_admin(admin).map_err(|error| format!("admin {admin}: {error}"))?;
        }
        let ips: Vec<IpAddr> = self.addresses().iter().map(SocketAddr::ip).collect();
        for ip in ips.iter().filter(|ip| !ip.is_unspecified()) {
            // A client that connects to an IP address may use it as the server's name.
            let name = if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
            config.add_alias(&name).map_err(|error| format!("listen {ip}: {error}"))?;
        }
        let all_on_loopback = ips.iter().all(IpAddr::is_loopback);
        config.registration = self.registration.unwrap_or(all_on_loopback);
        config.legacy_auth = self.legacy_auth.unwrap_or(config.legacy_auth);
        config.plaintext = self.plaintext.unwrap_or(config.plaintext);
        config.scram_iterations = self.scram_iterations.unwrap_or(config.scram_iterations).max(1);
        if let Some(seconds) = self.ping_interval {
            config.ping_interval = Some(Duration::from_secs(seconds)).filter(|interval| !interval.is_zero());
        }
        if let Some(connections) = self.max_connections {
            config.limits.connections = connections;
        }
        Ok(config)
    }

    /// The addresses to listen on: both loopback addresses by default.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        match self.listen.as_slice() {
            [] => vec![(Ipv4Addr::LOCALHOST, CLIENT_PORT).into(), (Ipv6Addr::LOCALHOST, CLIENT_PORT).into()],
            addresses => addresses.to_vec(),
        }
    }

    /// The data folder.
    pub(super) fn folder(&self) -> &Path {
        self.data.as_deref().unwrap_or(Path::new("loquat-data"))
    }

    /// When a change is synced.
    pub(super) fn durability(&self) -> Durability {
        self.durability.unwrap_or(Durability::Always)
    }

    /// The settings that differ in `new` and cannot change while the server runs.
    pub(super) fn needing_restart(&self, new: &Self) -> Vec<&'static str> {
        let all = [
            ("domain", self.domain != new.domain),
            ("listen", self.listen != new.listen),
            ("data", self.data != new.data),
            ("durability", self.durability != new.durability),
            ("in-memory", self.in_memory != new.in_memory),
        ];
        all.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }

    /// These settings, but those that cannot change while the server runs as in `old`.
    pub(super) fn keeping_fixed(self, old: &Self) -> Self {
        Self {
            domain: old.domain.clone(),
            listen: old.listen.clone(),
            data: old.data.clone(),
            durability: old.durability,
            in_memory: old.in_memory,
            ..self
        }
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

    #[test]
    fn settings_that_need_a_restart_are_named() {
        let (old, new) =
            (read(&[], "domain a\nplaintext never").unwrap(), read(&[], "durability 5").unwrap());
        assert_eq!(old.needing_restart(&new), ["domain", "durability"]);
    }

    #[test]
    fn help_names_every_setting() {
        for setting in SETTINGS {
            assert!(help().contains(&format!("  --{}", setting.name)));
        }
        assert!(help().lines().all(|line| line.len() <= 90), "{}", help());
    }
}
