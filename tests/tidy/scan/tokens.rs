//! Cuts Rust into words, marks and texts with their lines, so that no rule mistakes for code what a
//! comment or a text says. It knows no grammar.

/// What a token is. Only words and marks are code: a text may say `use`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Word,
    Mark,
    /// A string literal, without its quotes.
    Text,
    /// A lifetime, a label or a character.
    Tick,
    /// White space and comments; dropped.
    Gap,
}

pub struct Token {
    pub kind: Kind,
    pub text: String,
    pub line: usize,
    /// Inside an item behind `#[cfg(test)]` or `#[test]`.
    pub in_test: bool,
}

/// The tokens of a Rust file, in order.
pub fn tokens(text: &str) -> Vec<Token> {
    let (mut rest, mut line, mut tokens) = (text, 1, Vec::new());
    while !rest.is_empty() {
        let (kind, length) = lexeme(rest);
        let (taken, after) = rest.split_at(length);
        let quoted = taken.split_once('"').and_then(|(_, opened)| opened.rsplit_once('"')).map_or("", |(text, _)| text);
        let text = if kind == Kind::Text { quoted } else { taken }.to_string();
        tokens.extend((kind != Kind::Gap).then_some(Token { kind, text, line, in_test: false }));
        line += taken.matches('\n').count();
        rest = after;
    }
    tokens
}

/// Marks of several characters that are one mark. `>>` is none of them: it closes two generics.
const LONG_MARKS: [&str; 11] = ["..=", "::", "->", "=>", "==", "!=", "<=", ">=", "&&", "||", ".."];

/// The kind and length in bytes of what `rest` starts with.
fn lexeme(rest: &str) -> (Kind, usize) {
    let run = |belongs: fn(char) -> bool| rest.find(|next| !belongs(next)).unwrap_or(rest.len());
    let first = rest.chars().next().unwrap_or(' ');
    if first.is_whitespace() {
        (Kind::Gap, run(char::is_whitespace))
    } else if rest.starts_with("//") {
        (Kind::Gap, run(|next| next != '\n'))
    } else if rest.starts_with("/*") {
        (Kind::Gap, comment(rest))
    } else if let Some(length) = string(rest) {
        (Kind::Text, length)
    } else if let Some(length) = tick(rest) {
        (Kind::Tick, length)
    } else if is_word(first) {
        // A raw identifier: `r#type`.
        let raw = rest.strip_prefix("r#").filter(|name| name.starts_with(is_word));
        (Kind::Word, raw.map_or(word_length(rest), |name| 2 + word_length(name)))
    } else {
        let long = LONG_MARKS.iter().find(|mark| rest.starts_with(**mark));
        (Kind::Mark, long.map_or(first.len_utf8(), |mark| mark.len()))
    }
}

fn word_length(rest: &str) -> usize {
    rest.find(|next| !is_word(next)).unwrap_or(rest.len())
}

fn is_word(next: char) -> bool {
    next.is_alphanumeric() || next == '_'
}

/// The length of a block comment; they nest.
fn comment(rest: &str) -> usize {
    let (mut depth, mut length) = (0, 0);
    while let Some(next) = rest.get(length..).filter(|next| !next.is_empty()) {
        let edge = next.starts_with("/*") || next.starts_with("*/");
        depth += i32::from(next.starts_with("/*")) - i32::from(next.starts_with("*/"));
        length += if edge { 2 } else { next.chars().next().map_or(1, char::len_utf8) };
        if depth == 0 {
            break;
        }
    }
    length
}

/// The length of a string literal of any kind: `"…"`, `b"…"`, `r#"…"#`.
fn string(rest: &str) -> Option<usize> {
    let prefix = rest.find(|next| !matches!(next, 'b' | 'c' | 'r'))?;
    let (letters, quoted) = rest.split_at(prefix);
    if letters.contains('r') {
        let hashes = quoted.find(|next| next != '#')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let body = quoted.get(hashes..)?.strip_prefix('"')?;
        return Some(prefix + hashes + 1 + body.find(&end).map_or(body.len(), |at| at + end.len()));
    }
    let body = quoted.strip_prefix('"')?;
    let mut escaped = false;
    let end = body.find(|next| {
        let ends = next == '"' && !escaped;
        escaped = next == '\\' && !escaped;
        ends
    });
    Some(prefix + 1 + end.map_or(body.len(), |at| at + 1))
}

/// The length of a character literal or, when no quote closes it, of a lifetime.
fn tick(rest: &str) -> Option<usize> {
    let prefix = usize::from(rest.starts_with("b'"));
    let body = rest.get(prefix..)?.strip_prefix('\'')?;
    let first = body.chars().next()?.len_utf8();
    let closed = if body.starts_with('\\') {
        // The character after the backslash may itself be a quote.
        body.get(2..)?.find('\'').map(|at| at + 2)
    } else {
        body.get(first..)?.starts_with('\'').then_some(first)
    };
    Some(prefix + 1 + closed.map_or(word_length(body), |at| at + 1))
}

#[cfg(test)]
mod tests {
    use super::{Kind, tokens};

    #[track_caller]
    fn check(rust: &str, expected: &[(Kind, &str)]) {
        let found = tokens(rust);
        let found: Vec<_> = found.iter().map(|token| (token.kind, token.text.as_str())).collect();
        assert_eq!(found, expected, "in {rust}");
    }

    #[test]
    fn texts_keep_their_braces_and_quotes_to_themselves() {
        check(r#""{ \" }" x"#, &[(Kind::Text, r#"{ \" }"#), (Kind::Word, "x")]);
        check(r#""\\" x"#, &[(Kind::Text, r"\\"), (Kind::Word, "x")]);
        check(r#"b"{" c"}""#, &[(Kind::Text, "{"), (Kind::Text, "}")]);
        check("r\"{\\\" x", &[(Kind::Text, "{\\"), (Kind::Word, "x")]);
        check("br##\"a\"# }\"## x", &[(Kind::Text, "a\"# }"), (Kind::Word, "x")]);
        check("r#type", &[(Kind::Word, "r#type")]);
        check("run bar", &[(Kind::Word, "run"), (Kind::Word, "bar")]);
    }

    #[test]
    fn characters_and_lifetimes_are_told_apart() {
        check("'{'", &[(Kind::Tick, "'{'")]);
        check(r"'\'' b'\\' '\u{7b}'", &[(Kind::Tick, r"'\''"), (Kind::Tick, r"b'\\'"), (Kind::Tick, r"'\u{7b}'")]);
        check("<'a>", &[(Kind::Mark, "<"), (Kind::Tick, "'a"), (Kind::Mark, ">")]);
        check("'é' 'static", &[(Kind::Tick, "'é'"), (Kind::Tick, "'static")]);
    }

    #[test]
    fn comments_are_gone_and_lines_still_count() {
        check("/* { /* \" */ ' */ x // }\n/// }", &[(Kind::Word, "x")]);
        let lines: Vec<usize> = tokens("a\n\"\n\n\" b\n/*\n*/ c").iter().map(|token| token.line).collect();
        assert_eq!(lines, [1, 2, 4, 6]);
    }

    #[test]
    fn long_marks_are_one_and_closing_angles_are_two() {
        check(
            "a::b..=c",
            &[(Kind::Word, "a"), (Kind::Mark, "::"), (Kind::Word, "b"), (Kind::Mark, "..="), (Kind::Word, "c")],
        );
        check(">>", &[(Kind::Mark, ">"), (Kind::Mark, ">")]);
    }
}
