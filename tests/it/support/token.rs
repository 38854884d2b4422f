//! A PKCS #11 token that a test has for itself: SoftHSM's, in a temporary folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Where distributions put SoftHSM's module.
const MODULES: [&str; 3] =
    ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so"];
/// By which a test knows that it runs in the process that was started for it.
const OWN_PROCESS: &str = "SIGNET_TEST_TOKEN_FOLDER";

pub const LABEL: &str = "signet test";
pub const PIN: &str = "a-pin-that-nobody-guesses";

/// A token in a folder; the folder ends with its owner.
pub struct Token {
    folder: PathBuf,
    _owned: Option<TempDir>,
}

impl Token {
    /// An initialised token without keys.
    pub fn make() -> Self {
        let owned = tempfile::tempdir().unwrap();
        let folder = owned.path().to_owned();
        fs::create_dir(folder.join("tokens")).unwrap();
        let configuration = format!("directories.tokendir = {}\nlog.level = ERROR\n", folder.join("tokens").display());
        fs::write(folder.join("softhsm2.conf"), configuration).unwrap();
        let token = Self { folder, _owned: Some(owned) };
        let made = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", LABEL, "--pin", PIN, "--so-pin", "security officer"])
            .env("SOFTHSM2_CONF", token.configuration())
            .output()
            .expect("softhsm2-util is there; on Debian it is in the package softhsm2");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        token
    }

    pub fn configuration(&self) -> PathBuf {
        self.folder.join("softhsm2.conf")
    }

    /// The folder that holds everything that the token knows.
    pub fn tokens(&self) -> PathBuf {
        self.folder.join("tokens")
    }
}

/// What a server that makes its keys in a test's token is told.
pub fn settings() -> [(&'static str, &'static str); 4] {
    [
        ("SIGNET_KEY_PROVIDER", "pkcs11"),
        ("SIGNET_PKCS11_MODULE", module()),
        ("SIGNET_PKCS11_TOKEN", LABEL),
        ("SIGNET_PKCS11_PIN", PIN),
    ]
}

pub fn module() -> &'static str {
    MODULES.into_iter().find(|module| Path::new(module).exists()).expect("SoftHSM's module is there")
}

/// Runs a test of this name in a process of its own with a token of its own. SoftHSM learns where its tokens are from the
/// environment alone, which a process cannot safely change for itself.
#[expect(clippy::disallowed_methods, reason = "what tests run on is no setting of the server")]
pub async fn with_token(name: &str, test: impl AsyncFnOnce(Token)) {
    if let Ok(folder) = std::env::var(OWN_PROCESS) {
        test(Token { folder: PathBuf::from(folder), _owned: None }).await;
        return;
    }
    let token = Token::make();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(OWN_PROCESS, &token.folder)
        .env("SOFTHSM2_CONF", token.configuration())
        .output()
        .unwrap();
    let said = [child.stdout, child.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
    println!("{said}");
}
