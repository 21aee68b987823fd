//! Settings in a file, and signals.

use std::fs;

use super::client::{fits, registration, Client};
use super::process::{printed, run, Place, Server};

#[test]
fn a_file_of_settings() {
    let place = Place::new();
    let path = place.file("loquat.conf");
    let file = path.to_str().unwrap();
    fs::write(
        &path,
        "# a house on the LAN\ndomain chat.lan\nalias localhost\nuser 用户1:se cret\nregistration closed\n",
    )
    .unwrap();
    assert_eq!(run(&["check", "--config", file]), (true, String::new()));
    let server = Server::start(&place, &["--config", file]);
    assert!(fits(server.address, "用户1", "se cret"));
    let refused = Client::connect(server.address).unwrap().register("1", "a", "b");
    assert_eq!(refused, Some(false));

    fs::write(&path, "domain chat.lan\n\nlisten here\nuser secret\n").unwrap();
    let (good, said) = run(&["check", "--config", file]);
    assert!(!good && !said.contains("secret"), "{said}");
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(
        said.contains("loquat.conf:3: listen: want") && said.contains("loquat.conf:4: user: want"),
        "{said}"
    );
    let (good, said) = run(&["--config", file]);
    assert!(!good && said.contains("loquat.conf:3: "), "{said}");
    let (good, said) = run(&["check", "--config", "/nowhere"]);
    assert!(!good && said.contains("/nowhere"), "{said}");
}

/// As editors of other systems write them: a byte order mark, CRLF.
#[test]
fn a_file_from_another_system() {
    let place = Place::new();
    let path = place.file("loquat.conf");
    let file = path.to_str().unwrap();
    fs::write(&path, "\u{feff}domain chat.lan # ours\r\nalias localhost\r\nuser a:p#w # hers\r\n\r\n")
        .unwrap();
    let server = Server::start(&place, &["--config", file]);
    assert!(fits(server.address, "a", "p#w"));
    for (text, reason) in [
        ("domain a\ndomain b\n", "loquat.conf:2: domain is set already in line 1"),
        ("ping-interval 18446744073709551615\n", "ping-interval: want a number from 0 to 86400"),
        ("limit.stanza-bytes 1\n", "limit.stanza-bytes: want a number from 10000 to"),
    ] {
        fs::write(&path, text).unwrap();
        let (good, said) = run(&["check", "--config", file]);
        assert!(!good && said.contains(reason), "{said}");
    }
    fs::write(&path, b"domain \xff\n").unwrap();
    assert!(run(&["check", "--config", file]).1.contains("this is no text in UTF-8"));
}

#[test]
fn settings_are_read_again() {
    let place = Place::new();
    let path = place.file("loquat.conf");
    fs::write(&path, "registration closed\n").unwrap();
    let server = Server::start(&place, &["--config", path.to_str().unwrap()]);
    let mut client = Client::connect(server.address).unwrap();
    assert_eq!(client.register("1", "a", "b"), Some(false));
    fs::write(&path, "registration open\ndurability 7\nuser c:d\n").unwrap();
    server.signal("HUP");
    server.wait_for_log("the settings were read again");
    assert!(server.log().contains("durability has another value now, which needs a restart"));
    assert_eq!(client.register("2", "a", "b"), Some(true));
    assert!(fits(server.address, "c", "d"));
    fs::write(&path, "registration maybe\n").unwrap();
    server.signal("HUP");
    server.wait_for_log("the settings stay as they were");
    assert!(server.log().contains("loquat.conf:1: registration: want open or closed"));
    assert_eq!(client.register("3", "e", "f"), Some(true));
}

#[test]
fn signals_end_streams_and_then_the_program() {
    for signal in ["TERM", "INT"] {
        let place = Place::new();
        let mut server = Server::start(&place, &["--durability", "never"]);
        let mut client = Client::connect(server.address).unwrap();
        assert_eq!(client.register("1", "a", "b"), Some(true));
        server.signal(signal);
        assert!(client.hear("</stream:stream>").unwrap().contains("<system-shutdown"));
        assert!(server.wait().success());
        assert_eq!(printed(&place.data(), "", &["user", "list"]), "a\n");
    }
}

/// The first signal waits for a peer that does not take its last bytes; the second waits for nobody.
#[test]
fn a_second_signal_ends_the_program_at_once() {
    let place = Place::new();
    let mut server = Server::start(&place, &[]);
    let mut client = Client::connect(server.address).unwrap();
    client.say(&registration("1", "a", "b"));
    server.signal("TERM");
    client.hear("</stream:stream>").unwrap();
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(128 + 15));
}
