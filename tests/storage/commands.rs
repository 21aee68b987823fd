//! Commands beside a running server, and on a folder that no server uses.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{chown, symlink, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;

use super::client::{fits, Client};
use super::process::{command, command_in_container, complaint, printed, Place, Server, PATIENCE};

#[test]
fn users_of_a_folder() {
    let place = Place::new();
    let data = place.data();
    assert!(complaint(&data, "", &["user", "list"]).contains("there is no such folder"));
    assert_eq!(printed(&data, "secret\n", &["user", "add", "用户1"]), "");
    assert_eq!(printed(&data, "secret", &["user", "add", "Juliet"]), "");
    assert_eq!(printed(&data, "", &["user", "list"]), "juliet\n用户1\n");
    assert!(complaint(&data, "x\n", &["user", "add", "juliet"]).contains("the name is taken"));
    assert!(complaint(&data, "\n", &["user", "add", "nurse"]).contains("no password"));
    assert!(complaint(&data, "x\n", &["user", "add", "a b"]).contains("not a user name"));
    printed(&data, " new one \n", &["user", "password", "juliet"]);
    printed(&data, "", &["user", "remove", "用户1"]);
    assert!(complaint(&data, "", &["user", "remove", "用户1"]).contains("no such account"));
    assert!(printed(&data, "", &["status"]).starts_with("server does not run\nversion "));
    let server = Server::start(&place, &[]);
    assert!(fits(server.address, "juliet", " new one "));
    assert!(!fits(server.address, "juliet", "secret") && !fits(server.address, "用户1", "secret"));
}

#[test]
fn users_of_a_running_server() {
    let place = Place::new();
    let data = place.data();
    let mut server = Server::start(&place, &[]);
    printed(&data, "secret\n", &["user", "add", "用户1"]);
    printed(&data, "secret\n", &["user", "add", "juliet"]);
    assert!(complaint(&data, "x\n", &["user", "add", "juliet"]).contains("the name is taken"));
    assert_eq!(printed(&data, "", &["user", "list"]), "juliet\n用户1\n");
    let mut client = Client::connect(server.address).unwrap();
    assert_eq!(client.log_in("juliet", "secret"), Some(true));
    let status = printed(&data, "", &["status"]);
    for line in ["server runs", "domain localhost", "accounts 2", "sessions 1", "changes recorded"] {
        assert!(status.lines().any(|is| is == line), "{line}: {status}");
    }
    printed(&data, "other\n", &["user", "password", "juliet"]);
    assert!(fits(server.address, "juliet", "other") && !fits(server.address, "juliet", "secret"));
    // The stream that was logged in ends with the account.
    let mut client = Client::connect(server.address).unwrap();
    assert_eq!(client.log_in("juliet", "other"), Some(true));
    printed(&data, "", &["user", "remove", "juliet"]);
    assert!(client.hear("</stream:stream>").unwrap().contains("<not-authorized"));
    assert!(complaint(&data, "", &["repair"]).contains("is in use by another loquat"));
    let mut client = Client::connect(server.address).unwrap();
    printed(&data, "", &["stop"]);
    assert!(client.hear("</stream:stream>").unwrap().contains("<system-shutdown"));
    assert!(server.wait().success());
    assert!(!place.file("data/control").exists());
    assert!(complaint(&data, "", &["stop"]).contains("no server uses this folder"));
    assert_eq!(printed(&data, "", &["user", "list"]), "用户1\n");
}

#[test]
fn export_and_import() {
    let place = Place::new();
    let (data, file) = (place.data(), place.file("export.xml"));
    let file = file.to_str().unwrap();
    let server = Server::start(&place, &[]);
    let mut client = Client::connect(server.address).unwrap();
    for n in 0..300 {
        assert_eq!(client.register(&n.to_string(), &format!("user{n}"), &format!("p&amp;{n}")), Some(true));
    }
    printed(&data, "", &["export", file]);
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(printed(&data, "", &["export", "-"]), fs::read_to_string(file).unwrap());
    server.kill();
    // The same from the folder, and what was exported into another folder, with a server and without.
    assert_eq!(printed(&data, "", &["export", "-"]), fs::read_to_string(file).unwrap());
    for with_server in [false, true] {
        let new = Place::new();
        let server = with_server.then(|| Server::start(&new, &[]));
        assert_eq!(printed(&new.data(), "", &["import", file]), "imported 300 accounts\n");
        let again = printed(&new.data(), "", &["import", file]);
        assert!(
            again.contains("skipped user7: the name is taken\n") && again.ends_with("imported 0 accounts\n")
        );
        assert_eq!(printed(&new.data(), "", &["export", "-"]), fs::read_to_string(file).unwrap());
        let server = server.unwrap_or_else(|| Server::start(&new, &[]));
        assert!(fits(server.address, "user299", "p&amp;299"));
    }
    // A file for each account.
    let (folder, new) = (place.file("folder"), Place::new());
    fs::create_dir(&folder).unwrap();
    printed(&data, "", &["export", folder.to_str().unwrap()]);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 300);
    assert!(folder.join("user7@localhost.xml").exists());
    assert_eq!(printed(&new.data(), "", &["import", folder.to_str().unwrap()]), "imported 300 accounts\n");
    assert_eq!(printed(&new.data(), "", &["export", "-"]), fs::read_to_string(file).unwrap());
}

/// The server runs as a user of its own, and root works on its folder.
#[test]
fn root_leaves_the_files_to_the_owner_of_the_folder() {
    let place = Place::new();
    let data = place.data();
    let error = command(&data, "secret\n", &["user", "add", "a"]).stderr;
    assert!(String::from_utf8_lossy(&error).contains("made the data folder /"));
    if chown(&data, Some(65_534), Some(65_534)).is_err() {
        return eprintln!(
            "root_leaves_the_files_to_the_owner_of_the_folder is left out: this user is not root"
        );
    }
    for args in [&["user", "add", "b"][..], &["user", "add", "b"], &["repair"]] {
        command(&data, "secret\n", args);
        for entry in fs::read_dir(&data).unwrap().map(Result::unwrap) {
            assert_eq!(entry.metadata().unwrap().uid(), 65_534, "{args:?}: {entry:?}");
        }
    }
    assert_eq!(printed(&data, "", &["user", "list"]), "a\nb\n");
}

/// A name may have 1,023 bytes, and a file's name 255.
#[test]
fn accounts_with_long_names_are_exported_with_the_others() {
    let (place, new) = (Place::new(), Place::new());
    let names = ["a".repeat(300), "b*c".to_owned(), "d".to_owned(), "长".repeat(100)];
    for name in &names {
        printed(&place.data(), "secret\n", &["user", "add", name]);
    }
    let folder = place.file("folder");
    fs::create_dir(&folder).unwrap();
    printed(&place.data(), "", &["export", folder.to_str().unwrap()]);
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<String> = files.collect();
    files.sort();
    assert_eq!(files, ["account-1.xml", "account-2.xml", "account-3.xml", "d@localhost.xml"]);
    printed(&new.data(), "", &["import", folder.to_str().unwrap()]);
    assert_eq!(printed(&new.data(), "", &["user", "list"]), printed(&place.data(), "", &["user", "list"]));
}

/// In a folder that others may write to, an export goes into a file of its own.
#[test]
fn an_export_follows_nothing_that_is_there() {
    let place = Place::new();
    let data = place.data();
    printed(&data, "secret\n", &["user", "add", "a"]);
    let (file, link, victim) = (place.file("file"), place.file("link"), place.file("victim"));
    for path in [&file, &victim] {
        fs::write(path, "precious").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    }
    symlink(&victim, &link).unwrap();
    symlink(&victim, place.file("loquat-export.0.unfinished")).unwrap();
    symlink(&victim, place.file("file.unfinished")).unwrap();
    assert!(complaint(&data, "", &["export", link.to_str().unwrap()]).contains("is no regular file"));
    assert!(complaint(&data, "", &["export", "/dev/null"]).contains("is no regular file"));
    printed(&data, "", &["export", file.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(fs::read_to_string(&file).unwrap().contains("<user name='a'"));
    // An account's file in a folder replaces a link, too.
    let folder = place.file("folder");
    fs::create_dir(&folder).unwrap();
    symlink(&victim, folder.join("a@localhost.xml")).unwrap();
    printed(&data, "", &["export", folder.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert!(fs::read_to_string(folder.join("a@localhost.xml")).unwrap().contains("<user name='a'"));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
}

/// Where passwords are not kept, keys go along instead: others refuse what has both.
#[test]
fn an_account_is_exported_with_its_password_or_with_keys() {
    let place = Place::new();
    let data = place.data();
    printed(&data, "secret\n", &["user", "add", "a"]);
    printed(&data, "secret\n", &["user", "add", "b", "--legacy-auth", "off"]);
    let export = printed(&data, "", &["export", "-"]);
    let line = |start| export.lines().find(|line| line.starts_with(start)).unwrap();
    assert!(
        !line("<user name='a'").contains("scram") && line("<user name='a'").contains("password='secret'")
    );
    assert!(line("<user name='b'").contains("SCRAM-SHA-1") && !line("<user name='b'").contains("password"));
    let file = place.file("export.xml");
    fs::write(&file, &export).unwrap();
    let new = Place::new();
    printed(&new.data(), "", &["import", file.to_str().unwrap()]);
    let server = Server::start(&new, &[]);
    assert_eq!(printed(&new.data(), "", &["export", "-"]), export);
    assert!(fits(server.address, "a", "secret") && fits(server.address, "b", "secret"));
}

#[test]
fn imports_from_elsewhere() {
    let place = Place::new();
    let (data, file) = (place.data(), place.file("dump.xml"));
    let included = place.file("host.xml");
    let xml = "<?xml version='1.0' encoding='utf-8'?>\n<server-data xmlns='urn:xmpp:pie:0' \
        xmlns:xi='http://www.w3.org/2001/XInclude'>\n<host jid='localhost'><user name='a' password='p'/>\
        <user name='b'/></host>\n<xi:include href='host.xml'/>\n<host jid='other.example'>\
        <user name='c' password='p'/><user name='d' password='p'/><pubsub/></host></server-data>";
    let host = "<host xmlns='urn:xmpp:pie:0' jid='localhost'><user name='e' password='p'/></host>";
    fs::write(&file, xml).unwrap();
    fs::write(included, host).unwrap();
    let file = file.to_str().unwrap();
    let said = printed(&data, "", &["import", file]);
    assert_eq!(
        said,
        "skipped b: neither a password nor keys of SCRAM-SHA-1\nskipped <pubsub>, 1 times\n\
         skipped 2 accounts at other.example; --as-domain other.example imports them\nimported 2 accounts\n"
    );
    let said = printed(&data, "", &["import", "--as-domain", "other.example", file]);
    assert!(
        said.contains("skipped a: the name is taken") && said.ends_with("imported 2 accounts\n"),
        "{said}"
    );
    assert_eq!(printed(&data, "", &["user", "list"]), "a\nc\nd\ne\n");
    let xml = xml.replace("</server-data>", "");
    fs::write(file, xml).unwrap();
    assert!(complaint(&data, "", &["import", file]).contains("it ends too early"));
    fs::write(file, "<html/>").unwrap();
    assert!(complaint(&data, "", &["import", file]).contains("is not the format of XEP-0227"));
}

#[test]
fn a_damaged_folder_is_repaired() {
    let place = Place::new();
    let data = place.data();
    for name in ["a", "b", "c"] {
        printed(&data, "secret\n", &["user", "add", name]);
    }
    let journal = place.file("data/journal.0.xml");
    let mut bytes = fs::read(&journal).unwrap();
    let at = String::from_utf8_lossy(&bytes).find("name='b'").unwrap();
    bytes[at + 6] = b'x';
    fs::write(&journal, bytes).unwrap();
    assert!(complaint(&data, "", &["user", "list"]).contains("journal.0.xml is damaged at byte"));
    let said = printed(&data, "", &["repair"]);
    assert!(said.contains("1 of 10 lines are damaged") && said.ends_with("2 accounts were kept\n"), "{said}");
    assert!(place.file("data/journal.0.xml.damaged").exists());
    assert_eq!(printed(&data, "", &["user", "list"]), "a\nc\n");
    assert_eq!(printed(&data, "", &["repair"]), "all is whole: 2 accounts\n");
}

/// A client of the control socket that is silent or sends nonsense does not delay the others.
#[test]
fn clients_of_the_control_socket_do_not_delay_each_other() {
    let place = Place::new();
    let data = place.data();
    let server = Server::start(&place, &[]);
    let socket = place.file("data/control");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    let silent: Vec<UnixStream> = (0..3).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    printed(&data, "secret\n", &["user", "add", "a"]);
    for nonsense in ["\n", "x\n", "add\ta\n", "list", ""] {
        let mut client = UnixStream::connect(&socket).unwrap();
        client.write_all(nonsense.as_bytes()).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.is_empty() || answer.starts_with("no "), "{answer}");
    }
    assert!(fits(server.address, "a", "secret"));
    drop(silent);
    assert_eq!(printed(&data, "", &["user", "list"]), "a\n");
}

/// Whoever opens connections until there are no descriptors leaves enough for commands and for what they write.
#[cfg(target_os = "linux")]
#[test]
fn commands_have_descriptors_of_their_own() {
    let place = Place::new();
    let data = place.data();
    let mut server = Server::start_with_descriptors(&place, 60);
    server.wait_for_log("`ulimit -n` allows no more");
    let clients: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    // Those that are refused have been told so.
    let mut last = clients.last().unwrap();
    last.set_read_timeout(Some(PATIENCE)).unwrap();
    last.read_to_string(&mut String::new()).unwrap();
    assert!(printed(&data, "", &["status"]).starts_with("server runs\n"));
    printed(&data, "secret\n", &["user", "add", "a"]);
    assert!(printed(&data, "", &["export", "-"]).contains("<user name='a'"));
    printed(&data, "", &["stop"]);
    assert!(server.wait().success());
}

/// A process that has been stopped takes connections and answers nothing.
#[test]
fn commands_do_not_wait_for_ever() {
    let place = Place::new();
    let server = Server::start(&place, &[]);
    server.signal("STOP");
    let error = complaint(&place.data(), "", &["status"]);
    assert!(error.contains("the server has not answered in time"), "{error}");
}

/// The lock is in the folder, which is its owner's; a name in a namespace that all users share would keep the server
/// out.
#[cfg(target_os = "linux")]
#[test]
fn a_stranger_cannot_hold_the_lock() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener};
    let place = Place::new();
    fs::create_dir(place.data()).unwrap();
    let folder = fs::metadata(place.data()).unwrap();
    let name = format!("loquat data folder {}:{}", folder.dev(), folder.ino());
    let _held = UnixListener::bind_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap();
    let _server = Server::start(&place, &[]);
    let second = command(&place.data(), "", &["--listen", "127.0.0.1:0"]);
    assert!(String::from_utf8_lossy(&second.stderr).contains("is in use by another loquat"));
}

/// A path that is too long for a socket's address.
#[test]
fn a_folder_deep_down() {
    let place = Place::new();
    let data = format!("{}/{}/data", place.path().display(), "deep/".repeat(25));
    let server = Server::start_in(&place, &data, &[]);
    printed(&data, "secret\n", &["user", "add", "a"]);
    assert!(fits(server.address, "a", "secret"));
    let second = command(&data, "", &["--listen", "127.0.0.1:0"]);
    assert!(String::from_utf8_lossy(&second.stderr).contains("is in use by another loquat"));
}

/// Containers that share a folder: commands reach the server, and nobody else gets the folder.
#[test]
fn a_folder_that_containers_share() {
    let place = Place::new();
    let data = place.data();
    let mut server = Server::start(&place, &[]);
    let Some(output) = command_in_container(&data, "secret\n", &["user", "add", "a"]) else {
        return eprintln!(
            "a_folder_that_containers_share is left out: this user may not have a network of its own"
        );
    };
    assert!(output.status.success(), "{output:?}");
    assert!(fits(server.address, "a", "secret"));
    for _ in 0..2 {
        let output = command_in_container(&data, "", &["repair"]).unwrap();
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("is in use by another loquat"),
            "{output:?}"
        );
    }
    server.signal("KILL");
    server.wait();
    let output = command_in_container(&data, "", &["repair"]).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "all is whole: 1 accounts\n", "{output:?}");
    let names = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(!names.into_iter().any(|name| name.starts_with("lock.")));
}
