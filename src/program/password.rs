//! A new password: asked for where somebody sits, else a line of standard input.
//!
//! The terminal shows nothing while it is typed. That, and that it shows again whatever happens, is the shell's work:
//! a signal in the midst of it must find somebody who puts the terminal back.
//! Left out on purpose: passwords as arguments, which other users of the machine see.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::{Command, Stdio};

/// Reads a line from the terminal that is standard input and repeats it on standard output, unseen.
const READ_UNSEEN: &str =
    "trap 'stty echo; exit 1' INT TERM HUP; stty -echo; IFS= read -r line; done=$?; stty echo; printf '%s' \"$line\"; exit $done";

/// A new password of `name`.
pub(super) fn new(name: &str) -> Result<String, String> {
    if !io::stdin().is_terminal() {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map_err(|error| format!("standard input: {error}"))?;
        return given(line.trim_end_matches(['\n', '\r']));
    }
    let password = unseen(&format!("Password of {name}: "))?;
    if password != unseen("Again: ")? {
        return Err("these were two different passwords".into());
    }
    given(&password)
}

fn given(password: &str) -> Result<String, String> {
    match password {
        "" => Err("no password was given".into()),
        password => Ok(password.to_owned()),
    }
}

fn unseen(prompt: &str) -> Result<String, String> {
    let mut out = io::stderr();
    let asked = write!(out, "{prompt}").and_then(|()| out.flush());
    asked.map_err(|error| error.to_string())?;
    let read =
        Command::new("sh").args(["-c", READ_UNSEEN]).stdin(Stdio::inherit()).stderr(Stdio::null()).output();
    let _ = writeln!(out);
    let read = read.map_err(|error| format!("sh: {error}"))?;
    if !read.status.success() {
        return Err("no password was given".into());
    }
    String::from_utf8(read.stdout).map_err(|_| "a password is text in UTF-8".into())
}
