//! A disk with no space left: changes are refused, all else goes on, and when there is space again all is well. What is
//! there can be made smaller without any.
//!
//! The disk is a small one in memory, which only one with the right to mount can have.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use super::client::{fits, registration, Client};
use super::process::{printed, Place, Server};

/// A small disk, gone with its test.
struct Disk(PathBuf);

impl Disk {
    fn mount(path: &Path, size: &str) -> Option<Self> {
        fs::create_dir(path).unwrap();
        let options = format!("size={size},mode=700");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "loquat-test"]).arg(path).output();
        match mount {
            Ok(output) if output.status.success() => Some(Self(path.to_owned())),
            _ => None,
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Registers until the server refuses, whatever it makes smaller meanwhile. How many accounts there are then.
fn fill(client: &mut Client, from: usize) -> usize {
    let (mut n, mut refused) = (from, 0);
    while refused < 30 {
        if is_made(client, n) {
            (n, refused) = (n + 1, 0);
        } else {
            refused += 1;
            sleep(Duration::from_millis(10));
        }
    }
    n
}

fn is_made(client: &mut Client, n: usize) -> bool {
    is_recorded(&client.ask("r", &registration("r", &name(n), &password(n))).unwrap())
}

fn is_recorded(answer: &str) -> bool {
    assert!(answer.contains("type='result'") || answer.contains("<resource-constraint"), "{answer}");
    answer.contains("type='result'")
}

/// How often something is refused before it is recorded.
fn refusals(mut ask: impl FnMut() -> bool) -> usize {
    let refused = (0..500).find(|_| {
        ask() || {
            sleep(Duration::from_millis(10));
            false
        }
    });
    refused.expect("it is refused for ever")
}

fn name(n: usize) -> String {
    format!("user{n}")
}

fn password(n: usize) -> String {
    format!("{n}{}", "p".repeat(800))
}

#[test]
fn a_full_disk() {
    let place = Place::new();
    let path = place.file("disk");
    let Some(_disk) = Disk::mount(&path, "5m") else {
        return eprintln!("a_full_disk is left out: this user may not mount");
    };
    let data = path.join("data").to_string_lossy().into_owned();
    let ballast = [path.join("ballast1"), path.join("ballast2")];
    ballast.iter().for_each(|path| fs::write(path, vec![b'x'; 1_000_000]).unwrap());
    let mut server = Server::start_in(&place, &data, &[]);
    let mut old = Client::connect(server.address).unwrap();
    assert_eq!(old.register("1", "juliet", "secret"), Some(true));
    assert_eq!(old.log_in("juliet", "secret"), Some(true));
    old.say("<presence/>");
    old.hear("<presence").unwrap();
    let mut made = 0;
    for path in ballast {
        let mut client = Client::connect(server.address).unwrap();
        made = fill(&mut client, made);
        assert!(made > 100, "{made}");
        // Chats go on, logins go on, and a change that is refused has not happened.
        old.say("<message to='juliet@localhost' type='chat'><body>still here</body></message>");
        old.hear("still here</body></message>").unwrap_or_else(|| panic!("{}", server.log()));
        let answer = old.ask("p", &registration("p", "juliet", &password(0))).unwrap();
        assert!(answer.contains("<resource-constraint"), "{answer}");
        assert!(fits(server.address, "juliet", "secret"));
        assert!(printed(&data, "", &["status"]).contains("changes refused"));
        fs::remove_file(path).unwrap();
        refusals(|| is_made(&mut client, made));
        made += 1;
        assert!(printed(&data, "", &["status"]).contains("changes recorded"));
    }
    assert!(server.log().contains("changes can be recorded again"), "{}", server.log());
    for again in 0..2 {
        let wanted = made + 1;
        let names = printed(&data, "", &["user", "list"]);
        assert_eq!(names.lines().count(), wanted, "after {again} kills");
        for n in (0..made).step_by(97).chain([made - 1]) {
            assert!(fits(server.address, &name(n), &password(n)), "{n}");
        }
        server.kill();
        server = Server::start_in(&place, &data, &[]);
    }
    // The snapshots that there was no space for have left nothing behind.
    let files = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(files.filter(|name| name.starts_with("snapshot")).count() <= 1);
}

/// Somebody changes a password for ever, which would fill any disk: the journal is made smaller each time, also if the
/// server is killed just then.
#[test]
fn a_journal_that_fills_the_disk() {
    const CHANGES: usize = 4_000;
    let place = Place::new();
    let path = place.file("disk");
    let Some(_disk) = Disk::mount(&path, "1m") else {
        return eprintln!("a_journal_that_fills_the_disk is left out: this user may not mount");
    };
    let data = path.join("data").to_string_lossy().into_owned();
    let mut server = Server::start_in(&place, &data, &["--durability", "never"]);
    let mut client = Client::connect(server.address).unwrap();
    assert_eq!(client.register("1", "juliet", &password(0)), Some(true));
    let (mut times, mut kills) = (0, 0);
    client.log_in("juliet", &password(0));
    for n in 1..CHANGES {
        let change = registration("r", "juliet", &password(n));
        if is_recorded(&client.ask("r", &change).unwrap()) {
            continue;
        }
        times += 1;
        if times % 2 == 0 {
            server.kill();
            kills += 1;
            server = Server::start_in(&place, &data, &["--durability", "never"]);
            client = Client::connect(server.address).unwrap();
            assert_eq!(client.log_in("juliet", &password(n - 1)), Some(true), "{}", server.log());
        }
        refusals(|| is_recorded(&client.ask("r", &change).unwrap()));
    }
    assert!(times > 3 && kills > 1, "the disk was full {times} times, {kills} kills");
    assert!(fits(server.address, "juliet", &password(CHANGES - 1)));
}
