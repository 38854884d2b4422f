//! The files of the project as git knows them: tracked, or about to be. Where git cannot tell, as
//! in an unpacked archive, the folder itself is walked.

use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use super::source::Source;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Never ours, for the walk that replaces git.
const FOREIGN_FOLDERS: [&str; 5] = ["target", ".git", "node_modules", "data", ".venv"];

pub struct File {
    /// From the root of the project, with `/`.
    pub path: String,
    /// Empty when the file holds no text.
    pub text: String,
}

static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
    let read = |path: String| {
        let bytes = std::fs::read(Path::new(ROOT).join(&path)).ok()?;
        let text = String::from_utf8(bytes).unwrap_or_default();
        Some(File { path, text })
    };
    let mut paths = listed().unwrap_or_else(|| walked(""));
    paths.sort();
    paths.into_iter().filter_map(read).collect()
});

fn listed() -> Option<Vec<String>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output = git.current_dir(ROOT).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    // An empty list comes from somebody else's repository around an unpacked archive.
    let knows = output.status.success() && !text.is_empty();
    knows.then(|| text.split_terminator('\0').map(str::to_string).collect())
}

fn walked(folder: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let entries = std::fs::read_dir(Path::new(ROOT).join(folder)).into_iter().flatten();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && !FOREIGN_FOLDERS.contains(&name.as_str()) {
            paths.extend(walked(&format!("{folder}{name}/")));
        } else if !is_folder && name.rsplit('.').next() != Some("key") {
            paths.push(format!("{folder}{name}"));
        }
    }
    paths
}

impl File {
    /// The module a file of `src/` is: `["domain", "event"]` for `src/domain/event.rs`, and none
    /// for `src/lib.rs`.
    pub fn module(&self) -> Vec<String> {
        let declared = DECLARED.iter().find(|declared| declared.path == self.path);
        declared.map_or_else(|| self.place(), |declared| declared.module.clone())
    }

    /// The module a file is by its path alone.
    fn place(&self) -> Vec<String> {
        let inside = self.path.strip_prefix("src/").and_then(|path| path.strip_suffix(".rs"));
        let mut steps: Vec<&str> = inside.into_iter().flat_map(|path| path.split('/')).collect();
        if matches!(steps.as_slice(), ["lib" | "main"] | [_, .., "mod"]) {
            steps.pop();
        }
        steps.into_iter().map(str::to_string).collect()
    }

    /// Whether anybody compiles the file of `src/`.
    pub fn is_declared(&self) -> bool {
        self.place().is_empty() || DECLARED.iter().any(|declared| declared.path == self.path)
    }

    /// Whether the file of `src/` is there for more than tests.
    pub fn ships(&self) -> bool {
        let holds = |folder: &str| self.path.starts_with(folder);
        let is_it = |path: &str| path == self.path || path.strip_suffix("mod.rs").is_some_and(holds);
        !DECLARED.iter().any(|declared| declared.in_test && is_it(&declared.path))
    }

    /// Whether the file is the module or lies inside it: `engine/clock` is `src/engine/clock.rs`.
    pub fn is_in(&self, module: &str) -> bool {
        let rest = self.path.strip_prefix("src/").and_then(|path| path.strip_prefix(module));
        rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    }

    pub fn is_in_any(&self, modules: &[&str]) -> bool {
        modules.iter().any(|module| self.is_in(module))
    }

    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }

    /// What the file's name ends with, after the last dot.
    pub fn kind(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or_default()
    }

    pub fn source(&self) -> Source {
        Source::read(&self.text, self.module())
    }
}

pub fn under(folder: &str) -> impl Iterator<Item = &'static File> {
    FILES.iter().filter(move |file| file.path.starts_with(folder))
}

/// The Rust files below a folder, with what they say.
pub fn rust(folder: &str) -> impl Iterator<Item = (&'static File, Source)> {
    under(folder).filter(|file| file.kind() == "rs").map(|file| (file, file.source()))
}

/// The Rust of `src/` without the files that are there for tests alone.
pub fn shipped() -> impl Iterator<Item = (&'static File, Source)> {
    rust("src/").filter(|(file, _)| file.ships())
}

/// Where one `mod name;` of `src/` leads.
struct Declared {
    path: String,
    module: Vec<String>,
    in_test: bool,
}

static DECLARED: LazyLock<Vec<Declared>> = LazyLock::new(|| {
    let mut found = Vec::new();
    for file in under("src/").filter(|file| file.kind() == "rs") {
        let source = Source::read(&file.text, Vec::new());
        for at in source.modules().filter(|at| source.code(at + 1) == ";") {
            let name = source.code(at).trim_start_matches("r#").to_string();
            let module: Vec<String> = file.place().into_iter().chain([name]).collect();
            let stem = format!("src/{}", module.join("/"));
            let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let named = source.path_attribute(at).map(|name| format!("{folder}/{name}"));
            let paths = named.map_or_else(|| vec![format!("{stem}.rs"), format!("{stem}/mod.rs")], |path| vec![path]);
            let in_test = source.in_test(at);
            found.extend(paths.into_iter().map(|path| Declared { path, module: module.clone(), in_test }));
        }
    }
    found
});
