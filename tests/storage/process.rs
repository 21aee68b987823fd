//! The program as a process of its own, in a folder of its own.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_loquat");

/// How long a process may take to do what it is told.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A folder for one test, gone with it.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("loquat-test-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The data folder in it.
    pub(crate) fn data(&self) -> String {
        self.file("data").to_string_lossy().into_owned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server that is killed with its test.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    stderr: PathBuf,
}

impl Server {
    /// Starts one on a free port, with the data folder of `place`.
    pub(crate) fn start(place: &Place, args: &[&str]) -> Self {
        Self::start_in(place, &place.data(), args)
    }

    pub(crate) fn start_in(place: &Place, data: &str, args: &[&str]) -> Self {
        Self::run(Command::new(PROGRAM), place, data, args)
    }

    /// Starts one that may have so many descriptors.
    pub(crate) fn start_with_descriptors(place: &Place, most: u32) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -n \"$0\" && exec \"$@\"", &most.to_string(), PROGRAM]);
        Self::run(shell, place, &place.data(), &[])
    }

    fn run(mut program: Command, place: &Place, data: &str, args: &[&str]) -> Self {
        let stderr = place.file("stderr");
        let log = fs::OpenOptions::new().create(true).append(true).open(&stderr).unwrap();
        let mut child = program
            .args(["--listen", "127.0.0.1:0", "--scram-iterations", "1", "--data", data])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("loquat: listening on ").map(str::parse);
        let Some(Ok(address)) = address else {
            panic!("no server: {line}{}", fs::read_to_string(&stderr).unwrap());
        };
        Self { child, address, stderr }
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "the server does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    /// Waits until it has logged this.
    pub(crate) fn wait_for_log(&self, text: &str) {
        let start = Instant::now();
        while !self.log().contains(text) {
            assert!(start.elapsed() < PATIENCE, "the log does not say {text}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Bytes of memory that are its own.
    #[allow(dead_code)]
    pub(crate) fn memory(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command with a line of standard input.
pub(crate) fn command(data: &str, input: &str, args: &[&str]) -> Output {
    output(Command::new(PROGRAM), data, input, args)
}

/// A command in a network of its own, as in a container; `None` where that is not allowed.
pub(crate) fn command_in_container(data: &str, input: &str, args: &[&str]) -> Option<Output> {
    let container = || {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--net", "--"]);
        command
    };
    let allowed = container().arg("true").stderr(Stdio::null()).status();
    if !allowed.is_ok_and(|status| status.success()) {
        return None;
    }
    let mut command = container();
    command.arg(PROGRAM);
    Some(output(command, data, input, args))
}

fn output(mut command: Command, data: &str, input: &str, args: &[&str]) -> Output {
    let mut child = command
        .args(["--data", data, "--scram-iterations", "1"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that wants no input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// What a command that goes well prints.
pub(crate) fn printed(data: &str, input: &str, args: &[&str]) -> String {
    let output = command(data, input, args);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Why a command does not go well.
pub(crate) fn complaint(data: &str, input: &str, args: &[&str]) -> String {
    let output = command(data, input, args);
    assert!(!output.status.success(), "{args:?} went well");
    String::from_utf8(output.stderr).unwrap()
}

/// The program with no data folder named, run to its end.
pub(crate) fn run(args: &[&str]) -> (bool, String) {
    let mut child =
        Command::new(PROGRAM).args(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().success(), said)
}
