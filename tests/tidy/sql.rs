//! The rules of SQL: where it stands, how it reads, and what it must be told.

use super::scan::{File, Findings, tree, words};

/// Keywords that give large letters away.
const KEYWORDS: [&str; 14] = [
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "FROM",
    "WHERE",
    "RETURNING",
    "VALUES",
    "CREATE",
    "ALTER",
    "DROP",
    "CONFLICT",
    "BEGIN",
    "PRAGMA",
];

/// Columns that nobody named.
const STARS: [&str; 4] = ["select *", "distinct *", "returning *", ".*"];

/// Time and chance that did not come from `engine/clock.rs`.
const CLOCKS_AND_DICE: [&str; 8] =
    ["now()", "'now'", "current_time", "current_date", "clock_timestamp(", "unixepoch(", "random()", "randomblob("];

#[test]
fn only_the_store_speaks_sql() {
    let mut findings = Findings::default();
    for (file, source) in tree::rust("src/").filter(|(file, _)| !file.is_in("store")) {
        for (line, _) in source.texts().filter(|(_, text)| is_statement(text)) {
            findings.add(file, line, "SQL lives in src/store: ask a function of the store");
        }
    }
    findings.are_none();
}

/// Whether a text is SQL, rather than a sentence that begins with the same word.
fn is_statement(text: &str) -> bool {
    let text = flat(text);
    match words(&text).collect::<Vec<_>>().as_slice() {
        ["select", columns @ ..] => columns.contains(&"from"),
        ["insert", "into", ..] | ["delete", "from", ..] | ["update", _, "set", ..] => true,
        _ => false,
    }
}

#[test]
fn sql_is_lower_case_and_names_its_columns() {
    let mut findings = Findings::default();
    for (file, line, text) in statements() {
        if let Some(keyword) = words(&text).find(|word| KEYWORDS.contains(word)) {
            findings.add(file, line, format!("{keyword}: write SQL in lower case"));
        }
        if STARS.iter().any(|star| flat(&text).contains(star)) {
            let words = "name the columns instead of *, in the order of the struct";
            findings.add(file, line, words);
        }
    }
    findings.are_none();
}

/// Where the database's clock is asked for its own sake: to see that a node's is wrong. No row is made of the answer.
const CLOCKS_ARE_COMPARED_IN: &str = "store/nodes";

#[test]
fn sql_is_told_the_time_and_its_random_numbers() {
    let mut findings = Findings::default();
    for (file, line, text) in statements().into_iter().filter(|(file, ..)| !file.is_in(CLOCKS_ARE_COMPARED_IN)) {
        let text = flat(&text);
        for call in CLOCKS_AND_DICE.iter().filter(|call| text.contains(**call)) {
            findings.add(file, line, format!("{call}: bind a value that engine/clock.rs made"));
        }
    }
    findings.are_none();
}

/// Every text of the store, and every line of the migrations without its comment.
fn statements() -> Vec<(&'static File, usize, String)> {
    let mut found = Vec::new();
    for (file, source) in tree::rust("src/store") {
        let texts = source.texts().map(|(line, text)| (file, line, text.replace("\\n", " ")));
        found.extend(texts);
    }
    for file in tree::under("migrations/").filter(|file| file.kind() == "sql") {
        for (line, text) in file.lines() {
            let statement = text.split("--").next().unwrap_or_default();
            found.push((file, line, statement.to_string()));
        }
    }
    found
}

/// A text in lower case on one line, with one space between its words.
fn flat(text: &str) -> String {
    let text = text.to_lowercase().replace("\\n", " ").replace('\\', " ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
