//! What the bench is told.

use crate::Failure;

pub const HELP: &str = "\
What Signet adds to asking a hook, over calling its receiver directly.

  cargo bench --bench hooks -- [--calls N] [--callers N] [--strict]

  --calls N     calls of each caller that are measured, of each kind (2000)
  --callers N   how many ask at a time (1)
  --strict      end with an error when more is added at p99 than is meant to be
";

pub struct Args {
    pub calls: usize,
    pub callers: usize,
    pub is_strict: bool,
}

impl Args {
    /// Reads the words of the command line; `None` when help is wanted.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, Failure> {
        let mut args = Self { calls: 2_000, callers: 1, is_strict: false };
        while let Some(word) = words.next() {
            let mut count = || -> Result<usize, Failure> {
                let count = words.next().and_then(|word| word.parse().ok()).filter(|count| *count > 0);
                count.ok_or_else(|| format!("{word} wants a number").into())
            };
            match word.as_str() {
                "--calls" => args.calls = count()?,
                "--callers" => args.callers = count()?,
                "--strict" => args.is_strict = true,
                "--help" | "-h" => return Ok(None),
                // What cargo says to every bench.
                "--bench" | "--test" => {}
                _ => return Err(format!("{word} is not understood\n\n{HELP}").into()),
            }
        }
        Ok(Some(args))
    }
}
