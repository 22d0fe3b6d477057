//! `ravelin psk`: document 000's manager of encrypted connections by login and password.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ravelin_config::account::Common;
use rustix::process::{Pid, Signal, kill_process};

use super::daemon;
use crate::cli::PskVerb;
use crate::daemon::keyed::psk::{self, Accounts};
use crate::process::{fail, print};

/// How long a manager may take to say good-bye and to undo its changes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Carries out the verb.
pub fn run(socket: PathBuf, verb: PskVerb) -> ExitCode {
    match verb {
        PskVerb::Start(args) => match Accounts::read(&args.common, &args.accounts, args.server) {
            Ok(accounts) => daemon::run_with(socket, args.daemon, Some(accounts)),
            Err(error) => fail(format_args!("{error:#}")),
        },
        PskVerb::Stop { common } => match stop(&common) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(format_args!("{error:#}")),
        },
    }
}

/// Ends the running manager and waits until nothing of it is left.
fn stop(common: &Path) -> Result<()> {
    let common = Common::read(common)?;
    let path = common.pid.context("MONITOR_PID is missing: it says which process to end")?;
    let Some(number) = psk::running(&path) else {
        print("no manager is running\n");
        return Ok(());
    };
    let pid = i32::try_from(number).ok().and_then(Pid::from_raw).context("its process number makes no sense")?;
    kill_process(pid, Signal::TERM).with_context(|| format!("cannot end process {number}"))?;
    let end = Instant::now() + PATIENCE;
    while psk::running(&path).is_some() {
        if Instant::now() > end {
            bail!("process {number} does not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
