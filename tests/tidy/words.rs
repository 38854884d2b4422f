//! The rules of words: what may be called, what things may be named, and what no file may mention.

use super::scan::{File, Findings, Kind, tree, words};

const PANICS: [&str; 4] = ["panic", "todo", "unimplemented", "dbg"];
/// A shorter reason why something cannot fail is none.
const REASON_CHARACTERS_MIN: usize = 12;

const PRINTS: [&str; 4] = ["println", "eprintln", "print", "eprint"];
const PRINTERS: [&str; 2] = ["cli", "app"];

/// Names that fit everything: no module, no function, and never what a type's name ends with.
const EMPTY_NAMES: [&str; 12] = [
    "util", "utils", "helper", "helpers", "manager", "managers", "common", "misc", "data", "info", "process", "handle",
];
/// Verbs that fit everything: no function starts with them.
const EMPTY_VERBS: [&str; 2] = ["process", "handle"];
/// Names that lie once their age is over. A type may say `New`: a `NewEvent` is not remembered yet.
const AGES: [&str; 4] = ["new_", "old_", "v2_", "temp_"];

/// Where a test may wait for real time, and why.
const WAITS: [(&str, &str); 1] =
    [("tests/it/support/", "asks a real process again until it answers, or kills it unforeseen; within a bound")];

/// Marks of unfinished work, and the kinds of files that are searched for them. From here on words
/// are spelled in halves, so that no rule finds itself.
const MARKS: [&str; 4] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];
const CODE: [&str; 13] = ["rs", "sql", "toml", "sh", "py", "js", "mjs", "ts", "go", "php", "html", "css", "yml"];

/// Folders that only one machine has.
const MACHINE_FOLDERS: [&str; 4] =
    [concat!("/wo", "rk/"), concat!("/fa", "rm/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
/// Hosts that a mirror may stand for.
const REGISTRIES: [&str; 4] = [
    concat!("registry.", "npmjs.org"),
    concat!("pypi", ".org"),
    concat!("files.", "pythonhosted.org"),
    concat!("static.", "crates.io"),
];

#[test]
fn nothing_panics_in_a_server() {
    let mut findings = Findings::default();
    for (file, source) in tree::shipped() {
        for at in source.shipped_places() {
            let is_macro = source.reads(at + 1, &["!"]) && PANICS.contains(&source.code(at));
            if is_macro || source.reads(at, &[".", "unwrap", "("]) {
                findings.add(file, source.line(at), "a server does not panic: return an error");
            }
            let is_expect = source.reads(at, &[".", "expect", "("]);
            let reason = source.text(at + 3).map(|reason| reason.chars().count());
            if is_expect && reason.is_some_and(|length| length < REASON_CHARACTERS_MIN) {
                findings.add(file, source.line(at), "say why this cannot fail, or return an error");
            }
        }
    }
    findings.are_none();
}

#[test]
fn only_commands_print() {
    let mut findings = Findings::default();
    for (file, source) in tree::shipped().filter(|(file, _)| !file.is_in_any(&PRINTERS)) {
        let prints = |at: &usize| PRINTS.contains(&source.code(*at)) && source.code(at + 1) == "!";
        for at in source.shipped_places().filter(prints) {
            findings.add(file, source.line(at), "only cli and app print: trace it, or return it");
        }
    }
    findings.are_none();
}

#[test]
fn lints_are_expected_with_a_reason() {
    let mut findings = Findings::default();
    for (file, source) in tree::rust("") {
        for attribute in source.attributes() {
            let has = |words: &[&str]| attribute.clone().any(|at| source.reads(at, words));
            let is_bare = has(&["expect", "("]) && !has(&["reason", "="]);
            if is_bare || has(&["allow", "("]) {
                let words = "write #[expect(lint, reason = \"…\")]: it complains when it is not needed";
                findings.add(file, source.line(attribute.start), words);
            }
        }
    }
    findings.are_none();
}

#[test]
fn nothing_is_unsafe() {
    let mut findings = Findings::default();
    for (file, source) in tree::rust("") {
        for at in source.places().filter(|at| source.code(*at) == "unsafe") {
            findings.add(file, source.line(at), "find the safe call, or a library that owns this");
        }
    }
    findings.are_none();
}

#[test]
fn names_say_what_a_thing_is_and_do_not_age() {
    let mut findings = Findings::default();
    for (file, source) in tree::rust("") {
        let mut steps = file.path.trim_end_matches(".rs").split('/');
        if let Some(step) = steps.find(|step| EMPTY_NAMES.contains(step)) {
            let words = format!("`{step}` fits everything: name the module after what is in it");
            findings.add(file, 1, words);
        }
        for at in source.shipped_places().filter(|at| source.is(at + 1, Kind::Word)) {
            let name = source.code(at + 1);
            if let Some(words) = flaw(source.code(at), name) {
                findings.add(file, source.line(at), format!("`{name}` {words}"));
            }
        }
    }
    findings.are_none();
}

/// What is wrong with a name that a keyword declares.
fn flaw(keyword: &str, name: &str) -> Option<&'static str> {
    let verb = name.split('_').next().unwrap_or(name);
    let noun = name.rfind(char::is_uppercase).and_then(|at| name.get(at..)).unwrap_or(name);
    let is_empty = match keyword {
        "fn" => EMPTY_NAMES.contains(&name) || EMPTY_VERBS.contains(&verb),
        "struct" | "enum" | "trait" => EMPTY_NAMES.contains(&noun.to_lowercase().as_str()),
        "mod" => EMPTY_NAMES.contains(&name),
        _ => return None,
    };
    if AGES.iter().any(|age| name.starts_with(age)) {
        return Some("will lie one day: call it by what it is, not by when it came");
    }
    is_empty.then_some("fits everything: call it by what it is in the domain")
}

#[test]
fn tests_neither_sleep_nor_get_skipped() {
    let mut findings = Findings::default();
    for (file, source) in tree::rust("") {
        for attribute in source.attributes() {
            if source.code(attribute.start) == "ignore" {
                let words = "a test that does not run proves nothing: mend it or delete it";
                findings.add(file, source.line(attribute.start), words);
            }
        }
        if WAITS.iter().any(|(place, _)| file.path.starts_with(place)) {
            continue;
        }
        let is_test = file.path.starts_with("tests/");
        for at in source.places().filter(|at| is_test || source.in_test(*at)) {
            // A method is our own clock's, whose hands a test moves.
            let waits = matches!(source.code(at), "sleep" | "sleep_until") && source.before(at, 1) != ".";
            if waits && source.code(at + 1) == "(" {
                let words = "move the simulated clock, or let tests/it/support ask until it is so";
                findings.add(file, source.line(at), words);
            }
        }
    }
    findings.are_none();
}

#[test]
fn no_work_is_left_in_marks() {
    let mut findings = Findings::default();
    let is_code = |file: &&File| CODE.contains(&file.kind());
    for file in tree::under("").filter(is_code) {
        for (line, text) in file.lines() {
            for mark in words(text).filter(|word| MARKS.contains(word)) {
                let words = format!("{mark}: do it now, or open an issue and take the mark out");
                findings.add(file, line, words);
            }
        }
    }
    findings.are_none();
}

#[test]
fn no_file_knows_a_machine_or_a_registry() {
    let mut findings = Findings::default();
    for file in tree::under("") {
        for (line, text) in file.lines() {
            for folder in MACHINE_FOLDERS.iter().filter(|folder| names_root(text, folder)) {
                let words = format!("{folder} is one machine's: start from the project's folder");
                findings.add(file, line, words);
            }
            for registry in REGISTRIES.iter().filter(|registry| text.contains(**registry)) {
                let words = format!("{registry}: the tool's settings say which registry is asked");
                findings.add(file, line, words);
            }
        }
    }
    findings.are_none();
}

/// Whether a line names a folder at the root, rather than one inside another or in a URL.
fn names_root(line: &str, folder: &str) -> bool {
    let goes_on = |last: char| last.is_alphanumeric() || "._-~*})>".contains(last);
    let is_inside = |before: &str| before.ends_with(goes_on);
    line.match_indices(folder).any(|(at, _)| !line.get(..at).is_some_and(is_inside))
}
