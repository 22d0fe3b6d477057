//! The interop cases as a test program of its own, because the standard harness cannot count what was skipped.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use ravelin_interop::runner::{self, Options, Places};
use ravelin_interop::{contract, crowd, hostapd, pfkey, traffic};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["gre", device, local, remote] => gre(device, local, remote),
        ["serve", port] => serve(port),
        ["send", from, to, port, bytes] => send(from, to, port, bytes),
        ["crowd", own] => serve_crowd(own),
        ["crowd", from, to, count] => crowd_of(from, to, count),
        ["auc", path] => hostapd::serve_auc(Path::new(path)).map(|()| ExitCode::SUCCESS),
        ["pfkey", "list"] => pfkey::list().map(|()| ExitCode::SUCCESS),
        ["pfkey", "add", direction, from, to, spi] => add_by_pfkey(direction, from, to, spi),
        ["contract", name] => contract::case(name).map(|()| ExitCode::SUCCESS),
        _ => Options::parse(arguments.into_iter()).and_then(|options| runner::run(&options, &places()?)),
    };
    done.unwrap_or_else(|error| {
        eprintln!("{error:#}");
        ExitCode::FAILURE
    })
}

fn places() -> Result<Places> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("the target folder")?;
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("debug").join("ravelin");
    let ravelin = std::env::var_os("RAVELIN_BIN").map_or(built, PathBuf::from);
    Ok(Places {
        smoltcp: ravelin.with_file_name("ravelin-smoltcp"),
        ravelin,
        source: PathBuf::from(env!("CARGO_MANIFEST_DIR")),
        lwip: target.join("interop-lwip/ravelin-lwip"),
        results: target.join("interop"),
        cache: target.join("interop-guest"),
        helper: std::env::current_exe()?,
    })
}

fn serve(port: &str) -> Result<ExitCode> {
    traffic::serve(port.parse()?)?;
    Ok(ExitCode::SUCCESS)
}

fn crowd_of(from: &str, to: &str, count: &str) -> Result<ExitCode> {
    crowd::run(from.parse()?, to.parse()?, count.parse()?)?;
    Ok(ExitCode::SUCCESS)
}

fn serve_crowd(own: &str) -> Result<ExitCode> {
    crowd::serve(own.parse()?)?;
    Ok(ExitCode::SUCCESS)
}

fn add_by_pfkey(direction: &str, from: &str, to: &str, spi: &str) -> Result<ExitCode> {
    pfkey::add(direction, from.parse()?, to.parse()?, spi)?;
    Ok(ExitCode::SUCCESS)
}

fn gre(device: &str, local: &str, remote: &str) -> Result<ExitCode> {
    ravelin_interop::gre::serve(device, local.parse()?, remote.parse()?)?;
    Ok(ExitCode::SUCCESS)
}

fn send(from: &str, to: &str, port: &str, bytes: &str) -> Result<ExitCode> {
    let to = SocketAddr::new(to.parse::<IpAddr>()?, port.parse()?);
    traffic::send(from.parse()?, to, bytes.parse()?)?;
    Ok(ExitCode::SUCCESS)
}
