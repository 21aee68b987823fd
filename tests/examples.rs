//! The examples do what they say: each that ends is run, and what it prints is looked at; each file for netcat is
//! played, and brings back what `examples/netcat/README.md` shows.
//!
//! `cargo test` builds the examples; `cargo test --test examples` by itself does not.

#![allow(clippy::unwrap_used, clippy::panic)] // it is how a test fails

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use loquat::xml::Element;
use loquat::{Config, Event, Now, Opening, Peer, Reactor, Server, StreamId, Then};

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
        "你在哪儿？</body><delay xmlns='urn:xmpp:delay' from='localhost' stamp='1970-01-01T00:00:00Z'/></message>",
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

#[test]
fn foreign_poll() {
    run_alone("foreign_poll", &["--demo"]).shows(&[
        "Bound(",
        "Gone(",
        "the visitor got: <?xml version='1.0'?><stream:stream ",
        "<iq type='result' id='1' to='用户1@localhost/demo'/>",
        "</stream:stream>",
    ]);
}

#[test]
fn own_thread() {
    run_alone("own_thread", &["--demo"]).shows(&[
        "<iq type='result' id='1' to='用户1@localhost/demo'/>",
        "<message from='news.localhost' to='用户1@localhost/demo' type='headline'><body>晚上有雨</body></message>",
        "<system-shutdown ",
        "</stream:stream>",
    ]);
}

#[test]
fn core_only() {
    let folder = env::temp_dir().join(format!("loquat-core-only-{}", std::process::id()));
    let answers = [
        "the visitor got: <?xml version='1.0'?><stream:stream ",
        "<iq type='result' id='1' to='用户1@localhost/demo'/>",
        "</stream:stream>",
    ];
    let args = [folder.to_str().unwrap(), "--demo"];
    run_alone("core_only", &args).shows(&answers);
    let again = run_alone("core_only", &args);
    again.shows(&["the account is there from an earlier run"]);
    again.shows(&answers);
    fs::remove_dir_all(folder).unwrap();
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
        "S: <iq type='result' id='roster' to='用户1@localhost/loquat-example'><query xmlns='jabber:iq:roster' ver='0000000000000000'/></iq>\n",
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

#[test]
fn load_on_this_server() {
    let (mut reactor, address) = reactor();
    for (auth, size) in [("legacy", "small"), ("plain", "seed")] {
        let args = ["--users", "5", "--register", "--auth", auth, "--name", auth, "--pairs", "--size", size];
        let args = [&[address.as_str()], &args[..], &["--window", "3", "--seconds", "0.1"]].concat();
        let outcome = run("load", &args, || reactor.poll_once(Some(TURN)).unwrap());
        outcome.shows(&["online: 5 in ", "messages: ", "latency: p50 ", "wrong: 0, missing: 0"]);
    }
}

/// The relay that `load` is measured beside; and that `load` sees what is wrong, which here is the pairing.
#[test]
fn load_on_the_relay() {
    for (fan, work, good) in
        [(None, "--pairs", true), (Some("--fan"), "--fan", true), (Some("--fan"), "--pairs", false)]
    {
        let mut command = Command::new(path_of("relay"));
        command.arg("127.0.0.1:0").args(fan).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut relay = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(relay.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.rsplit(' ').next().unwrap().trim();
        let args = [address, "--auth", "none", "--users", "4", work, "--rate", "100", "--seconds", "0.1"];
        let outcome = run_alone("load", &args);
        relay.kill().unwrap();
        relay.wait().unwrap();
        let is_right = outcome.printed.contains("wrong: 0, missing: 0");
        assert_eq!((outcome.success, is_right), (good, good), "{}", outcome.printed);
    }
}

/// The page of the files for netcat, and its commands played in order on one server.
struct Page {
    server: Server,
    /// What has come back on each connection, in the order of the commands.
    heard: Vec<(StreamId, String)>,
}

const NETCAT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/netcat");

/// The commands of the page that send a file, each with what it shows to come back.
fn commands(page: &str) -> Vec<(&str, &str)> {
    let blocks = page.split("```console\n$ ").skip(1).filter_map(|rest| rest.split_once("\n```"));
    blocks
        .filter_map(|(block, _)| block.split_once('\n'))
        .filter(|(command, _)| command.contains(".xml"))
        .collect()
}

fn file_of(command: &str) -> &str {
    command.split_whitespace().find_map(|word| word.strip_prefix("examples/netcat/")).unwrap()
}

impl Page {
    /// One connection: the file, and then its end, unless `cat FILE -` goes on with what is typed.
    fn play(&mut self, command: &str) {
        let id = self.server.open(Opening::client(Peer::default()), Now::default()).unwrap();
        self.heard.push((id, String::new()));
        let bytes = fs::read(format!("{NETCAT}/{}", file_of(command))).unwrap();
        self.server.receive(id, &bytes, Now::default());
        if !command.starts_with("cat ") {
            self.server.half_closed(id, Now::default());
        }
        self.deliver();
    }

    fn deliver(&mut self) {
        let mut flush = self.server.flush(Now::default()).unwrap();
        let mut over = Vec::new();
        while let Some((id, outgoing)) = flush.next() {
            let (sent, then) = (outgoing.bytes.len(), outgoing.then);
            if let Some((_, heard)) = self.heard.iter_mut().rev().find(|(whose, _)| *whose == id) {
                heard.push_str(std::str::from_utf8(outgoing.bytes).unwrap());
            }
            flush.sent(id, sent);
            if then != Then::GoOn {
                over.push(id);
            }
        }
        drop(flush);
        if !over.is_empty() {
            over.into_iter().for_each(|id| self.server.hung_up(id, Now::default()));
            self.deliver();
        }
    }
}

/// Without white space, and without the first id, which is the stream's own.
fn comparable(text: &str) -> String {
    let text: String = text.split_whitespace().collect();
    let (before, rest) = text.split_once("id='").unwrap();
    let (_, behind) = rest.split_once('\'').unwrap();
    format!("{before}{behind}")
}

#[test]
fn netcat() {
    let text = fs::read_to_string(format!("{NETCAT}/README.md")).unwrap();
    let mut config = Config::new("localhost").unwrap();
    config.registration = true;
    let server = Server::new(config, Box::new(|_| Ok(()))).unwrap(); // nothing here must be unpredictable
    let mut page = Page { server, heard: Vec::new() };
    for (command, _) in commands(&text) {
        page.play(command);
    }
    for ((command, shown), (_, heard)) in commands(&text).into_iter().zip(&page.heard) {
        assert_eq!(comparable(heard), comparable(shown), "\n$ {command}\nbrings back\n{heard}\n");
    }
}

#[test]
fn every_file_for_netcat_is_on_its_page() {
    let text = fs::read_to_string(format!("{NETCAT}/README.md")).unwrap();
    let shown: Vec<&str> = commands(&text).into_iter().map(|(command, _)| file_of(command)).collect();
    for entry in fs::read_dir(NETCAT).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "README.md" || shown.contains(&name.as_str()), "README.md does not show {name}");
    }
}
