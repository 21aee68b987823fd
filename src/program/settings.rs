//! The values of all settings, and what follows from them.
//!
//! Read first: [`super::table`]. Left out on purpose: how they are read ([`super::sources`]).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use loquat::{Config, Durability, Limits, Plaintext};

/// The port that is registered for clients (RFC 6120 14.7).
const CLIENT_PORT: u16 = 5222;

/// The values of all settings; `None` or empty where none was given.
#[derive(Debug, Default, Clone)]
pub(super) struct Settings {
    pub(super) domain: Option<String>,
    pub(super) aliases: Vec<String>,
    pub(super) listen: Vec<SocketAddr>,
    pub(super) users: Vec<(String, String)>,
    pub(super) admins: Vec<String>,
    pub(super) registration: Option<bool>,
    pub(super) legacy_auth: Option<bool>,
    pub(super) plaintext: Option<Plaintext>,
    pub(super) scram_iterations: Option<u32>,
    pub(super) ping_interval: Option<Duration>,
    pub(super) limits: Limits,
    pub(super) data: Option<PathBuf>,
    /// The data folder if `data` names none.
    pub(super) default_data: PathBuf,
    pub(super) durability: Option<Durability>,
    pub(super) in_memory: bool,
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
        config.scram_iterations = self.scram_iterations.unwrap_or(config.scram_iterations);
        if let Some(interval) = self.ping_interval {
            config.ping_interval = Some(interval).filter(|interval| !interval.is_zero());
        }
        config.limits = self.limits.clone();
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
        self.data.as_deref().unwrap_or(&self.default_data)
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

    #[test]
    fn settings_that_need_a_restart_are_named() {
        let old =
            Settings { domain: Some("a".into()), plaintext: Some(Plaintext::Never), ..Settings::default() };
        let new = Settings { durability: Some(Durability::Never), ..Settings::default() };
        assert_eq!(old.needing_restart(&new), ["domain", "durability"]);
    }
}
