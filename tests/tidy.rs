//! The rules of `ARCHITECTURE.md` and of the style guide that a machine can hold. Tables come first
//! and are meant to be read; each test is one rule and says, place by place, what is wrong and what
//! to do. Here are the rules of shape; `tidy/` holds those of words and of SQL.

#[path = "tidy/scan/mod.rs"]
mod scan;
#[path = "tidy/sql.rs"]
mod sql;
#[path = "tidy/words.rs"]
mod words;

use scan::{Findings, map, tree};

/// Who may name whom. What is not here is no ring; only `lib.rs` and `main.rs` stand outside.
const ARROWS: [(&str, &[&str]); 11] = [
    ("domain", &[]),
    ("store", &["domain"]),
    ("signing", &["domain"]),
    ("wire", &["domain", "signing"]),
    ("egress", &["domain"]),
    ("engine", &["domain", "store", "signing", "wire", "egress"]),
    ("api", &["domain", "store", "engine"]),
    ("console", &["domain", "store", "engine"]),
    ("cli", &["domain", "store", "engine", "config"]),
    ("config", &["domain"]),
    ("app", EVERYONE),
];
const EVERYONE: &[&str] =
    &["domain", "store", "signing", "wire", "egress", "engine", "api", "console", "cli", "config"];

/// What comes from outside, and the only modules that may name it.
const HOMES: [(&[&str], &[&str]); 19] = [
    (&["sqlx"], &["store"]),
    (&["josekit", "aws_lc_rs", "openssl"], &["signing"]),
    (&["cryptoki"], &["signing/pkcs11"]),
    (&["rustix"], &["engine/clock"]),
    (&["jsonschema"], &["engine/catalogue/schema"]),
    (&["prometheus_client"], &["engine/metrics"]),
    (&["strsim"], &["engine/catalogue/alike"]),
    (&["utoipa"], &["api"]),
    (&["utoipa_swagger_ui"], &["api/openapi/page"]),
    (&["reqwest", "hickory_resolver", "http_body_util", "rustls", "rustls_platform_verifier"], &["egress"]),
    (&["tokio_rustls", "tower_service", "webpki"], &["egress"]),
    (&["idna"], &["domain/webhook/host"]),
    // The demo's receiver is a stranger to the rest of the house.
    (&["axum", "tower", "tower_http"], &["api", "console", "app", "cli/demo/receiver"]),
    (&["hyper", "hyper_util"], &["app", "egress"]),
    (&["rlimit"], &["app"]),
    (&["clap", "anstream", "anstyle"], &["cli", "config"]),
    (&["anyhow"], &["cli", "app", "main"]),
    (&["rand"], &["engine/clock"]),
    (&["std::env"], &["cli", "config", "main"]),
];

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;
const PARAMETERS_MAX: usize = 5;
/// A level is a block in the body: of a branch, a loop, a match arm, a closure, or plain.
const DEPTH_MAX: usize = 4;

/// Twins, as soon as the second is there.
const SQLITE: &str = "migrations/sqlite/";
const POSTGRES: &str = "migrations/postgres/";

/// All that `keys/` shows to git.
const KEYS: [&str; 2] = ["keys/README.md", "keys/.gitignore"];

#[test]
fn arrows_between_rings_point_one_way() {
    let mut findings = Findings::default();
    for (file, source) in tree::rust("src/") {
        let module = file.module();
        let Some(ring) = module.first() else { continue };
        let Some((_, known)) = ARROWS.iter().find(|(name, _)| name == ring) else {
            findings.add(file, 1, "is no ring: move it into one of ARROWS");
            continue;
        };
        for path in source.paths() {
            let Some(inside) = path.text.strip_prefix("crate::") else {
                continue;
            };
            let named = inside.split("::").next().unwrap_or(ring);
            if named != ring && !known.contains(&named) {
                let advice = "pass the value in, or decide it in a ring above both";
                let words = format!("{ring} may not know {named}: {advice}");
                findings.add(file, path.line, words);
            }
        }
    }
    findings.are_none();
}

#[test]
fn each_foreign_library_has_one_home() {
    let mut findings = Findings::default();
    for (file, source) in tree::rust("src/") {
        for path in source.paths() {
            let name = path.text.as_str();
            let starts = |library: &str| {
                let rest = name.strip_prefix(library);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
            };
            let is_guest = |(libraries, homes): &&(&[&str], &[&str])| {
                libraries.iter().any(|library| starts(library)) && !file.is_in_any(homes)
            };
            for (_, homes) in HOMES.iter().filter(is_guest) {
                let words = format!("{name} lives in {} alone: ask there", homes.join(", "));
                findings.add(file, path.line, words);
            }
        }
    }
    findings.are_none();
}

#[test]
fn the_domain_derives_no_wire_format() {
    let mut findings = Findings::default();
    for (file, source) in tree::rust("src/domain") {
        let derives = |at: &usize| matches!(source.code(*at), "Serialize" | "Deserialize");
        for at in source.places().filter(derives) {
            let words = "wire shapes belong to the ring that speaks that wire: give it a twin type";
            findings.add(file, source.line(at), words);
        }
    }
    findings.are_none();
}

#[test]
fn the_map_names_what_is_there() {
    let mut findings = Findings::default();
    for (document, entry) in map::entries() {
        if !tree::under("").any(|file| entry.holds(file)) {
            let words = format!("{} is not there: take it off the map", entry.path);
            findings.add(document, entry.line, words);
        }
        for name in &entry.modules {
            let module = format!("{}{name}", entry.path);
            let places = [format!("{module}.rs"), format!("{module}/mod.rs")];
            if !tree::under(&module).any(|file| places.contains(&file.path)) {
                let words = format!("{module} is not there: take it off the map");
                findings.add(document, entry.line, words);
            }
        }
    }
    findings.are_none();
}

#[test]
fn what_is_there_is_on_the_map() {
    let mut findings = Findings::default();
    let map = map::entries();
    for file in tree::under("src/") {
        let holds = |entry: &map::Entry| entry.path != "src/" && entry.holds(file);
        let Some((document, entry)) = map.iter().find(|(_, entry)| holds(entry)) else {
            findings.add(file, 1, "is not on ARCHITECTURE.md's map: put it there");
            continue;
        };
        let inside = file.path.strip_prefix(&entry.path).unwrap_or_default();
        let name = inside.split(['/', '.']).next().unwrap_or_default();
        let is_named = entry.modules.is_empty() || entry.modules.iter().any(|it| it == name);
        if file.kind() == "rs" && file.ships() && !is_named && name != "mod" {
            let words = format!("{name} is missing among the modules of {}", entry.path);
            findings.add(document, entry.line, words);
        }
    }
    findings.are_none();
}

#[test]
fn every_file_is_compiled_and_every_folder_has_a_first_page() {
    let mut findings = Findings::default();
    for (file, _) in tree::rust("src/") {
        if !file.is_declared() {
            findings.add(file, 1, "nobody compiles it: declare it with `mod`, or delete it");
        }
        let (folder, _) = file.path.rsplit_once('/').unwrap_or_default();
        let first_page = format!("{folder}/mod.rs");
        if folder != "src" && !tree::under(&first_page).any(|file| file.path == first_page) {
            findings.add(file, 1, format!("{first_page} is missing: it opens the folder with what it is for"));
        }
    }
    findings.are_none();
}

#[test]
fn files_and_functions_stay_small() {
    let mut findings = Findings::default();
    for (file, source) in tree::rust("") {
        let lines = file.text.lines().count();
        if lines > FILE_LINES_MAX {
            let words = format!("{lines} of at most {FILE_LINES_MAX} lines: split off an idea");
            findings.add(file, lines, words);
        }
        for function in source.functions() {
            let mut check = |size: usize, limit: usize, advice: &str| {
                if size > limit {
                    let words = format!("`{}`: {size} of at most {limit} {advice}", function.name);
                    findings.add(file, function.line, words);
                }
            };
            check(function.lines, FUNCTION_LINES_MAX, "lines: name its steps");
            check(function.parameters, PARAMETERS_MAX, "parameters: some are one type");
            check(function.depth, DEPTH_MAX, "levels: return early, or name an inner loop");
        }
    }
    findings.are_none();
}

#[test]
fn every_file_opens_by_saying_what_it_is_for() {
    let mut findings = Findings::default();
    for (file, _) in tree::rust("").filter(|(file, _)| !file.text.starts_with("//!")) {
        let words = "open with `//!`: what the file is for, and what it must never do";
        findings.add(file, 1, words);
    }
    findings.are_none();
}

#[test]
fn migrations_are_twins() {
    let mut findings = Findings::default();
    let has_both = tree::under(POSTGRES).next().is_some();
    for file in tree::under("migrations/").filter(|_| has_both) {
        let twin = match file.path.strip_prefix(SQLITE) {
            Some(name) => format!("{POSTGRES}{name}"),
            None => file.path.replacen(POSTGRES, SQLITE, 1),
        };
        if !tree::under(&twin).any(|file| file.path == twin) {
            findings.add(file, 1, format!("{twin} is missing: migrations come in pairs"));
        }
    }
    findings.are_none();
}

#[test]
fn master_keys_stay_out_of_git() {
    let mut findings = Findings::default();
    for file in tree::under("keys/").filter(|file| !KEYS.contains(&file.path.as_str())) {
        let words = "keys/ shows git only its README.md and .gitignore; replace a committed key";
        findings.add(file, 1, words);
    }
    findings.are_none();
}
