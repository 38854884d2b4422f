//! What the rules look at: the files of the project, and Rust read just well enough to judge its
//! shape. Nothing in here decides what is allowed.

pub mod map;
mod shape;
mod source;
mod tokens;
pub mod tree;

use std::collections::BTreeSet;

pub use tokens::Kind;
pub use tree::File;

/// What was found against one rule, in reading order.
#[derive(Default)]
pub struct Findings(BTreeSet<(String, usize, String)>);

impl Findings {
    pub fn add(&mut self, file: &File, line: usize, words: impl Into<String>) {
        self.0.insert((file.path.clone(), line, words.into()));
    }

    #[track_caller]
    pub fn are_none(self) {
        let list = self.0.iter().map(|(path, line, words)| format!("{path}:{line}: {words}"));
        let list: Vec<String> = list.collect();
        assert!(list.is_empty(), "\n\n{}\n", list.join("\n"));
    }
}

/// The words of a text, without what stands between them.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    let ends = |next: char| !next.is_alphanumeric() && next != '_';
    text.split(ends).filter(|word| !word.is_empty())
}
