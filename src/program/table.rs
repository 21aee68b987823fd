//! The table of settings: `--name value` on the command line, `name value` in a file, and what `--help` says of each.
//!
//! Left out on purpose: what the settings do ([`super::settings`]), where they come from ([`super::sources`]).

use loquat::{Config, Durability, Jid, Plaintext};

use super::limits::{self, number, seconds, size, Limit};
use super::settings::Settings;

/// A row of the table.
pub(super) struct Setting {
    pub(super) name: &'static str,
    /// It may be given several times.
    repeats: bool,
    /// The value's placeholder in `--help`; empty for a flag without a value.
    value: &'static str,
    set: fn(&mut Settings, &str) -> Result<(), String>,
    help: &'static [&'static str],
}

/// Whatever can be set by name.
#[derive(Clone, Copy)]
pub(super) enum Key {
    Setting(&'static Setting),
    Limit(&'static Limit),
}

impl Key {
    /// The setting or limit of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name.strip_prefix(limits::PREFIX) {
            Some(limit) => limits::named(limit).map(Self::Limit),
            None => SETTINGS.iter().find(|setting| setting.name == name).map(Self::Setting),
        }
    }

    /// What its value is called; empty for a flag without a value.
    pub(super) fn value(self) -> &'static str {
        match self {
            Self::Setting(setting) => setting.value,
            Self::Limit(_) => "VALUE",
        }
    }

    /// Whether it may be given several times.
    pub(super) fn repeats(self) -> bool {
        matches!(self, Self::Setting(setting) if setting.repeats)
    }

    /// Sets it. An error says what is wanted.
    pub(super) fn set(self, settings: &mut Settings, value: &str) -> Result<(), String> {
        match self {
            Self::Setting(setting) => (setting.set)(settings, value),
            Self::Limit(limit) => limit.set(&mut settings.limits, value),
        }
    }
}

/// All settings.
const SETTINGS: &[Setting] = &[
    Setting {
        name: "domain",
        repeats: false,
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
        repeats: true,
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
        repeats: true,
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
        repeats: true,
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
        repeats: true,
        value: "NAME",
        set: |settings, value| {
            settings.admins.push(value.to_owned());
            Ok(())
        },
        help: &["an account whose owner may manage the server from a chat", "client; may be repeated"],
    },
    Setting {
        name: "registration",
        repeats: false,
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
        repeats: false,
        value: "on|off",
        set: |settings, value| choice(value, &[("on", true), ("off", false)], &mut settings.legacy_auth),
        help: &[
            "offer the login of XEP-0078, whose digest needs the",
            "passwords themselves to be kept [on]",
        ],
    },
    Setting {
        name: "plaintext",
        repeats: false,
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
        repeats: false,
        value: "N",
        set: |settings, value| {
            settings.scram_iterations = Some(number(value, 1..=1_000_000)?);
            Ok(())
        },
        help: &["rounds of key derivation for new passwords [4096]"],
    },
    Setting {
        name: "ping-interval",
        repeats: false,
        value: "SECONDS",
        set: |settings, value| {
            settings.ping_interval = Some(seconds(number(value, 0..=86_400)?));
            Ok(())
        },
        help: &["silence after which a client is asked whether it is there;", "0 never asks [120]"],
    },
    Setting {
        name: "max-connections",
        repeats: false,
        value: "N",
        set: |settings, value| {
            settings.limits.connections = size(number(value, 1..=1_000_000)?);
            Ok(())
        },
        help: &["connections at a time [16384]; `ulimit -n` limits them, too"],
    },
    Setting {
        name: "data",
        repeats: false,
        value: "FOLDER",
        set: |settings, value| {
            settings.data = Some(value.into());
            Ok(())
        },
        help: &["where accounts and what belongs to them are kept", "[loquat-data]"],
    },
    Setting {
        name: "durability",
        repeats: false,
        value: "always|SECONDS|never",
        set: |settings, value| {
            settings.durability = Some(match (value, number(value, 1..=86_400)) {
                ("always", _) => Durability::Always,
                ("never", _) => Durability::Never,
                (_, Ok(number)) => Durability::Every(seconds(number)),
                (_, Err(_)) => {
                    return Err("want always, a number of seconds from 1 to 86400, or never".into())
                }
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
        repeats: false,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_every_setting() {
        for setting in SETTINGS {
            assert!(help().contains(&format!("  --{}", setting.name)));
        }
        assert!(help().lines().all(|line| line.len() <= 90), "{}", help());
    }
}
