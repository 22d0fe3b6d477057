//! `ravelin decode`

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use ravelin_config::secret;
use ravelin_decode::keys::{Keys, TABLES};
use ravelin_decode::render::{json, text};
use ravelin_decode::{Decoder, Options, capture};

use crate::cli::DecodeArgs;
use crate::process::fail;
use crate::render::secrecy;

/// The largest file of keys.
const MAX_KEY_FILE: u64 = 64 << 20;

/// Reads a capture and says what is in it.
pub fn run(args: &DecodeArgs) -> ExitCode {
    match decode(args) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads our output has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => fail(format!("{error:#}")),
    }
}

fn decode(args: &DecodeArgs) -> Result<()> {
    let mut keys = Keys::default();
    for path in args.keys.iter().map(|path| tables(path)).collect::<Result<Vec<_>>>()?.iter().flatten() {
        let name = path.display();
        let size = path.metadata().with_context(|| format!("cannot read the keys in {name}"))?.len();
        anyhow::ensure!(size <= MAX_KEY_FILE, "{name} has {size} bytes: a file of keys has at most {MAX_KEY_FILE}");
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the keys in {name}"))?;
        keys.add(&text).map_err(|bad| anyhow::anyhow!("{name}, {bad}"))?;
    }
    for path in &args.psk {
        keys.add_psk(secret::read(path)?);
    }
    let input = File::open(&args.file).with_context(|| format!("cannot open {}", args.file.display()))?;
    let mut decoder = Decoder::new(keys, Options { ignore_icv: args.ignore_icv });
    let shown = secrecy(args.show);
    let style = text::Style { shown, hex: args.hex };
    let mut out = BufWriter::new(io::stdout().lock());
    let mut written = Ok(());
    let mut last = 0;
    let read = capture::frames(input, |number, frame| {
        last = number;
        let decoded = decoder.packet(frame.link, &frame.data);
        if written.is_err() || args.frame.is_some_and(|wanted| wanted.get() != number) {
            return;
        }
        written = if args.json {
            writeln!(out, "{}", json::frame(number, frame.time, &decoded, shown))
        } else {
            let when = frame.time.map_or_else(|| "-".into(), text::time);
            out.write_all(text::frame(number, &when, &frame.data, &decoded, style).as_bytes())
        };
    });
    written.and_then(|()| out.flush())?;
    read.with_context(|| args.file.display().to_string())?;
    match args.frame {
        Some(wanted) if wanted.get() > last => {
            bail!("there is no frame {wanted}: the last of {} is {last}", args.file.display())
        }
        _ => Ok(()),
    }
}

/// The files of a directory of keys; any other is one itself.
fn tables(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let files: Vec<PathBuf> = TABLES.iter().map(|table| path.join(table)).filter(|file| file.exists()).collect();
    anyhow::ensure!(!files.is_empty(), "{} has no keys: expected one of {}", path.display(), TABLES.join(", "));
    Ok(files)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
