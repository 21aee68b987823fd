//! The examples do what they say: each that ends is run, and what it prints is looked at.
//!
//! `cargo test` builds the examples; `cargo test --test examples` by itself does not.

#![allow(clippy::unwrap_used, clippy::panic)] // it is how a test fails

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use loquat::xml::Element;
use loquat::{Config, Event, Reactor};

/// How long an example may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long one turn of what goes on beside it may.
const TURN: Duration = Duration::from_millis(5);

/// What an example printed, and whether it was content.
struct Outcome {
    printed: String,
    success: bool,
}

/// Runs an example to its end, with something going on beside it.
fn run(name: &str, args: &[&str], mut beside: impl FnMut()) -> Outcome {
    let mut command = Command::new(path_of(name));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error} (cargo build --examples)", path_of(name).display()));
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() && start.elapsed() < PATIENCE {
        beside();
    }
    let in_time = start.elapsed() < PATIENCE;
    let _ = child.kill(); // which does nothing to one that has ended
    let output = child.wait_with_output().unwrap();
    let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(in_time, "{name} does not end; it printed:\n{printed}");
    Outcome { printed, success: output.status.success() }
}

/// `target/debug/examples/NAME`, beside `target/debug/deps/`, where this test is.
fn path_of(name: &str) -> PathBuf {
    let this = env::current_exe().unwrap();
    let folder = this.parent().and_then(Path::parent).unwrap();
    folder.join("examples").join(format!("{name}{}", env::consts::EXE_SUFFIX))
}

fn run_alone(name: &str, args: &[&str]) -> Outcome {
    run(name, args, || thread::sleep(TURN))
}

impl Outcome {
    /// Holds that it went well and printed all of these, one after the other.
    fn shows(&self, wanted: &[&str]) {
        assert!(self.success, "it failed; it printed:\n{}", self.printed);
        let mut rest = self.printed.as_str();
        for wanted in wanted {
            let (_, behind) = rest
                .split_once(wanted)
                .unwrap_or_else(|| panic!("where is {wanted}? It printed:\n{}", self.printed));
            rest = behind;
        }
    }
}

#[test]
fn in_memory() {
    run_alone("in_memory", &[]).shows(&[
        "罗密欧 S: <iq type='result' id='login' to='罗密欧@localhost/home'/>",
        "朱丽叶 S: <iq type='result' id='login' to='朱丽叶@localhost/home'/>",
        "朱丽叶 S: <message to='朱丽叶@localhost' type='chat' from='罗密欧@localhost/home'><body>你好！</body></message>",
        "罗密欧 S: <message to='罗密欧@localhost' type='chat' from='朱丽叶@localhost/home'>",
        "罗密欧 S: </stream:stream>",
        "朱丽叶 S: <presence to='朱丽叶@localhost' from='罗密欧@localhost/home' type='unavailable'/>",
        "<service-unavailable ",
        "somebody S: ",
        "<connection-timeout ",
    ]);
}

#[test]
fn bot() {
    run_alone("bot", &["--demo"]).shows(&[
        "S: <iq type='result' id='1' to='用户1@localhost/demo'/>",
        "S: <message from='bot.localhost' to='用户1@localhost/demo' id='2' type='chat'><body>你说：你好</body></message>",
        "S: <iq from='bot.localhost' to='用户1@localhost/demo' id='3' type='result'><query xmlns='jabber:iq:version'>",
        "S: <iq from='bot.localhost' to='用户1@localhost/demo' id='4' type='error'>",
        "S: </stream:stream>",
    ]);
}

#[test]
fn embed() {
    run_alone("embed", &["--demo"]).shows(&[
        "reading: 21.5 °C\n",
        "here: 用户1@localhost/demo\n",
        "gone: 用户1@localhost/demo\n",
        "the visitor got: <?xml version='1.0'?><stream:stream ",
        "<iq type='result' id='1' to='用户1@localhost/demo'/>",
        "</stream:stream>",
    ]);
}

/// A server for the client, with registration open.
fn reactor() -> (Reactor, String) {
    let mut config = Config::new("localhost").unwrap();
    config.add_alias("127.0.0.1").unwrap();
    config.registration = true;
    let reactor = Reactor::bind(config, &["127.0.0.1:0".parse().unwrap()]).unwrap();
    let address = reactor.local_addresses().next().unwrap().to_string();
    (reactor, address)
}

#[test]
fn client_that_writes_to_itself() {
    let (mut reactor, address) = reactor();
    run("client", &[&address], || reactor.poll_once(Some(TURN)).unwrap()).shows(&[
        "C: <stream:stream to='127.0.0.1' ",
        "S: <?xml version='1.0'?><stream:stream ",
        "S: <stream:features>",
        "S: <iq type='result' id='register'/>\n",
        "S: <iq type='result' id='login' to='用户1@localhost/loquat-example'/>\n",
        "S: <iq type='result' id='roster' to='用户1@localhost/loquat-example'><query xmlns='jabber:iq:roster'/></iq>\n",
        "S: <presence ",
        "S: <message to='用户1@localhost' type='chat' id='message' from='用户1@localhost/loquat-example'>",
        "<msgExtension xmlns='http://jabber.org/protocol/msgExtension'><msg>你好，世界！😀</msg>",
        "C: </stream:stream>\n",
        "S: </stream:stream>\n",
    ]);
}

#[test]
fn client_and_its_peer() {
    let (mut reactor, address) = reactor();
    reactor.server().claim("用户2@localhost").unwrap();
    let mut got = None;
    let outcome = run("client", &[&address, "用户1", "密<码>&一", "用户2"], || {
        reactor.poll_once(Some(TURN)).unwrap();
        if let Some(Event::Stanza(stanza)) = reactor.server().next_event() {
            let to = stanza.attr("from").unwrap();
            let answer = format!("<message from='用户2@localhost' to='{to}'><body>收到了</body></message>");
            reactor.inject(&answer).unwrap();
            got = Some(stanza);
        }
    });
    outcome.shows(&["<body>收到了</body></message>\n", "S: </stream:stream>\n"]);
    let names = |element: &Element| element.children().map(|e| e.name().to_owned()).collect::<Vec<_>>();
    let extension =
        got.as_ref().and_then(|got| got.child("msgExtension", "http://jabber.org/protocol/msgExtension"));
    assert_eq!(extension.map(names).unwrap_or_default(), ["msg", "time", "uuid", "avaterUrl"]);
}

#[test]
fn client_with_a_wrong_password() {
    let (mut reactor, address) = reactor();
    reactor.server().add_account("用户1", "密码").unwrap();
    let outcome = run("client", &[&address, "用户1", "x"], || reactor.poll_once(Some(TURN)).unwrap());
    assert!(!outcome.success && outcome.printed.contains("<not-authorized "), "{}", outcome.printed);
    assert!(outcome.printed.contains("the server does not let us in"), "{}", outcome.printed);
}
