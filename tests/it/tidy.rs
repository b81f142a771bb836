//! The tree is as the documents say. What a compiler or a lint cannot see is read from the files here.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Longest production file, in lines that are not blank, tests not counted.
const LONGEST_FILE: usize = 400;

/// Files of the pure folders `src/radius` and `src/ldap` that may touch sockets, clock or runtime. Every other
/// file there, also a new one, is pure: bytes, `now` and randomness come in as arguments.
const IMPURE: [&str; 7] = [
    "src/radius/listener",
    "src/radius/client",
    "src/radius/pool",
    "src/radius/spool",
    "src/ldap/pool",
    "src/ldap/listener",
    "src/ldap/relay",
];

/// Pure files outside those two folders.
const PURE: [&str; 13] = [
    "src/signin/attempt",
    "src/signin/carried",
    "src/signin/challenge",
    "src/signin/outcome",
    "src/signin/policy",
    "src/signin/proof",
    "src/signin/rules",
    "src/config/rule",
    "src/signin/throttle",
    "src/primary/names",
    "src/users/model",
    "src/config/mod",
    "src/texts",
];

/// What a pure file may not mention outside its tests.
const FORBIDDEN_WHEN_PURE: [&str; 14] = [
    "tokio",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "UnixStream",
    "socket2",
    "Instant::now",
    "SystemTime::now",
    ".elapsed()",
    "getrandom",
    "rand::",
    "std::env",
    "std::fs",
    "std::thread",
];

/// The README's commands, each with the test or the stage that runs it.
const README_COMMANDS: [(&str, &str); 9] = [
    ("cargo run --release -- demo --check", "demo_check_runs_every_outcome"),
    ("cargo run --release -- demo", "demo_check_runs_every_outcome"),
    ("./test", ".ci/run"),
    ("anteroom check --config", "check_reports_every_mistake_at_once"),
    ("anteroom serve --config", "right_password_and_approval_let_a_person_in"),
    ("anteroom user add", "right_password_and_approval_let_a_person_in"),
    ("test radius", "built_in_client_is_answered"),
    ("radclient", "radclient_is_let_in_after_approval"),
    ("cargo build --release", "benches/run"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file below `folder`, relative to the root, build products and git's own files left out.
fn files_below(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy();
            if path.is_symlink() || matches!(&*name, "target" | ".git" | "corpus" | "artifacts") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(root()).unwrap().to_path_buf());
            }
        }
    }
    found.sort();
    found
}

fn slashed(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

/// The Rust files of the program, files that hold only tests left out.
fn production_files() -> Vec<PathBuf> {
    let is_test = |path: &Path| {
        let path = slashed(path);
        // `testing.rs` holds what the tests of a folder share, and is built for them only
        path.ends_with("/tests.rs") || path.ends_with("/testing.rs") || path.contains("/tests/")
    };
    files_below("src").into_iter().filter(|path| slashed(path).ends_with(".rs") && !is_test(path)).collect()
}

/// A file's lines down to its tests, which stand at the end.
fn production_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(n, line)| (n + 1, line)).take_while(|(_, line)| line.trim() != "#[cfg(test)]")
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

fn is_pure(path: &Path) -> bool {
    let path = slashed(path);
    let within = |stem: &&str| path == format!("{stem}.rs") || path.starts_with(&format!("{stem}/"));
    let pure_folder = path.starts_with("src/radius/") || path.starts_with("src/ldap/");
    (pure_folder && !IMPURE.iter().any(&within)) || PURE.iter().any(within)
}

fn impurities(text: &str) -> Vec<String> {
    production_lines(text)
        .filter(|(_, line)| !is_comment(line))
        .flat_map(|(n, line)| {
            let hits = FORBIDDEN_WHEN_PURE.iter().filter(move |word| line.contains(**word));
            hits.map(move |word| format!("line {n} mentions {word}"))
        })
        .collect()
}

#[test]
fn pure_files_know_no_socket_clock_randomness_or_environment() {
    let pure: Vec<_> = production_files().into_iter().filter(|path| is_pure(path)).collect();
    for stem in PURE {
        assert!(pure.iter().any(|path| slashed(path).starts_with(stem)), "{stem}.rs is listed as pure and is gone");
    }
    assert!(pure.len() > PURE.len(), "the pure folders are empty");
    let bad: Vec<_> = pure
        .iter()
        .flat_map(|path| {
            impurities(&read(&root().join(path))).into_iter().map(move |bad| format!("{}: {bad}", path.display()))
        })
        .collect();
    assert!(bad.is_empty(), "pure files take bytes, now and randomness as arguments:\n{}", bad.join("\n"));
}

#[test]
fn an_impure_line_is_noticed() {
    assert_eq!(impurities("fn a() {\n    let now = Instant::now();\n}"), ["line 2 mentions Instant::now"]);
    assert!(impurities("// Instant::now is the caller's\n#[cfg(test)]\nuse tokio::x;").is_empty());
}

#[test]
fn no_production_file_is_longer_than_its_bound() {
    let long: Vec<_> = production_files()
        .into_iter()
        .map(|path| {
            let text = read(&root().join(&path));
            (production_lines(&text).filter(|(_, line)| !line.trim().is_empty()).count(), path)
        })
        .filter(|(lines, _)| *lines > LONGEST_FILE)
        .map(|(lines, path)| format!("{} has {lines}", path.display()))
        .collect();
    assert!(long.is_empty(), "over {LONGEST_FILE} lines, look for a better cut: {}", long.join(", "));
}

#[test]
fn no_production_file_is_an_unwritten_one() {
    let marks =
        [concat!("Not written", " yet"), concat!("TO", "DO"), concat!("FIX", "ME"), concat!("unimplemented", "!(")];
    for path in production_files() {
        let text = read(&root().join(&path));
        for mark in marks {
            assert!(!text.contains(mark), "{} still says {mark:?}", path.display());
        }
    }
}

/// Modules that `lib.rs` declares.
fn modules() -> BTreeSet<String> {
    let text = read(&root().join("src/lib.rs"));
    let named = text.lines().filter_map(|line| line.strip_prefix("pub mod ").or_else(|| line.strip_prefix("mod ")));
    named.map(|rest| rest.trim_end_matches([';', ' ', '{']).to_owned()).collect()
}

#[test]
fn every_module_is_on_the_map() {
    let (tour, map) = (read(&root().join("src/lib.rs")), read(&root().join("ARCHITECTURE.md")));
    assert!(map.lines().count() <= 150, "ARCHITECTURE.md is over 150 lines");
    assert!(modules().len() > 5, "lib.rs declares too little to be read right");
    for module in modules() {
        assert!(tour.contains(&format!("[`{module}`]")), "the tour in lib.rs does not name {module}");
        let (file, folder) = (format!("`src/{module}.rs`"), format!("`src/{module}/`"));
        assert!(map.contains(&file) || map.contains(&folder), "ARCHITECTURE.md names neither {file} nor {folder}");
    }
    let quotes = quoted(&map);
    let named: BTreeSet<&str> = quotes.iter().flat_map(|quote| quote.split(['/', '.'])).collect();
    for path in production_files() {
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let folder = path.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
        let name = if stem == "mod" { folder } else { stem };
        assert!(named.contains(&*name), "ARCHITECTURE.md does not name {}", path.display());
    }
}

/// What stands between backquotes in a document, code blocks left out.
fn quoted(text: &str) -> Vec<String> {
    let mut inside = false;
    let prose: Vec<&str> = text
        .lines()
        .filter(|line| {
            let fence = line.trim_start().starts_with("```");
            inside ^= fence;
            !inside && !fence
        })
        .collect();
    prose.join("\n").split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

const DOCUMENTS: [&str; 5] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"];

#[test]
fn documents_name_only_files_that_exist() {
    let folders = ["src/", "tests/", "conf/", "docs/", "fuzz/", "benches/", ".ci/"];
    for document in DOCUMENTS {
        let text = read(&root().join(document));
        let paths = quoted(&text).into_iter().filter(|quote| {
            folders.iter().any(|folder| quote.starts_with(folder)) && !quote.contains([' ', '*', '{', '<'])
        });
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).map(str::to_owned);
        for path in paths.chain(links.filter(|link| !link.contains("://") && !link.starts_with('#'))) {
            let file = path.split('#').next().unwrap_or_default();
            assert!(root().join(file).exists(), "{document} names {path}, which does not exist");
        }
    }
}

#[test]
fn the_audit_page_explains_every_reason_and_every_field() {
    use anteroom::signin::outcome::Reason;
    let page = read(&root().join("docs/audit.md"));
    let (fields, reasons) = page.split_once("## Reasons").unwrap();
    let rows: Vec<&str> = reasons.lines().filter(|line| line.starts_with("| `")).collect();
    let expected: Vec<_> =
        Reason::ALL.iter().map(|reason| format!("| `{}` | {} |", reason.code(), reason.advice())).collect();
    assert_eq!(rows, expected, "docs/audit.md, and what src/signin/outcome.rs says");
    // the rows of the page are those of the module's own documentation
    let source = read(&root().join("src/audit/line.rs"));
    let names = |text: &str, start: &str| -> Vec<String> {
        let rows = text.lines().filter_map(|line| line.strip_prefix(start));
        rows.map(|row| row.split(" | ").next().unwrap().to_owned()).collect()
    };
    let listed = names(fields, "| `");
    assert!(listed.len() > 15, "the tables of fields are gone");
    assert_eq!(listed, names(&source, "//! | `"));
}

/// Names of all functions of the program and its tests, and of all scenario files.
fn test_names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in files_below("src").into_iter().chain(files_below("tests")) {
        let text = slashed(&path);
        if text.ends_with(".rs") {
            let source = read(&root().join(&path));
            let functions = source.split("fn ").skip(1).filter_map(|rest| rest.split(['(', '<']).next());
            names.extend(functions.map(str::to_owned));
        } else if text.starts_with("tests/scenarios/") {
            names.insert(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    names
}

#[test]
fn security_page_names_only_tests_that_exist() {
    let names = test_names();
    let text = read(&root().join("SECURITY.md"));
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ") && line.contains('`')).collect();
    assert!(rows.len() >= 8, "the table of attacks is gone");
    for row in rows {
        let tests = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap();
        let tests = quoted(tests);
        assert!(!tests.is_empty(), "no test is named for: {row}");
        for test in tests {
            let name = test.rsplit("::").next().unwrap();
            assert!(names.contains(name), "SECURITY.md names the test {test}, which does not exist");
        }
    }
}

#[test]
fn every_command_of_the_readme_is_run_by_a_test() {
    let (names, text) = (test_names(), read(&root().join("README.md")));
    let blocks = text.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    let commands: Vec<&str> =
        blocks.flat_map(str::lines).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert!(commands.len() >= 3, "the README shows no commands");
    for command in commands {
        // a pipe's last part is the command that matters
        let last = command.rsplit(" | ").next().unwrap_or(command);
        let known = README_COMMANDS.iter().find(|(start, _)| last.trim_start_matches("sudo ").contains(start));
        let (_, test) = known.unwrap_or_else(|| panic!("no test is named for the README's command: {command}"));
        assert!(names.contains(*test) || root().join(test).exists(), "{command}: its test {test} does not exist");
    }
}

#[test]
fn no_file_names_the_workplace_or_a_registry_host() {
    let forbidden = [
        concat!("/wo", "rk/").to_owned(),
        ["index", "crates", "io"].join("."),
        ["static", "crates", "io"].join("."),
        ["pypi", "org"].join("."),
        ["registry", "npmjs", "org"].join("."),
        ["proxy", "golang", "org"].join("."),
    ];
    for path in files_below("").into_iter().filter(|path| slashed(path) != "Cargo.lock") {
        // files that are not text have nothing to name
        let Ok(text) = fs::read_to_string(root().join(&path)) else { continue };
        for word in &forbidden {
            assert!(!text.contains(word), "{} names {word}", path.display());
        }
    }
}
