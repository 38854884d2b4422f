//! Measures functions: how long, how wide, how deep. The limits stand with the rules.

use super::source::Source;
use super::tokens::Kind;

pub struct Function {
    pub name: String,
    pub line: usize,
    /// From the line of `fn` to the line of the closing brace.
    pub lines: usize,
    /// Without `self`.
    pub parameters: usize,
    /// A level is a block inside the body: of `if`, `else`, `match` or a loop, of a match arm, a
    /// closure, an `async`, a macro, or plain. Struct literals and patterns are none, and a nested
    /// function is measured by itself.
    pub depth: usize,
}

impl Source {
    pub fn functions(&self) -> Vec<Function> {
        let found = self.places().filter_map(|at| self.function(at));
        found.map(|(function, _)| function).collect()
    }

    /// The function whose `fn` stands at a place, with where it ends. A function pointer is none,
    /// and so is a signature without a body.
    fn function(&self, at: usize) -> Option<(Function, usize)> {
        if self.code(at) != "fn" || !self.is(at + 1, Kind::Word) {
            return None;
        }
        let open = self.after_generics(at + 2);
        let mut body = self.close(open) + 1;
        while !matches!(self.code(body), "{" | ";" | "}") && body < self.places().end {
            body = self.after(body);
        }
        if self.code(open) != "(" || self.code(body) != "{" {
            return None;
        }
        let (end, line) = (self.close(body), self.line(at));
        let function = Function {
            name: self.code(at + 1).to_string(),
            line,
            lines: self.line(end) - line + 1,
            parameters: self.parameters(open),
            depth: self.depth(body, end),
        };
        Some((function, end))
    }

    /// The next place, beyond the bracket that opens here.
    fn after(&self, at: usize) -> usize {
        let opens = matches!(self.code(at), "(" | "[" | "{");
        if opens { self.close(at) + 1 } else { at + 1 }
    }

    fn after_generics(&self, at: usize) -> usize {
        let mut depth = 0;
        for place in at..self.places().end {
            match self.code(place) {
                "<" => depth += 1,
                ">" => depth -= 1,
                _ if depth == 0 => return place,
                _ => {}
            }
        }
        self.places().end
    }

    fn parameters(&self, open: usize) -> usize {
        let (end, mut at, mut angles, mut words) = (self.close(open), open + 1, 0, Vec::new());
        let mut count = 0;
        while at <= end {
            match self.code(at) {
                "<" => angles += 1,
                ">" => angles -= 1,
                _ => {}
            }
            if at == end || self.code(at) == "," && angles == 0 {
                let mut pattern = words.iter().take_while(|word| **word != ":");
                count += usize::from(!words.is_empty() && !pattern.any(|word| *word == "self"));
                words.clear();
            } else {
                words.push(self.code(at));
            }
            at = self.after(at);
        }
        count
    }

    fn depth(&self, body: usize, end: usize) -> usize {
        let mut nesting = Nesting::default();
        let (mut at, mut deepest) = (body + 1, 0);
        while at < end {
            if let Some((_, nested_end)) = self.function(at) {
                at = nested_end + 1;
                continue;
            }
            nesting.step(self, at);
            let blocks = nesting.brackets.iter().filter(|is_block| **is_block);
            deepest = deepest.max(blocks.count());
            at += 1;
        }
        deepest
    }

    /// Whether the brace at a place opens a block although no keyword before it asked for one.
    fn is_plain_block(&self, at: usize) -> bool {
        let label = self.before(at, 1) == ":" && at > 1 && self.is(at - 2, Kind::Tick);
        let opener = ["=>", "|", "||", "else", "async", "move", "unsafe", "const", "{", "}", ";", "=", "!", "]"];
        label || opener.contains(&self.before(at, 1))
    }

    /// Whether the code at a place promises a block: a branch, a loop, or a closure that names its
    /// return type.
    fn promises_block(&self, at: usize) -> bool {
        match self.code(at) {
            "if" | "match" | "while" | "loop" => true,
            // Not `for<'a>`, nor `impl A for B`, nor `impl A<T> for B`.
            "for" if self.code(at + 1) == "<" || self.before(at, 1) == ">" => false,
            "for" => at == 0 || !self.is(at - 1, Kind::Word),
            "->" => matches!(self.before(at, 1), "|" | "||"),
            _ => false,
        }
    }
}

/// The brackets that are open at one place of a function's body.
#[derive(Default)]
struct Nesting {
    /// One per open bracket: whether it is a block.
    brackets: Vec<bool>,
    /// At how many open brackets each keyword still waits for its block.
    promised: Vec<usize>,
    /// At how many open brackets a pattern is being read, where braces are no blocks.
    pattern: Option<usize>,
}

impl Nesting {
    fn step(&mut self, source: &Source, at: usize) {
        let open = self.brackets.len();
        match source.code(at) {
            "{" if self.pattern == Some(open) => self.brackets.push(false),
            "{" if self.promised.last() == Some(&open) => {
                self.promised.pop();
                self.brackets.push(true);
            }
            "{" => self.brackets.push(source.is_plain_block(at)),
            "(" | "[" => self.brackets.push(false),
            ")" | "]" | "}" => {
                self.brackets.pop();
                self.promised.retain(|promised| *promised < open);
                self.pattern = self.pattern.filter(|pattern| *pattern < open);
            }
            // A match guard's `if` ends at its arrow without a block.
            "=>" => self.promised.retain(|promised| *promised < open),
            "=" | "in" | ";" if self.pattern == Some(open) => self.pattern = None,
            "let" => self.pattern = Some(open),
            _ if source.promises_block(at) => {
                self.promised.push(open);
                self.pattern = (source.code(at) == "for").then_some(open).or(self.pattern);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::Source;

    fn measured(rust: &str) -> Vec<(String, usize, usize, usize)> {
        let functions = Source::read(rust, Vec::new()).functions();
        functions.into_iter().map(|it| (it.name, it.lines, it.parameters, it.depth)).collect()
    }

    #[track_caller]
    fn check_depth(body: &str, expected: usize) {
        let found: Vec<usize> = measured(&format!("fn f() {{ {body} }}")).iter().map(|it| it.3).collect();
        assert_eq!(found, [expected], "in {body}");
    }

    #[test]
    fn functions_are_found_with_their_lines_and_without_pointers() {
        let rust = "fn a() {\n \"}\"\n}\ntype B = fn(u8) -> u8;\n\
            trait C { fn d(&self); fn e() { } }\n\
            fn g<F: Fn(u8) -> [u8; 2]>() -> [u8; 2]\nwhere F: C,\n{ }";
        let found: Vec<_> = measured(rust).into_iter().map(|it| (it.0, it.1)).collect();
        assert_eq!(found, [("a".to_string(), 3), ("e".to_string(), 1), ("g".to_string(), 3)]);
    }

    #[test]
    fn a_nested_function_is_measured_by_itself() {
        let found = measured("fn a() { if x { fn b() { loop { loop { loop { } } } } } }");
        assert_eq!(found, [("a".to_string(), 1, 0, 1), ("b".to_string(), 1, 0, 3)]);
    }

    #[test]
    fn parameters_are_counted_without_the_receiver() {
        let check = |signature: &str, expected| {
            let found: Vec<usize> = measured(&format!("fn f{signature} {{ }}")).iter().map(|it| it.2).collect();
            assert_eq!(found, [expected], "in {signature}");
        };
        check("()", 0);
        check("(&'a mut self, x: u8,)", 1);
        check("(self: Arc<Self>)", 0);
        check("<T: Into<Vec<u8>>>(a: HashMap<T, Vec<u8>>, (b, c): (T, T), d: impl Fn(T, T) -> u8)", 3);
    }

    #[test]
    fn blocks_are_levels() {
        check_depth("x;", 0);
        check_depth("if a { b } else if c { d } else { e }", 1);
        check_depth("for a in b { while c { loop { } } }", 3);
        check_depth("match a { B => { c } D { e } if f => g, _ => h }", 2);
        check_depth("a(|b| { c }); d(async move { e }); f(|g| -> H { i })", 1);
        check_depth("'a: { { b } }", 2);
        check_depth("tokio::select! { a = b => { c } }", 2);
        check_depth("let Some(a) = b else { return };", 1);
        check_depth("let a; if b { c }", 1);
    }

    #[test]
    fn literals_patterns_and_items_are_no_levels() {
        check_depth("let A { b, c } = D { e: F { g }, ..h };", 0);
        check_depth("if let A { b: C { d } } = e { f(G { h }) }", 1);
        check_depth("for A { b } in c.map(|d| E { d }) { f }", 1);
        check_depth("while let A { b } = c && let D { .. } = e { f }", 1);
        check_depth("struct A { b: C } impl D for A { } use e::{f, g};", 0);
        check_depth("x(\"{{{\", '{')", 0);
    }
}
