//! Cursors: where a walk through a list goes on, and that it was Signet who said so.
//!
//! What authenticates them is derived from the master keys, which every node has and no caller knows. So nothing is stored
//! for them, every node accepts those of the others, and a restart changes nothing. After a change of master key, a cursor
//! is good for as long as the key before is held.

use super::Engine;

/// Keeps these codes apart from all others that are made under a master key.
const PURPOSE: &[u8] = b"cursor";
const CODE_BYTES: usize = 32;

impl Engine {
    /// A cursor for a position in a list, which it is bound to.
    pub fn cursor(&self, list: &[&[u8]], position: &[u8]) -> Vec<u8> {
        let code = self.master_keys.code(&parts(list, position));
        [&code[..], position].concat()
    }

    /// The position of a cursor that was made for this list; `None` when it was not.
    pub fn position(&self, list: &[&[u8]], cursor: &[u8]) -> Option<Vec<u8>> {
        let (code, position) = cursor.split_first_chunk::<CODE_BYTES>()?;
        self.master_keys.is_code(code, &parts(list, position)).then(|| position.to_vec())
    }
}

fn parts<'a>(list: &[&'a [u8]], position: &'a [u8]) -> Vec<&'a [u8]> {
    [PURPOSE].into_iter().chain(list.iter().copied()).chain([position]).collect()
}
