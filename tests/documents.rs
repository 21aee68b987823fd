//! What the documents say of the program is so: they name what it implements, its flags, its limits.

use std::path::Path;

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| format!("{}: {error}", path.display()))
}

#[test]
fn the_readme_names_all_that_is_implemented() {
    let readme = read("README.md");
    for spec in loquat::specs() {
        assert!(readme.contains(spec), "README.md does not name {spec}");
    }
}

#[test]
fn the_readme_gives_the_limits_as_they_are() {
    let (readme, limits) = (read("README.md"), loquat::Limits::default());
    let figures = [
        limits.connections,
        limits.stanza_bytes,
        limits.stanza_bytes_before_login,
        limits.elements,
        limits.depth,
        limits.attributes,
        limits.attribute_bytes,
        limits.namespaces,
        limits.namespace_name_bytes,
        limits.namespace_bytes,
        limits.outbox_bytes,
        limits.unacknowledged_bytes,
        limits.presence_bytes,
        limits.roster_items,
        limits.roster_groups,
        limits.roster_name_bytes,
        limits.subscription_requests,
        limits.subscription_request_bytes,
        limits.blocklist_items,
        limits.directed_presences,
        limits.resources,
        limits.detached_resources,
        limits.offline_messages,
        limits.offline_bytes,
        limits.vcard_bytes,
        limits.private_elements,
        limits.private_bytes,
        limits.status_bytes,
        limits.commands,
    ];
    for figure in figures {
        let digits = figure.to_string();
        let groups: Vec<&str> =
            digits.as_bytes().rchunks(3).rev().filter_map(|g| std::str::from_utf8(g).ok()).collect();
        assert!(readme.contains(&groups.join(",")), "README.md does not name the limit {figure}");
    }
}

#[test]
fn the_readme_names_every_setting() {
    let (readme, table) = (read("README.md"), read("src/program/table.rs"));
    let names = table.split("name: \"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0));
    assert!(names.clone().count() > 10);
    for name in names {
        let row = readme.lines().find(|line| line.starts_with(&format!("| `{name}")));
        assert!(row.is_some(), "README.md has no row for the setting {name}");
    }
}

#[test]
fn the_architecture_names_every_file_of_the_house() {
    let architecture = read("ARCHITECTURE.md");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in source.read_dir().into_iter().flatten().flatten() {
        let path = entry.path();
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        assert!(
            name == "lib" || architecture.contains(&format!("`{name}")),
            "ARCHITECTURE.md does not name {name}"
        );
    }
}
