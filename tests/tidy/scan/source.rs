//! One Rust file as the rules see it: its tokens, its attributes, what is only there for tests, and
//! the paths it names.

use std::ops::Range;

use super::tokens::{Kind, Token, tokens};

pub struct Path {
    pub line: usize,
    /// `super::` is spelled out: `crate::store::events`, `std::env::var`.
    pub text: String,
}

/// One file's tokens, and the module it is: `["domain", "event"]`.
pub struct Source {
    tokens: Vec<Token>,
    module: Vec<String>,
}

impl Source {
    pub fn read(text: &str, module: Vec<String>) -> Source {
        let tokens = tokens(text);
        let mut source = Source { tokens, module };
        source.mark_tests();
        source
    }

    /// The word or mark at a place; empty for texts, ticks and beyond the end.
    pub fn code(&self, at: usize) -> &str {
        let is_code = |token: &&Token| matches!(token.kind, Kind::Word | Kind::Mark);
        let token = self.tokens.get(at).filter(is_code);
        token.map_or("", |token| &token.text)
    }

    /// Whether the code from a place on reads like `pattern`, word by word.
    pub fn reads(&self, at: usize, pattern: &[&str]) -> bool {
        (at..).zip(pattern).all(|(at, code)| self.code(at) == *code)
    }

    pub fn line(&self, at: usize) -> usize {
        let token = self.tokens.get(at).or(self.tokens.last());
        token.map_or(1, |token| token.line)
    }

    pub fn is(&self, at: usize, kind: Kind) -> bool {
        self.tokens.get(at).is_some_and(|token| token.kind == kind)
    }

    pub fn places(&self) -> Range<usize> {
        0..self.tokens.len()
    }

    /// The places that are there outside tests, too.
    pub fn shipped_places(&self) -> impl Iterator<Item = usize> {
        self.places().filter(|at| !self.in_test(*at))
    }

    /// What the string literal at a place says.
    pub fn text(&self, at: usize) -> Option<&str> {
        let token = self.tokens.get(at).filter(|token| token.kind == Kind::Text);
        token.map(|token| token.text.as_str())
    }

    /// Every string literal, with its line.
    pub fn texts(&self) -> impl Iterator<Item = (usize, &str)> {
        self.places().filter_map(|at| Some((self.line(at), self.text(at)?)))
    }

    pub fn in_test(&self, at: usize) -> bool {
        self.tokens.get(at).is_some_and(|token| token.in_test)
    }

    /// The code some places before a place.
    pub fn before(&self, at: usize, back: usize) -> &str {
        at.checked_sub(back).map_or("", |place| self.code(place))
    }

    /// Where the bracket that opens at a place closes.
    pub fn close(&self, open: usize) -> usize {
        let mut depth = 0;
        for at in open..self.tokens.len() {
            match self.code(at) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            if depth <= 0 {
                return at;
            }
        }
        self.tokens.len()
    }

    /// The attributes of the file, each as the range between its brackets.
    pub fn attributes(&self) -> Vec<Range<usize>> {
        let starts = |at: &usize| self.reads(*at, &["#", "["]) || self.reads(*at, &["#", "!", "["]);
        let opens = |at: usize| at + 1 + usize::from(self.code(at + 1) == "!");
        let opens = self.places().filter(starts).map(opens);
        opens.map(|open| open + 1..self.close(open)).collect()
    }

    fn mark_tests(&mut self) {
        for attribute in self.attributes() {
            let words: Vec<&str> = attribute.clone().map(|at| self.code(at)).collect();
            let or_else = |word: &&str| matches!(*word, "not" | "any" | "cfg_attr");
            if words.contains(&"test") && !words.iter().any(or_else) {
                let end = self.item_end(attribute.end + 1);
                let item = self.tokens.iter_mut().take(end + 1).skip(attribute.start - 2);
                item.for_each(|token| token.in_test = true);
            }
        }
    }

    /// Where the item ends whose attributes, or itself, start at a place.
    fn item_end(&self, mut at: usize) -> usize {
        while at < self.tokens.len() {
            match self.code(at) {
                "{" => return self.close(at),
                ";" | "}" | ")" | "]" => return at,
                "(" | "[" => at = self.close(at) + 1,
                _ => at += 1,
            }
        }
        at
    }

    /// Every `mod name`, with the place of its name.
    pub fn modules(&self) -> impl Iterator<Item = usize> {
        let found = |at: &usize| self.code(*at) == "mod" && self.is(at + 1, Kind::Word);
        self.places().filter(found).map(|at| at + 1)
    }

    /// The file that `#[path = "…"]` gives to the module whose name stands at a place.
    pub fn path_attribute(&self, module: usize) -> Option<&str> {
        let after = self.modules().take_while(|name| *name < module).last().unwrap_or_default();
        let is_its = |attribute: &Range<usize>| attribute.start > after && attribute.end < module;
        let mut attributes = self.attributes().into_iter().filter(is_its);
        let path = attributes.find(|attribute| self.reads(attribute.start, &["path", "="]))?;
        self.text(path.start + 2)
    }

    /// Every path with at least two steps, and whatever is imported; `use a::{b, c::d}` is two.
    pub fn paths(&self) -> Vec<Path> {
        let (mut found, mut at) = (Vec::new(), 0);
        while at < self.tokens.len() {
            if self.code(at) == "use" {
                at = self.expand(at + 1, "", &mut found);
            } else if self.is_root(at) {
                at = self.expand(at, "", &mut found);
            } else {
                at += 1;
            }
        }
        found
    }

    /// Whether a path begins at a place, rather than going on as in `a::b` or `<T as A>::b`.
    fn is_root(&self, at: usize) -> bool {
        let goes_on = match self.before(at, 1) {
            "::" => self.before(at, 2) == ">" || at > 1 && self.is(at - 2, Kind::Word),
            before => before == ".",
        };
        self.is(at, Kind::Word) && self.code(at + 1) == "::" && !goes_on
    }

    /// Follows the path at a place, branch by branch, and returns where it ends.
    fn expand(&self, mut at: usize, prefix: &str, found: &mut Vec<Path>) -> usize {
        let (start, mut path) = (at, prefix.to_string());
        while self.is(at, Kind::Word) || matches!(self.code(at), "::" | "*") {
            path += self.code(at);
            at += 1;
            if self.code(at - 1) != "::" && self.code(at) != "::" {
                break;
            }
        }
        if self.code(at) == "{" && (path.is_empty() || path.ends_with("::")) {
            let end = self.close(at);
            while at < end {
                at = self.expand(at + 1, &path, found);
            }
            return end + 1;
        }
        let text = self.absolute(start, path.trim_end_matches("::self").trim_matches(':'));
        let line = self.line(start);
        found.extend((at > start).then_some(Path { line, text }));
        // Inside braces, a new name is no further branch.
        if self.code(at) == "as" && !prefix.is_empty() {
            at += 2;
        }
        at.max(start + usize::from(prefix.is_empty()))
    }

    /// Spells `super::` out, as seen from a place in this file.
    fn absolute(&self, at: usize, path: &str) -> String {
        let ups = path.split("::").take_while(|step| *step == "super").count();
        if ups == 0 {
            return path.to_string();
        }
        let holds = |name: &usize| *name < at && self.code(name + 1) == "{" && at < self.close(name + 1);
        let inline = self.modules().filter(holds).map(|name| self.code(name));
        let mut steps: Vec<&str> = self.module.iter().map(String::as_str).chain(inline).collect();
        steps.truncate(steps.len().saturating_sub(ups));
        steps.insert(0, "crate");
        steps.extend(path.split("::").skip(ups));
        steps.join("::")
    }
}

#[cfg(test)]
mod tests {
    use super::Source;

    fn source(rust: &str) -> Source {
        Source::read(rust, vec!["domain".to_string(), "event".to_string()])
    }

    #[track_caller]
    fn check(rust: &str, expected: &[&str]) {
        let found = source(rust).paths().into_iter().map(|path| path.text);
        let found: Vec<String> = found.collect();
        assert_eq!(found, expected, "in {rust}");
    }

    #[test]
    fn imports_are_followed_branch_by_branch() {
        check("use crate::store;", &["crate::store"]);
        check("use a::{b, c::{self, d as e}, rand::*,}; f::g()", &["a::b", "a::c", "a::c::d", "a::rand::*", "f::g"]);
        check("use {a, ::b::c};", &["a", "b::c"]);
    }

    #[test]
    fn paths_in_code_begin_at_their_root() {
        check("x.y::<z>(); a::rand::b; <T as c::D>::rand::e", &["a::rand::b", "c::D"]);
        check("$crate::store::x!(a * b::C as d::E)", &["crate::store::x", "b::C", "d::E"]);
        check("// crate::store\n\"crate::store\"", &[]);
    }

    #[test]
    fn climbing_paths_are_spelled_out() {
        check("use super::hook;", &["crate::domain::hook"]);
        check("use super::{super::store, id};", &["crate::store", "crate::domain::id"]);
        check("mod tests { use super::super::super::store; } super::id::x", &["crate::store", "crate::domain::id::x"]);
    }

    #[test]
    fn a_module_may_name_its_file() {
        let source = source(r#"mod a; #[cfg(test)] #[path = "c.rs"] mod b; mod d;"#);
        let found: Vec<_> = source.modules().map(|at| source.path_attribute(at)).collect();
        assert_eq!(found, [None, Some("c.rs"), None]);
    }

    #[test]
    fn what_is_only_there_for_tests_is_known() {
        let shipped = "a(); #[cfg(not(test))] fn e() {}";
        let tests = "#[cfg(test)] #[b] mod c { d(); } #[tokio::test] async fn f() { g }";

        let source = source(&format!("{shipped} {tests} h"));

        let outside: Vec<&str> = source.shipped_places().map(|at| source.code(at)).collect();
        let expected = "a ( ) ; # [ cfg ( not ( test ) ) ] fn e ( ) { } h";
        assert_eq!(outside.join(" "), expected);
    }
}
