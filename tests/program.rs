//! The program from outside: what it prints, its exit status, who can log in, what it logs.
//!
//! Left out on purpose: protocol beyond a login, and the ports that it picks by itself, which others may have.

#![cfg(feature = "program")]
#![allow(clippy::unwrap_used, clippy::panic)] // it is how a test fails

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use loquat::legacy_digest;

/// How long the program may take for anything.
const TIMEOUT: Duration = Duration::from_secs(10);
const LISTENING: &str = "loquat: listening on ";

/// The program, which keeps nothing unless it is told where.
fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loquat"));
    command.args(args).env_remove("RUST_LOG").stdin(Stdio::null());
    if !args.contains(&"--data") {
        command.arg("--in-memory");
    }
    command
}

/// A program that is to end by itself.
fn run(args: &[&str]) -> Output {
    let mut child = command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > TIMEOUT {
            child.kill().unwrap();
        }
        thread::sleep(Duration::from_millis(1));
    }
    child.wait_with_output().unwrap()
}

/// A program that serves; killed when it is dropped.
struct Program {
    child: Child,
    addresses: Vec<SocketAddr>,
}

impl Program {
    /// Starts it, and reads where it listens: in so many places.
    fn start(command: &mut Command, listeners: usize) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut program = Self { child, addresses: Vec::new() };
        for _ in 0..listeners {
            let line = receiver.recv_timeout(TIMEOUT).unwrap();
            let address = line.strip_prefix(LISTENING).unwrap_or_else(|| panic!("it printed {line:?}"));
            program.addresses.push(address.parse().unwrap());
        }
        program
    }

    fn serve(args: &[&str]) -> Self {
        Self::start(&mut command(args), args.iter().filter(|arg| **arg == "--listen").count())
    }

    /// Over loopback, wherever it listens.
    fn connect(&self) -> Client {
        let port = self.addresses.first().unwrap().port();
        Client::connect((Ipv4Addr::LOCALHOST, port).into())
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// What it has logged, once it is ended.
    fn end(mut self) -> String {
        self.child.kill().unwrap();
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        log
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}

struct Client {
    socket: TcpStream,
    id: String,
    features: String,
}

impl Client {
    /// Connects, and exchanges headers.
    fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(TIMEOUT)).unwrap();
        let mut client = Self { socket, id: String::new(), features: String::new() };
        client.features = client.ask(
            "<stream:stream version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
            "</stream:features>",
        );
        let (_, behind) = client.features.split_once(" id='").unwrap();
        client.id = behind.split_once('\'').unwrap().0.into();
        client
    }

    /// Sends something, and reads up to `end`.
    fn ask(&mut self, text: &str, end: &str) -> String {
        self.socket.write_all(text.as_bytes()).unwrap();
        let mut received = Vec::new();
        while !String::from_utf8_lossy(&received).contains(end) {
            let mut buffer = [0; 4096];
            let n = match self.socket.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result.unwrap(),
            };
            assert!(n > 0, "instead of {end} it ended behind {}", String::from_utf8_lossy(&received));
            received.extend_from_slice(buffer.get(..n).unwrap());
        }
        String::from_utf8(received).unwrap()
    }

    /// A request before login; what the answer begins with.
    fn set(&mut self, ns: &str, fields: &[(&str, &str)]) -> String {
        let fields: String = fields.iter().map(|(name, value)| format!("<{name}>{value}</{name}>")).collect();
        self.ask(&format!("<iq type='set' id='i'><query xmlns='{ns}'>{fields}</query></iq>"), "id='i'")
    }

    fn log_in(&mut self, name: &str, kind: &str, secret: &str) -> String {
        self.set("jabber:iq:auth", &[("username", name), (kind, secret), ("resource", "r")])
    }

    fn register(&mut self, name: &str, password: &str) -> String {
        self.set("jabber:iq:register", &[("username", name), ("password", password)])
    }
}

#[test]
fn it_says_where_it_listens() {
    let program = Program::serve(&["--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"]);
    for &address in &program.addresses {
        assert!(address.ip() == Ipv4Addr::LOCALHOST && address.port() != 0);
        Client::connect(address);
    }
}

#[test]
fn help_and_version() {
    for (flag, beginning, somewhere) in [
        ("--help", "loquat: ", "usage: loquat "),
        ("--version", concat!("loquat ", env!("CARGO_PKG_VERSION"), "\n"), "RFC 6121"),
    ] {
        let output = run(&[flag]);
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(printed.starts_with(beginning) && printed.contains(somewhere), "{printed}");
        assert!(output.status.success() && output.stderr.is_empty(), "{flag}");
    }
}

/// Holds that the program ends with this status, after one line for people.
fn fails(args: &[&str], status: i32, reason: &str) {
    let output = run(args);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{args:?}: {error}");
    assert!(error.starts_with("loquat: ") && error.contains(reason), "{args:?}: {error}");
    assert_eq!(error.matches('\n').count(), 1, "{args:?}: {error}");
    assert!(output.stdout.is_empty(), "{args:?}");
}

#[test]
fn what_it_cannot_use_ends_it_with_one_line() {
    fails(&["--nope"], 2, "--nope");
    fails(&["--listen", "5222"], 2, "0.0.0.0:5222");
    fails(&["--domain", "a@b"], 2, "--domain");
    fails(&["--alias", "a/b"], 2, "--alias");
    fails(&["--listen", "127.0.0.1:0", "--user", "a b:secret"], 2, "--user");
    fails(&["--listen", "127.0.0.1:0", "--user", "a:"], 2, "user a");
}

#[test]
fn a_port_that_others_have_ends_it_with_one_line() {
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = other.local_addr().unwrap().to_string();
    fails(&["--listen", &address], 1, &address);
}

#[test]
fn accounts_of_the_command_line_can_log_in() {
    let program = Program::serve(&[
        "--domain",
        "Chat.Example",
        "--listen",
        "127.0.0.1:0",
        "--user",
        "Romeo:with:colons",
        "--user",
        "用户1:密码一",
    ]);
    let answer = program.connect().log_in("romeo", "password", "with:colons");
    assert!(answer.contains("type='result'") && answer.contains("to='romeo@chat.example/r'"), "{answer}");
    let mut client = program.connect();
    let digest = legacy_digest(&client.id, "密码一");
    let answer = client.log_in("用户1", "digest", &digest);
    assert!(answer.contains("to='用户1@chat.example/r'"), "{answer}");
    let answer = program.connect().log_in("romeo", "password", "with");
    assert!(answer.contains("type='error'"), "{answer}");
}

#[test]
fn accounts_in_a_folder_outlive_the_program() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("program-data");
    let _ = fs::remove_dir_all(&folder); // of an earlier run
    let args = ["--listen", "127.0.0.1:0", "--data", folder.to_str().unwrap()];
    let program = Program::serve(&args);
    assert!(program.connect().register("juliet", PASSWORD).contains("type='result'"));
    program.end();
    let program = Program::serve(&args);
    assert!(program.connect().log_in("juliet", "password", PASSWORD).contains("type='result'"));
    assert!(program.connect().register("juliet", "another").contains("type='error'"));
}

/// Whether anybody may make an account, by what is offered and by what happens.
fn is_open(args: &[&str]) -> bool {
    let program = Program::serve(args);
    let mut client = program.connect();
    let offered = client.features.contains("http://jabber.org/features/iq-register");
    let done = client.register("juliet", "secret").contains("type='result'");
    assert_eq!(offered, done, "{args:?}");
    done
}

#[test]
fn registration_is_open_only_where_all_listeners_are_on_loopback() {
    assert!(is_open(&["--listen", "127.0.0.1:0"]));
    assert!(!is_open(&["--listen", "127.0.0.1:0", "--registration", "closed"]));
    assert!(!is_open(&["--listen", "0.0.0.0:0"]));
    assert!(!is_open(&["--listen", "127.0.0.1:0", "--listen", "0.0.0.0:0"]));
    assert!(is_open(&["--listen", "0.0.0.0:0", "--registration", "open"]));
}

/// A stop wakes the loop before it has seen what came meanwhile; answers that lie in the socket count all the same.
#[test]
fn who_has_answered_a_ping_outlives_a_pause() {
    let args = "--listen 127.0.0.1:0 --user a:secret --ping-interval 1 --limit.ping-time 2";
    let program = Program::serve(&args.split(' ').collect::<Vec<_>>());
    let mut client = program.connect();
    assert!(client.log_in("a", "password", "secret").contains("type='result'"));
    let answer = |ping: &str| {
        let (_, behind) = ping.split_once(" id='").unwrap();
        format!("<iq type='result' id='{}'/>", behind.split_once('\'').unwrap().0)
    };
    // Only who has answered once is cut off for not answering.
    let first = answer(&client.ask("", "</iq>"));
    let second = answer(&client.ask(&first, "</iq>"));
    program.signal("STOP");
    client.socket.write_all(second.as_bytes()).unwrap();
    thread::sleep(Duration::from_secs(3));
    program.signal("CONT");
    client.ask("<presence id='after'/>", "id='after'");
}

/// A disk that is full, where standard output goes to a file.
#[cfg(target_os = "linux")]
#[test]
fn it_serves_where_standard_output_takes_nothing() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut child =
        command(&["--listen", "127.0.0.1:0"]).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let address = lines.filter_map(|line| Some(line.split_once("listening on ")?.1.parse().unwrap())).next();
    let program = Program { child, addresses: address.into_iter().collect() };
    program.connect();
}

#[test]
fn one_port_of_both_wildcard_addresses() {
    let Ok(free) = TcpListener::bind("[::]:0") else { return eprintln!("left out: this system has no IPv6") };
    let port = free.local_addr().unwrap().port();
    drop(free);
    let (four, six) = (format!("0.0.0.0:{port}"), format!("[::]:{port}"));
    for listen in [[&four, &six], [&six, &four]] {
        let args = ["--listen", listen[0], "--listen", listen[1]];
        let program = Program::start(&mut command(&args), 1);
        program.connect();
        Client::connect(format!("[::1]:{port}").parse().unwrap());
    }
}

/// RFC 4616 for `secretive` with the password below, in base64.
const PLAIN: &str = "AHNlY3JldGl2ZQBvcGVuIHNlc2FtZQ==";
const PASSWORD: &str = "open sesame";

#[test]
fn no_secret_is_logged() {
    let args = ["--listen", "127.0.0.1:0", "--user", "romeo:open sesame", "--registration", "open"];
    let program = Program::start(command(&args).env("RUST_LOG", "trace"), 1);
    let mut client = program.connect();
    let digest = legacy_digest(&client.id, PASSWORD);
    assert!(client.register("secretive", PASSWORD).contains("type='result'"));
    assert!(client.register("romeo", PASSWORD).contains("type='error'"));
    assert!(client.log_in("romeo", "digest", "open sesame?").contains("type='error'"));
    assert!(client.log_in("open sesame", "password", "romeo").contains("type='error'"));
    assert!(client.log_in("romeo", "digest", &digest).contains("type='result'"));
    let mut client = program.connect();
    let auth = format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{PLAIN}</auth>");
    client.ask(&auth, "<success ");
    let mut client = program.connect();
    assert!(client.log_in("secretive", "password", PASSWORD).contains("type='result'"));
    let message =
        format!("<message to='romeo@localhost' id='m'><body>{PASSWORD}</body></message><presence id='p'/>");
    client.ask(&message, "id='p'");
    let stream_id = client.id;
    let log = program.end();
    assert!(log.contains("romeo@localhost/r"), "is anything logged at all? {log}");
    for secret in [PASSWORD, &digest, PLAIN, &stream_id] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}
