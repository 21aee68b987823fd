//! A disk with no space left: changes are refused, all else goes on, and when there is space again all is well.
//!
//! The disk is a small one in memory, which only one with the right to mount can have.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::client::{fits, Client};
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

/// Registers until the server refuses. How many accounts there are then.
fn fill(client: &mut Client, from: usize) -> usize {
    for n in from.. {
        let answer = client.ask("r", &super::client::registration("r", &name(n), &password(n))).unwrap();
        if answer.contains("type='result'") {
            continue;
        }
        assert!(answer.contains("<resource-constraint"), "{answer}");
        return n;
    }
    unreachable!("no disk is that big");
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
        let answer = old.ask("p", &super::client::registration("p", "juliet", &password(0))).unwrap();
        assert!(answer.contains("<resource-constraint"), "{answer}");
        assert!(fits(server.address, "juliet", "secret"));
        assert!(printed(&data, "", &["status"]).contains("changes refused"));
        fs::remove_file(path).unwrap();
        assert_eq!(client.register("again", &name(made), &password(made)), Some(true));
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
