//! Export and import: documents of XEP-0227 in files and folders.
//!
//! Left out on purpose: what an account becomes in the format and back; the library does that.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use loquat::{account_line, Document, Part};

use super::backend::{final_line, Backend};
use super::job::Request;
use super::settings::Settings;
use super::{named, print_line};

/// Lines of an import that are sent before their answers are read: few enough that both fit into the socket's buffers.
const LINES_AHEAD: usize = 64;
/// How deeply files may include each other.
const INCLUDE_DEPTH: usize = 4;
/// Bytes of the longest address that is a file's name. File systems take 255 bytes.
const MAX_NAME_BYTES: usize = 200;
/// How many unfinished files earlier exports may have left in a folder.
const MAX_UNFINISHED: usize = 100;

pub(super) fn export(settings: &Settings, file: &Path) -> Result<(), String> {
    let is_stdout = file == Path::new("-");
    if !is_stdout && !file.is_dir() {
        check_target(file)?;
    }
    let mut backend = Backend::open(settings)?;
    backend.send_request(&Request::Export)?;
    if is_stdout {
        backend.read_answer(print_line)?;
    } else if file.is_dir() {
        export_each(&mut backend, file)?;
    } else {
        let mut out = NewFile::create(file)?;
        backend.read_answer(|line| out.write_line(line))?;
        out.finish(file)?;
    }
    backend.close()
}

/// Refuses what is there and is no file: a device would be replaced by one, and a link may be a stranger's.
fn check_target(file: &Path) -> Result<(), String> {
    match fs::symlink_metadata(file) {
        Ok(there) if !there.is_file() => {
            Err(named(file, &"this is no regular file; name another one, or - for standard output"))
        }
        _ => Ok(()),
    }
}

/// A file under another name until it is complete, which its owner only can read: it has passwords, or keys.
struct NewFile {
    path: PathBuf,
    out: Option<BufWriter<File>>,
}

impl NewFile {
    /// Creates one beside `target`. What is there already is neither followed nor changed.
    fn create(target: &Path) -> Result<Self, String> {
        for number in 0..MAX_UNFINISHED {
            let path = target.with_file_name(format!("loquat-export.{number}.unfinished"));
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => return Ok(Self { path, out: Some(BufWriter::new(file)) }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => (),
                Err(error) => return Err(named(target, &error)),
            }
        }
        Err(named(target, &"beside it are too many files loquat-export.N.unfinished; remove them"))
    }

    fn write_line(&mut self, line: &str) -> Result<(), String> {
        let Some(out) = &mut self.out else { return Ok(()) };
        writeln!(out, "{line}").map_err(|error| named(&self.path, &error))
    }

    /// Makes it durable and gives it its name.
    fn finish(mut self, target: &Path) -> Result<(), String> {
        let Some(out) = self.out.take() else { return Ok(()) };
        let done = out.into_inner().map_err(|error| error.into_error()).and_then(|file| file.sync_all());
        done.and_then(|()| fs::rename(&self.path, target)).map_err(|error| named(target, &error))?;
        self.path = PathBuf::new();
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if self.path != PathBuf::new() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Writes a document for each account, as Prosody reads them: `name@domain.xml`.
fn export_each(backend: &mut Backend, folder: &Path) -> Result<(), String> {
    let (mut head, mut domain, mut unnamed) = (String::new(), String::new(), 0);
    backend.read_answer(|line| {
        // Neither a localpart nor a domain has anything in it that would be escaped.
        let value = |start| line.strip_prefix(start).and_then(|rest| Some(rest.split_once('\'')?.0));
        if let Some(name) = value("<user name='") {
            let path = folder.join(file_name(&format!("{name}@{domain}"), &mut unnamed));
            let mut out = NewFile::create(&path)?;
            out.write_line(&format!("{head}{line}\n</host>\n</server-data>"))?;
            return out.finish(&path);
        }
        if let Some(jid) = value("<host jid='") {
            domain = jid.to_owned();
        }
        head.push_str(line);
        head.push('\n');
        Ok(())
    })
}

/// The file of an account: its address, or a number if no common file system takes that address for a name.
fn file_name(address: &str, unnamed: &mut usize) -> String {
    if address.len() <= MAX_NAME_BYTES && !address.contains(['/', '\\', ':', '*', '?', '"', '<', '>', '|']) {
        return format!("{address}.xml");
    }
    *unnamed += 1;
    format!("account-{unnamed}.xml")
}

pub(super) fn import(settings: &Settings, file: &Path, as_domain: Option<String>) -> Result<(), String> {
    let files = documents(file).map_err(|error| named(file, &error))?;
    let mut backend = Backend::open(settings)?;
    backend.send_request(&Request::Import { as_domain })?;
    let mut import = Import {
        backend,
        unanswered: Vec::new(),
        made: 0,
        elsewhere: BTreeMap::new(),
        others: BTreeMap::new(),
    };
    for file in files {
        let source = File::open(&file).map_err(|error| named(&file, &error))?;
        import.document(&file, source, None, 0)?;
    }
    import.report()
}

/// A file, or all documents in a folder.
fn documents(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path()));
    let mut files = entries.collect::<io::Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "xml"));
    files.sort_unstable();
    Ok(files)
}

/// An import in progress.
struct Import {
    backend: Backend,
    /// Accounts that were sent and not answered yet, with their hosts.
    unanswered: Vec<(String, String)>,
    made: usize,
    /// How many accounts were at hosts that are not ours.
    elsewhere: BTreeMap<String, usize>,
    /// Elements that are no accounts, and how many there were of each.
    others: BTreeMap<String, usize>,
}

impl Import {
    fn document(
        &mut self,
        path: &Path,
        source: impl Read,
        host: Option<String>,
        depth: usize,
    ) -> Result<(), String> {
        let mut document = Document::new(source, host).map_err(|error| named(path, &error))?;
        while let Some(part) = document.next_part().map_err(|error| named(path, &error))? {
            match part {
                Part::User(user, host) => {
                    let name = user.attr("name").unwrap_or_default().to_owned();
                    self.backend.send_line(&format!("{host}\t{}", account_line(&user)))?;
                    self.unanswered.push((name, host));
                    if self.unanswered.len() == LINES_AHEAD {
                        self.read_answers()?;
                    }
                }
                Part::Include(href, host) if depth < INCLUDE_DEPTH => {
                    let path = path.with_file_name(href);
                    let source = File::open(&path).map_err(|error| named(&path, &error))?;
                    self.document(&path, source, host, depth + 1)?;
                }
                Part::Include(..) => return Err(named(path, &"files include each other too deeply")),
                Part::Other(name) => *self.others.entry(name).or_default() += 1,
            }
        }
        Ok(())
    }

    /// Reads the answers to all lines that were sent.
    fn read_answers(&mut self) -> Result<(), String> {
        for (name, host) in std::mem::take(&mut self.unanswered) {
            let answer = self.backend.read_line()?;
            match (answer.as_str(), answer.strip_prefix('-')) {
                ("+", _) => self.made += 1,
                ("~", _) => *self.elsewhere.entry(host).or_default() += 1,
                (_, Some(why)) => print_line(&format!("skipped {name}: {why}"))?,
                _ => return final_line(&answer),
            }
        }
        Ok(())
    }

    fn report(mut self) -> Result<(), String> {
        self.read_answers()?;
        self.backend.end_input()?;
        self.backend.read_answer(print_line)?;
        for (name, times) in &self.others {
            print_line(&format!("skipped <{name}>, {times} times"))?;
        }
        for (host, accounts) in &self.elsewhere {
            print_line(&format!("skipped {accounts} accounts at {host}; --as-domain {host} imports them"))?;
        }
        print_line(&format!("imported {} accounts", self.made))?;
        self.backend.close()
    }
}
