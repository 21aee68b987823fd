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
            check_host(value)?;
            settings.domain = Some(value.to_owned());
            Ok(())
        },
        help: &[
            "the server's name, after the @ in its addresses [the data",
            "folder's; localhost if the folder is new]",
        ],
    },
    Setting {
        name: "alias",
        repeats: true,
        value: "NAME",
        set: |settings, value| {
            check_host(value)?;
            settings.aliases.push(value.to_owned());
            Ok(())
        },
        help: &["another name or IP address of this server; may be repeated"],
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
            "where to listen; may be repeated; port 0 picks a free port;",
            "the IP address becomes an alias [127.0.0.1:5222 and",
            "[::1]:5222]",
        ],
    },
    Setting {
        name: "user",
        repeats: true,
        value: "NAME:PASSWORD",
        // The error does not repeat the value, which may contain a password.
        set: |settings, value| {
            let (name, password) = value.split_once(':').ok_or("want NAME:PASSWORD")?;
            check_user(name)?;
            settings.users.push((name.into(), password.into()));
            Ok(())
        },
        help: &[
            "make this account if it is not there; may be repeated.",
            "Other users of the machine can see command lines: better",
            "use it in a file, or `loquat user add NAME`",
        ],
    },
    Setting {
        name: "admin",
        repeats: true,
        value: "NAME",
        set: |settings, value| {
            check_user(value)?;
            settings.admins.push(value.to_owned());
            Ok(())
        },
        help: &["an account that may manage the server from a chat client", "(XEP-0133); may be repeated"],
    },
    Setting {
        name: "registration",
        repeats: false,
        value: "open|closed",
        set: |settings, value| {
            choice(value, &[("open", true), ("closed", false)], &mut settings.registration)
        },
        help: &[
            "whether clients may make accounts (XEP-0077) [open if all",
            "listeners are on loopback, else closed]",
        ],
    },
    Setting {
        name: "legacy-auth",
        repeats: false,
        value: "on|off",
        set: |settings, value| choice(value, &[("on", true), ("off", false)], &mut settings.legacy_auth),
        help: &["offer the login of XEP-0078, for which passwords must be", "stored as they are [on]"],
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
        help: &["where clients may send passwords unhashed (SASL PLAIN)", "[loopback]"],
    },
    Setting {
        name: "scram-iterations",
        repeats: false,
        value: "N",
        set: |settings, value| {
            settings.scram_iterations = Some(number(value, 1..=1_000_000)?);
            Ok(())
        },
        help: &["rounds of SCRAM key derivation for new passwords [4096]"],
    },
    Setting {
        name: "ping-interval",
        repeats: false,
        value: "SECONDS",
        set: |settings, value| {
            settings.ping_interval = Some(seconds(number(value, 0..=86_400)?));
            Ok(())
        },
        help: &["ping a client after so much silence; 0 never does [120]"],
    },
    Setting {
        name: "max-connections",
        repeats: false,
        value: "N",
        set: |settings, value| {
            settings.limits.connections = size(number(value, 1..=1_000_000)?);
            Ok(())
        },
        help: &["the same as --limit.connections [16384]; `ulimit -n` limits", "connections, too"],
    },
    Setting {
        name: "data",
        repeats: false,
        value: "FOLDER",
        set: |settings, value| {
            settings.data = Some(value.into());
            Ok(())
        },
        help: &[
            "the data folder [/var/lib/loquat if that is there and ours",
            "to write, else ./loquat-data]",
        ],
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
            "when a change is synced to the disk: before its sender is",
            "answered; every so many seconds, which is kinder to flash",
            "but a loss of power may lose the changes of that time; or",
            "when the system decides [always]",
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
        help: &["keep nothing: accounts end with the program"],
    },
];

fn check_host(name: &str) -> Result<(), String> {
    let wanted = |_| "want a host name or an IP address, such as chat.example or 192.168.1.2".to_owned();
    Config::new(name).map(|_| ()).map_err(wanted)
}

/// The error does not repeat the value, since a password may have been written in its place.
fn check_user(name: &str) -> Result<(), String> {
    let wanted =
        |_| "want a user's name as it is before the @: without white space or any of \"&'/:<>@".to_owned();
    Jid::new(Some(name), "localhost", None).map(|_| ()).map_err(wanted)
}

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
