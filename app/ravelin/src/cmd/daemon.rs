//! `ravelin daemon`

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use crate::cli::DaemonArgs;
use crate::daemon::event_loop::{self, Settings};
use crate::daemon::keyed::psk::Accounts;
use crate::daemon::plane;
use crate::daemon::reload::Files;
use crate::process::{USAGE, fail};

/// Runs the daemon in the foreground.
pub fn run(socket: PathBuf, args: DaemonArgs) -> ExitCode {
    run_with(socket, args, None)
}

/// Runs the daemon with the accounts of the PSK manager.
pub fn run_with(socket: PathBuf, args: DaemonArgs, accounts: Option<Accounts>) -> ExitCode {
    let filter = match EnvFilter::try_new(&args.log) {
        Ok(filter) => filter,
        Err(error) => {
            eprintln!("error: the log filter `{}` makes no sense: {error}", args.log);
            return ExitCode::from(USAGE);
        }
    };
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(false).init();
    let settings = Settings {
        socket,
        keying_socket: args.keying_socket,
        files: Files { rc: args.rc, swanctl: args.swanctl, test_bypass: args.test_bypass_policies },
        accounts,
        state_dir: args.state_dir,
        puzzles: args.puzzles,
        plane: plane::Settings {
            choice: args.data_plane,
            #[cfg(feature = "tun")]
            device: args.device,
            #[cfg(feature = "tun")]
            workers: args.workers,
            #[cfg(feature = "kernel")]
            acquire: args.acquire_time,
            tcp_port: args.tcp_port,
        },
        address_device: args.address_device,
        resolver: args.resolver,
        key_log: args.key_log,
    };
    match event_loop::run(&settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(format_args!("{error:#}")),
    }
}
