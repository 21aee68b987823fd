//! All that the library shows: `tests/public-api.txt` lists it, so that a change of it is seen in review.
//!
//! ```text
//! LOQUAT_WRITE_PUBLIC_API=1 cargo test --test public_api     writes the list anew
//! ```
//!
//! Whatever says `pub` and no more is public, for the lint `unreachable_pub` lets nothing else say so. Read as text,
//! which is exact enough for code that rustfmt has laid out. Left out on purpose: the bodies of macros; none makes an
//! item.

#![allow(clippy::unwrap_used, clippy::panic)] // it is how a test fails

use std::fs;
use std::path::{Path, PathBuf};

const LIST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/public-api.txt");

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_str().unwrap();
        match path.is_dir() {
            true if name != "program" => found.extend(sources(&path)),
            false if name.ends_with(".rs") && name != "main.rs" && name != "tests.rs" => found.push(path),
            _ => (),
        }
    }
    found.sort();
    found
}

/// The lines of a file that count, without comments and modules of tests.
fn code(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut in_tests = false;
    for line in text.lines() {
        in_tests |= line == "#[cfg(test)]";
        if !in_tests && !line.trim_start().starts_with("//") {
            lines.push(line);
        }
        in_tests &= line != "}" && (line.starts_with(' ') || !line.ends_with(';'));
    }
    lines
}

/// The items of a file that others see, one a line; what an item is part of stands before it.
fn items(text: &str) -> Vec<String> {
    let (mut items, mut attributes) = (Vec::new(), String::new());
    let (mut part_of, mut variant) = (String::new(), None);
    let mut lines = code(text).into_iter();
    while let Some(line) = lines.next() {
        let (depth, line) = (line.len() - line.trim_start().len(), line.trim());
        if line.starts_with("#[") {
            let counts = depth == 0 && (line.starts_with("#[derive") || line == "#[non_exhaustive]");
            attributes.extend(counts.then(|| format!("{line} ")));
            continue;
        }
        if depth == 0 && !line.is_empty() {
            (part_of, variant) = (part_of_next(line), line.starts_with("pub enum").then(String::new));
        }
        match &mut variant {
            Some(variant) if depth == 4 && line.starts_with(char::is_uppercase) => {
                *variant = line.trim_end_matches(['{', ',', ' ']).to_owned();
                items.push(format!("{part_of}: {variant}"));
            }
            Some(variant) if depth == 8 => {
                items.push(format!("{part_of}: {variant}: {}", line.trim_end_matches(',')));
            }
            _ if line.starts_with("pub ") && depth == 0 => {
                let item = whole(line, &mut lines);
                let name = type_of(&item).map(|name| format!("{name}: ")).unwrap_or_default();
                items.push(format!("{name}{attributes}{item}"));
            }
            _ if line.starts_with("pub ") && depth == 4 => {
                items.push(format!("{part_of}: {}", whole(line, &mut lines)));
            }
            _ => (),
        }
        if depth == 0 {
            attributes.clear();
        }
    }
    items
}

/// The type that the lines that follow are part of.
fn part_of_next(line: &str) -> String {
    let head = line.trim_end_matches(" {");
    match head.strip_prefix("impl") {
        Some(head) => name_at(head.rsplit("> ").next().unwrap().trim()),
        None => head.split(['<', '(', ';']).next().unwrap_or_default().rsplit(' ').next().unwrap().to_owned(),
    }
}

/// An item with what follows of it, up to its body or its end.
fn whole<'t>(line: &str, lines: &mut impl Iterator<Item = &'t str>) -> String {
    let mut item = line.to_owned();
    let is_use = item.starts_with("pub use");
    while if is_use { !item.ends_with(';') } else { !item.ends_with(['{', ';', ',', '}']) || is_cut(&item) } {
        let next = lines.next().unwrap().trim();
        let space = if item.ends_with(['(', '{']) || next.starts_with([')', '}']) { "" } else { " " };
        item = format!(
            "{}{space}{next}",
            if next.starts_with([')', '}']) { item.trim_end_matches(',') } else { &item }
        );
    }
    item.trim_end_matches(['{', ',', ';', ' ']).replace("(mut ", "(").replace(", mut ", ", ")
}

/// Whether the arguments of a function go on in the next line.
fn is_cut(item: &str) -> bool {
    item.matches('(').count() > item.matches(')').count()
}

/// `impl Trait for Type`, where the type is one that others see and the trait is not ours.
fn impls(text: &str, types: &[String], traits: &[String]) -> Vec<String> {
    let is_shown = |line: &&str| {
        let Some((of_trait, of)) = line.split_once(" for ") else { return false };
        let is_ours = traits.iter().any(|ours| of_trait.ends_with(&format!(" {ours}")));
        line.starts_with("impl") && types.contains(&name_at(of)) && !is_ours
    };
    let lines = code(text).into_iter().filter(is_shown);
    lines
        .map(|line| {
            let (_, of) = line.split_once(" for ").unwrap();
            format!("{}: {}", name_at(of), line.trim_end_matches([' ', '{', '}']))
        })
        .collect()
}

fn name_at(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric()).collect()
}

/// The whole list, in which no file has a name: what only moves from one to another changes nothing.
fn list(root: &Path) -> String {
    let files: Vec<(PathBuf, String)> =
        sources(root).into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect();
    let is_directory = |path: &Path| path.ends_with("lib.rs") || path.ends_with("xml/mod.rs");
    let mut all = Vec::new();
    for (path, text) in &files {
        all.extend(items(text).into_iter().filter(|item| is_directory(path) || !item.contains("pub use")));
    }
    let types: Vec<String> = all.iter().filter_map(|item| type_of(item)).collect();
    let traits = files.iter().flat_map(|(_, text)| text.lines().filter_map(|line| line.split_once("trait ")));
    let traits: Vec<String> = traits.map(|(_, rest)| name_at(rest)).filter(|name| !name.is_empty()).collect();
    all.extend(files.iter().flat_map(|(_, text)| impls(text, &types, &traits)));
    all.sort();
    all.join("\n") + "\n"
}

/// The type that an item is.
fn type_of(item: &str) -> Option<String> {
    let (_, rest) = item.split_once("pub struct ").or_else(|| item.split_once("pub enum "))?;
    Some(name_at(rest))
}

#[test]
fn what_others_see_is_listed() {
    let list = list(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    if std::env::var_os("LOQUAT_WRITE_PUBLIC_API").is_some() {
        return fs::write(LIST, list).unwrap();
    }
    let listed = fs::read_to_string(LIST).unwrap();
    let missing = |from: &str, of: &str| -> Vec<String> {
        from.lines().filter(|line| !of.lines().any(|l| l == *line)).map(String::from).collect()
    };
    let (new, gone) = (missing(&list, &listed), missing(&listed, &list));
    assert!(
        list == listed,
        "the public API has changed (see the head of this test)\nnew: {new:#?}\ngone: {gone:#?}"
    );
}

#[test]
fn items_are_found() {
    let text = "#[derive(Debug)]\n#[non_exhaustive]\npub enum E {\n    /// It.\n    A(u8),\n    B {\n        x: u8,\n    },\n}\n\
                pub(crate) struct P;\npub struct S<'a> {\n    pub a: &'a [u8],\n    b: u8,\n}\n\
                impl S<'_> {\n    pub fn f(\n        &self,\n        b: u8,\n    ) -> u8 {\n        pub_ish();\n    }\n}\n";
    let found = [
        "E: #[derive(Debug)] #[non_exhaustive] pub enum E",
        "E: A(u8)",
        "E: B",
        "E: B: x: u8",
        "S: pub struct S<'a>",
        "S: pub a: &'a [u8]",
        "S: pub fn f(&self, b: u8) -> u8",
    ];
    assert_eq!(items(text), found);
}
