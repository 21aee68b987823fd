//! A new password: asked for on a terminal, else a line of standard input.
//!
//! The terminal does not echo it. Switching echo off, and on again even if a signal comes, is done by the shell, since
//! terminal settings need `unsafe` or another crate here.
//! Left out on purpose: passwords as arguments, which other users of the machine can see.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::{Command, Stdio};

/// Reads a line from the terminal on standard input without echo, and writes it to standard output.
const READ_HIDDEN: &str =
    "trap 'stty echo; exit 1' INT TERM HUP; stty -echo; IFS= read -r line; done=$?; stty echo; printf '%s' \"$line\"; exit $done";

/// A new password of `name`.
pub(super) fn new(name: &str) -> Result<String, String> {
    if !io::stdin().is_terminal() {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map_err(|error| format!("standard input: {error}"))?;
        return not_empty(line.trim_end_matches(['\n', '\r']));
    }
    let password = read_hidden(&format!("Password of {name}: "))?;
    if password != read_hidden("Again: ")? {
        return Err("these were two different passwords".into());
    }
    not_empty(&password)
}

fn not_empty(password: &str) -> Result<String, String> {
    match password {
        "" => Err("no password was given".into()),
        password => Ok(password.to_owned()),
    }
}

fn read_hidden(prompt: &str) -> Result<String, String> {
    let mut out = io::stderr();
    let asked = write!(out, "{prompt}").and_then(|()| out.flush());
    asked.map_err(|error| error.to_string())?;
    let read =
        Command::new("sh").args(["-c", READ_HIDDEN]).stdin(Stdio::inherit()).stderr(Stdio::null()).output();
    let _ = writeln!(out);
    let read = read.map_err(|error| format!("sh: {error}"))?;
    if !read.status.success() {
        return Err("no password was given".into());
    }
    String::from_utf8(read.stdout).map_err(|_| "a password is text in UTF-8".into())
}
