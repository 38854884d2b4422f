//! What strangers wrote, as people may be shown it: in a log, at a terminal, on a page.

/// Text that moves no cursor, ends no line where none should end, hides nothing and turns nothing around, of at most so many
/// bytes. The escapes are JSON's, so that what was JSON stays the same.
pub fn escaped(text: &str, bytes_max: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(bytes_max));
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let before = shown.len();
        let ends_line = c == '\r' && chars.peek() == Some(&'\n');
        match c {
            '\n' | '\t' => shown.push(c),
            '\r' if ends_line => shown.push(c),
            c if is_obeyed(c) => {
                let mut units = [0; 2];
                shown.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
            }
            c => shown.push(c),
        }
        if shown.len() > bytes_max {
            shown.truncate(before);
            break;
        }
    }
    shown
}

/// Text of one line, without anything that is obeyed rather than read.
pub fn plain(text: &str) -> String {
    text.chars().filter(|c| !is_obeyed(*c)).collect()
}

/// Control characters, ends of lines and of paragraphs, marks of direction, tags, and marks that are not seen.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_obeyed_is_escaped_as_json_does() {
        let check = |text: &str, shown: &str| assert_eq!(escaped(text, 1_000), shown);

        check("{\"a\":\t1}\r\n", "{\"a\":\t1}\r\n");
        check("good\rbad\u{1b}[31m\0", "good\\u000dbad\\u001b[31m\\u0000");
        check("a\u{202e}b\u{200b}c\u{ad}d", "a\\u202eb\\u200bc\\u00add");
        check("\u{e0041}", "\\udb40\\udc41");
        check("naïve 日本語 👩\u{200d}🔬", "naïve 日本語 👩\u{200d}🔬");
    }

    #[test]
    fn an_escape_is_whole_or_not_there() {
        assert_eq!(escaped("abc\u{1b}", 8), "abc");
        assert_eq!(escaped("abc\u{1b}", 9), "abc\\u001b");
        assert_eq!(escaped("aé", 2), "a");
    }

    #[test]
    fn a_line_loses_what_is_not_read() {
        assert_eq!(plain("a\r\nb\u{202e}c\u{feff} d"), "abc d");
    }
}
