//! The floors of the house: a file imports only from its own floor or below.
//!
//! Read first: ARCHITECTURE.md. This reads `crate::` and `super::` paths as text, outside of comments and test modules,
//! which is exact enough for code that rustfmt has laid out. `lib.rs` is the directory: it names all floors, and what
//! it re-exports counts as the file that it comes from. Left out on purpose: paths that a macro puts together; the
//! house has none.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a panic is how a test fails

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The folders of `src/`, the lowest first. Those on one line do not know each other.
const FLOORS: &[&[&str]] = &[
    &["xml", "crypto"],
    &["xmpp", "wire"],
    &["tables"],
    &["outbox", "storage"],
    &["im"],
    &["features"],
    &["routing"],
    &["streams"],
    &["server"],
    &["net"],
    &["main", "program"],
];

/// The floor of the program, which is another crate: it sees the library from outside.
const PROGRAM: usize = FLOORS.len() - 1;

/// Words that stand for something which only some files may know: the word, those files, and why.
const WORDS: &[(&str, &[&str], &str)] = &[
    ("mio", &["net/"], "only src/net knows mio"),
    ("Instant", &["net/", "program/"], "the core has no clock"),
    ("SystemTime", &["net/", "program/"], "the core has no clock"),
    ("std::thread", &[], "there is one thread"),
    ("unsafe", &[], "there is no unsafe code of our own"),
];

/// A source file without what the compiler does not read in the end.
struct Source {
    /// Its path below `src/`.
    path: String,
    /// Its lines, each with its number; without comments and test modules.
    lines: Vec<(usize, String)>,
}

impl Source {
    fn read(path: &Path) -> Self {
        let below = path.strip_prefix(root().join("src")).unwrap();
        Self::of(&below.to_string_lossy().replace('\\', "/"), &fs::read_to_string(path).unwrap())
    }

    fn of(path: &str, text: &str) -> Self {
        let mut lines = Vec::new();
        let mut in_tests = false;
        for (index, line) in text.lines().enumerate() {
            in_tests |= line == "#[cfg(test)]";
            if !in_tests {
                lines.push((index + 1, without_comment(line).to_owned()));
            }
            // rustfmt keeps the first column for the ends of what began there.
            in_tests &= line != "}" && (line.starts_with(' ') || !line.ends_with(';'));
        }
        Self { path: path.into(), lines }
    }

    fn floor(&self) -> Option<usize> {
        floor_of(self.module())
    }

    /// The folder that this file stands in; its own name if it stands in none.
    fn module(&self) -> &str {
        self.path.split('/').next().map_or("", |first| first.trim_end_matches(".rs"))
    }

    /// Whether `super` is the crate's root here.
    fn is_below_root(&self) -> bool {
        !self.path.contains('/') || self.path.ends_with("/mod.rs")
    }

    /// What follows `prefix` wherever it stands in the code: the first names of those paths, and the line of each.
    fn paths(&self, prefix: &str) -> Vec<(usize, String)> {
        let text: String = self.lines.iter().map(|(_, line)| format!("{line}\n")).collect();
        let starts = text.match_indices(prefix).filter(|(at, _)| !text[..*at].ends_with(is_name_char));
        let found = starts.flat_map(|(at, _)| {
            let (line, _) = self.lines[text[..at].matches('\n').count()];
            first_names(&text[at + prefix.len()..]).into_iter().map(move |name| (line, name))
        });
        found.collect()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|folders| folders.contains(&module))
}

fn is_at(path: &str, place: &str) -> bool {
    path == place || (place.ends_with('/') && path.starts_with(place))
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(is_name_char) && !text[at + word.len()..].starts_with(is_name_char)
    })
}

/// The two slashes of an address follow a colon, those of a comment do not.
fn without_comment(line: &str) -> &str {
    let comment = line.match_indices("//").find(|(at, _)| !line[..*at].ends_with(':'));
    comment.map_or(line, |(at, _)| &line[..at])
}

/// `a` of `a::b`, and `a` and `c` of `{a::b, c::{d, e}}`.
fn first_names(path: &str) -> Vec<String> {
    let name = |text: &str| text.trim_start().chars().take_while(|c| is_name_char(*c)).collect::<String>();
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let mut names = vec![name(group)];
    let mut depth = 0;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(name(&group[at + 1..])),
            _ => (),
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        match path.is_dir() {
            true => files.extend(files_below(&path)),
            false if path.extension().is_some_and(|extension| extension == "rs") => files.push(path),
            false => (),
        }
    }
    files.sort();
    files
}

/// The directory: what `lib.rs` re-exports, and the module that it is from.
fn directory() -> HashMap<String, String> {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let mut names = HashMap::new();
    for line in lib.lines().filter_map(|line| line.strip_prefix("pub use ")) {
        let (module, rest) = line.split_once("::").unwrap();
        // A re-exported name is the last of its path: `a::b::C`, or `a::{B, C}`.
        for name in first_names(rest.rsplit("::").next().unwrap()) {
            names.insert(name, module.to_owned());
        }
    }
    names
}

/// What is wrong with a file, a sentence for each fault.
fn faults(source: &Source, directory: &HashMap<String, String>) -> Vec<String> {
    let Some(floor) = source.floor() else {
        return vec![format!("src/{} stands in no folder that has a floor", source.path)];
    };
    let mut faults = Vec::new();
    if floor != PROGRAM {
        let above = if source.is_below_root() { source.paths("super::") } else { Vec::new() };
        for (line, name) in source.paths("crate::").into_iter().chain(above) {
            let module = directory.get(&name).unwrap_or(&name);
            faults.extend(imports_upwards(source, floor, line, module));
        }
    }
    faults.extend(features_that_meet(source));
    for (line, name) in source.paths("super::").into_iter().filter(|(_, name)| name == "super") {
        faults.push(format!("src/{}:{line} says super::{name}; say crate::", source.path));
    }
    for (line, word, reason) in words_out_of_place(source) {
        faults.push(format!("src/{}:{line} names {word}, but {reason}", source.path));
    }
    faults
}

fn imports_upwards(source: &Source, floor: usize, line: usize, module: &str) -> Option<String> {
    let said = format!("src/{}:{line} imports crate::{module}", source.path);
    match floor_of(module) {
        None => Some(format!("{said}, which is on no floor")),
        Some(theirs) if theirs > floor => {
            Some(format!("{said} of floor {theirs}, but stands on floor {floor} itself"))
        }
        Some(theirs) if theirs == floor && module != source.module() => {
            Some(format!("{said}, but folders of one floor do not know each other"))
        }
        Some(_) => None,
    }
}

/// A feature may use what `features/mod.rs` says of all features, but none of the others.
fn features_that_meet(source: &Source) -> Vec<String> {
    if source.module() != "features" || source.path == "features/mod.rs" {
        return Vec::new();
    }
    let is_feature = |name: &str| {
        if name == "feature" {
            return false; // what all of them are made of
        }
        let at = root().join("src/features").join(name);
        at.with_extension("rs").exists() || at.is_dir()
    };
    let named = source.paths("super::").into_iter().chain(source.paths("crate::features::"));
    named
        .filter(|(_, name)| is_feature(name))
        .map(|(line, name)| {
            format!(
                "src/{}:{line} imports the feature {name}, but features do not know each other",
                source.path
            )
        })
        .collect()
}

fn words_out_of_place(source: &Source) -> Vec<(usize, &'static str, &'static str)> {
    let mut found = Vec::new();
    for (word, places, reason) in WORDS {
        if places.iter().any(|place| is_at(&source.path, place)) {
            continue;
        }
        for (line, text) in &source.lines {
            if has_word(text, word) {
                found.push((*line, *word, *reason));
            }
        }
    }
    found
}

#[test]
fn every_file_keeps_to_its_floor() {
    let directory = directory();
    let files = files_below(&root().join("src"));
    let sources = files.iter().map(|path| Source::read(path)).filter(|source| source.path != "lib.rs");
    let faults: Vec<String> = sources.flat_map(|source| faults(&source, &directory)).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_file_opens_with_what_it_does() {
    let folders = ["src", "tests", "examples", "benches", "fuzz/fuzz_targets"];
    let mut silent = folders.iter().flat_map(|folder| files_below(&root().join(folder)));
    let silent = silent.find(|path| !fs::read_to_string(path).unwrap().starts_with("//! "));
    assert_eq!(silent, None, "this file does not open with //!");
}

/// The test is only worth something if it would say so.
#[test]
fn what_breaks_a_rule_is_named() {
    let directory = directory();
    let check = |path: &str, text: &str| faults(&Source::of(path, text), &directory).join("\n");
    let bad = [
        ("new.rs", "", "src/new.rs stands in no folder that has a floor"),
        ("xmpp/jid.rs", "\nuse crate::server::Server;", "src/xmpp/jid.rs:2 imports crate::server of floor 8"),
        ("xml/name.rs", "use crate::{\n    xml,\n    xmpp::jid::Jid,\n};", "imports crate::xmpp of floor 1"),
        ("im/roster.rs", "fn f() { crate::features::specs(); }", "imports crate::features of floor 5"),
        ("server/mod.rs", "fn f(_: crate::Reactor) {}", "imports crate::net of floor 9"),
        ("xmpp/jid.rs", "use crate::nothing;", "which is on no floor"),
        ("xmpp/mod.rs", "use super::server;", "imports crate::server of floor 8"),
        ("outbox/mod.rs", "use crate::storage::Storage;", "folders of one floor do not know each other"),
        (
            "xml/mod.rs",
            "#[cfg(test)]\nuse crate::server;\nuse super::server;",
            "src/xml/mod.rs:3 imports crate::server",
        ),
        ("features/roster.rs", "use super::register::FEATURE;", "imports the feature register"),
        ("features/roster.rs", "use crate::features::{Answer, register};", "imports the feature register"),
        ("features/roster.rs", "use super::super::router;", "say crate::"),
        ("server/mod.rs", "use mio::Token;", "src/server/mod.rs:1 names mio"),
        ("outbox/mod.rs", "fn f() -> std::time::Instant {}", "the core has no clock"),
        ("net/system.rs", "use std::thread;", "there is one thread"),
        ("net/system.rs", "unsafe fn f() {}", "there is no unsafe code"),
        (
            "net/system.rs",
            "#[cfg(test)]\nmod tests {\n}\nunsafe fn f() {}",
            "src/net/system.rs:4 names unsafe",
        ),
    ];
    for (path, text, sentence) in bad {
        let said = check(path, text);
        assert!(said.contains(sentence), "{path}: {text}\nsaid {said:?}, not {sentence:?}");
    }
    let good = [
        ("xmpp/error.rs", "// use crate::server::Server;\nuse crate::xmpp::jid::Jid;"),
        ("xmpp/jid.rs", "#[cfg(test)]\nmod tests {\n    use crate::server::Server;\n}"),
        ("streams/mod.rs", "fn f(_: crate::Limits, _: Option<crate::Jid>) {}"),
        ("features/roster.rs", "use super::{Answer, Feature};\nuse crate::features::Login;"),
        ("outbox/mod.rs", "const NAME: &str = \"thread\"; // unsafe"),
        ("net/reactor.rs", "use mio::Token;\nuse super::system::Clock;"),
        ("program/mod.rs", "use crate::program::flags;"),
    ];
    for (path, text) in good {
        assert_eq!(check(path, text), "", "{path}: {text}");
    }
}
