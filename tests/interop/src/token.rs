//! A PKCS #11 token with Ravelin's private key: SoftHSM's. The file with the key goes, so that nothing else can sign.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process::run;

/// The program, which the lab needs for cases with a line `token`.
pub const PROGRAM: &str = "softhsm2-util";

/// Where SoftHSM learns of its tokens.
pub const VARIABLE: &str = "SOFTHSM2_CONF";

/// The PIN of the token, which is in `pki/pin` too.
const PIN: &str = "5678";

/// What [`VARIABLE`] says below the folder of a case.
pub fn configuration(folder: &Path) -> std::path::PathBuf {
    folder.join("token/conf")
}

/// Moves the key of Ravelin's certificate onto a token: the token, the key and its ID are `lab`, `ravelin` and 01.
pub fn make(folder: &Path) -> Result<()> {
    let (conf, tokens) = (configuration(folder), folder.join("token/tokens"));
    fs::create_dir_all(&tokens)?;
    fs::write(&conf, format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display()))?;
    let pin = folder.join("pki/pin");
    fs::write(&pin, PIN)?;
    fs::set_permissions(&pin, fs::Permissions::from_mode(0o600))?;
    let key = folder.join("pki/ravelin.key");
    let key_text = key.display().to_string();
    for arguments in [
        &["--init-token", "--free", "--label", "lab", "--so-pin", "1234", "--pin", PIN][..],
        &["--import", &key_text, "--token", "lab", "--label", "ravelin", "--id", "01", "--pin", PIN],
    ] {
        let answer = run(Command::new(PROGRAM).args(arguments).env(VARIABLE, &conf))?;
        ensure!(answer.ok, "{PROGRAM}: {}", answer.text.trim());
    }
    for file in [key, folder.join("ravelin/private/ravelin.key")] {
        fs::remove_file(&file).with_context(|| file.display().to_string())?;
    }
    Ok(())
}
