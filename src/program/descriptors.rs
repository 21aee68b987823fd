//! Descriptors: the system's limit of them (`ulimit -n`) is shared out, so that connections leave some for commands and
//! files.
//!
//! Left out on purpose: systems without `/proc`, which have no way to ask without `unsafe`. There the reactor waits for
//! a connection to end when it has no descriptor.

use std::fs;

use loquat::Config;

/// Descriptors that connections leave: for four clients of the control socket, a journal and the next one, a snapshot,
/// the folder itself, a settings file, and a connection that is only accepted to be refused.
const RESERVE: usize = 16;

/// How many connections there are descriptors for beside those that are open now; `None` if the system does not say.
pub(super) fn left_for_connections() -> Option<usize> {
    let limit = soft_limit(&fs::read_to_string("/proc/self/limits").ok()?)?;
    let open = fs::read_dir("/proc/self/fd").ok()?.count();
    Some(limit.saturating_sub(open + RESERVE))
}

fn soft_limit(limits: &str) -> Option<usize> {
    limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

/// Lowers the limit of connections to what there are descriptors for.
pub(super) fn cap(config: &mut Config, left: Option<usize>) {
    let Some(left) = left.filter(|&left| left < config.limits.connections) else { return };
    log::info!("at most {left} connections: `ulimit -n` allows no more than that beside commands and files");
    config.limits.connections = left;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_read() {
        let limits =
            "Limit      Soft Limit    Hard Limit    Units\nMax open files   1024   524288   files \n";
        assert_eq!(soft_limit(limits), Some(1024));
        assert_eq!(soft_limit("Max open files   unlimited   unlimited   files"), None);
        assert_eq!(soft_limit(""), None);
    }
}
