//! Reads the map of `ARCHITECTURE.md`: the first block marked `text` below a heading that says so.

use super::tree::{self, File};

/// Between these columns stand the modules of the folder above; beyond, its description runs on.
const MODULES_INDENT_MIN: usize = 5;
const MODULES_INDENT_MAX: usize = 12;

/// One thing the map says is there.
pub struct Entry {
    pub line: usize,
    /// From the root of the project; a folder ends with `/`.
    pub path: String,
    /// The modules named below a folder; empty when the map names none.
    pub modules: Vec<String>,
}

impl Entry {
    pub fn holds(&self, file: &File) -> bool {
        if self.path.ends_with('/') { file.path.starts_with(&self.path) } else { file.path == self.path }
    }
}

/// What the map names, each with the document to blame.
pub fn entries() -> Vec<(&'static File, Entry)> {
    let document = tree::under("ARCHITECTURE.md").next();
    let read = |file: &'static File| read(&file.text).into_iter().map(move |entry| (file, entry));
    let found: Vec<_> = document.into_iter().flat_map(read).collect();
    assert!(!found.is_empty(), "ARCHITECTURE.md has no map: see tests/tidy/scan/map.rs");
    found
}

fn read(document: &str) -> Vec<Entry> {
    let is_heading = |line: &str| line.starts_with('#') && line.to_lowercase().contains("map");
    let lines = (1..).zip(document.lines()).skip_while(|(_, line)| !is_heading(line));
    let block = lines.skip_while(|(_, line)| *line != "```text").skip(1);
    let (mut found, mut folder) = (Vec::<Entry>::new(), "");
    for (line, text) in block.take_while(|(_, line)| *line != "```") {
        let indent = text.len() - text.trim_start().len();
        let (names, _) = text.trim().split_once("  ").unwrap_or((text.trim(), ""));
        if indent >= MODULES_INDENT_MIN {
            let modules = text.split_whitespace().filter(|_| indent <= MODULES_INDENT_MAX);
            let entry = found.last_mut().into_iter();
            entry.for_each(|entry| entry.modules.extend(modules.clone().map(str::to_string)));
            continue;
        }
        folder = if indent == 0 { names } else { folder };
        for name in names.split(", ").filter(|name| !name.is_empty()) {
            let path = if indent == 0 { name.to_string() } else { format!("{folder}{name}") };
            found.push(Entry { line, path, modules: Vec::new() });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn the_map_is_read_with_its_folders_and_modules() {
        let document = [
            "# Us\n```text\nno\n```",
            "## 2. The map\n```text",
            "migrations/a/, migrations/b/      twins: same",
            "src/",
            "  lib.rs               code, in order",
            "  domain/              true          values,",
            "      event  id",
            "      key_ring",
            "                       no I/O",
            "tests/                 tidy.rs",
            "```\n  more/",
        ];

        let found = read(&document.join("\n"));

        let found: Vec<_> = found.iter().map(|it| (it.line, it.path.as_str(), it.modules.join(" "))).collect();
        let expected = [
            (7, "migrations/a/", ""),
            (7, "migrations/b/", ""),
            (8, "src/", ""),
            (9, "src/lib.rs", ""),
            (10, "src/domain/", "event id key_ring"),
            (14, "tests/", ""),
        ];
        assert_eq!(found, expected.map(|(line, path, modules)| (line, path, modules.to_string())));
    }
}
