//! The words about what programs say: command lines, listings, logs.

use std::process::Command;

use anyhow::{Result, bail, ensure};

use super::Scene;
use crate::lab::ROUTER;
use crate::node::ravelin::SOCKET;
use crate::plan::SECRET;
use crate::process::{run as run_command, wait_for};
use crate::radius;

/// How long a line may take to appear in a log.
const LOG: u64 = 15;
/// How long a record of an account may take: two updates are a minute apart at least.
const ACCOUNT: u64 = 80;

pub(super) fn ravelin(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let line = filled(scene, &words[0])?;
    let said = scene.ravelin.command(&line)?;
    for text in &words[1..] {
        let text = scene.plan.fill(text, &[])?;
        ensure!(said.contains(&text), "`{text}` is not in what `{line}` says:\n{said}");
    }
    Ok(())
}

pub(super) fn refused(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let line = scene.plan.fill(&words[0], &[])?;
    let why = match scene.ravelin.command(&line) {
        Ok(said) => bail!("`{line}` is not refused:\n{said}"),
        Err(error) => format!("{error:#}"),
    };
    for text in &words[1..] {
        let text = scene.plan.fill(text, &[])?;
        ensure!(why.contains(&text), "`{text}` is not in why `{line}` is refused:\n{why}");
    }
    Ok(())
}

pub(super) fn swanctl(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let mut command = Command::new("swanctl");
    command.args(words[0].split_whitespace()).args(["--uri", &format!("unix://{SOCKET}")]);
    let answer = run_command(command.env("SWANCTL_DIR", scene.folder.join("ravelin")))?;
    ensure!(answer.ok, "swanctl {}: {}", words[0], answer.text);
    says(scene, words, &answer.text)
}

pub(super) fn peer(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let answer = scene.swan.command(&words[0])?;
    says(scene, words, &answer)
}

/// Whether all texts behind the arguments are in what swanctl says. Listings are aligned with blanks.
fn says(scene: &Scene<'_>, words: &[String], answer: &str) -> Result<()> {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let said = plain(answer);
    for text in &words[1..] {
        let text = plain(&scene.plan.fill(text, &[])?);
        ensure!(said.contains(&text), "`{text}` is not in what swanctl {} says: {answer}", words[0]);
    }
    Ok(())
}

/// A line with what it names filled in: also files and programs.
fn filled(scene: &Scene<'_>, line: &str) -> Result<String> {
    let pki = scene.folder.join("pki").display().to_string();
    let helper = scene.helper.display().to_string();
    scene.plan.fill(line, &[("pki", &pki), ("psk", SECRET), ("helper", &helper)])
}

pub(super) fn sh(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let line = filled(scene, &words[1])?;
    match words[0].as_str() {
        "ravelin" => scene.ravelin_host.sh(&line),
        "swan" => scene.swan_host.sh(&line),
        "router" => ROUTER.sh(&line),
        other => bail!("`{other}`: expected ravelin, swan or router"),
    }
    .map(drop)
}

pub(super) fn account(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    let texts = words[1..].iter().map(|text| scene.plan.fill(text, &[])).collect::<Result<Vec<_>>>()?;
    let kind = format!("Acct-Status-Type = {}\n", words[0]);
    let file = radius::detail(scene.folder);
    wait_for(ACCOUNT, &format!("a record {}", words[0]), || {
        let all = std::fs::read_to_string(&file).unwrap_or_default().replace('"', "");
        let Some(record) = all.split("\n\n").filter(|record| format!("{record}\n").contains(&kind)).last() else {
            bail!("it wrote down:\n{all}");
        };
        for text in &texts {
            let says = match text.strip_suffix(">0") {
                Some(name) => record.contains(&format!("\t{name} = ")) && !record.contains(&format!("\t{name} = 0")),
                None => record.contains(text),
            };
            ensure!(says, "`{text}` is not in\n{record}");
        }
        Ok(())
    })
}

pub(super) fn log(scene: &mut Scene<'_>, words: &[String]) -> Result<()> {
    for text in &words[1..] {
        wait_for(LOG, &format!("`{text}`"), || {
            let said = scene.said(&words[0])?;
            ensure!(said.contains(text.as_str()), "it said, last:\n{}", last_lines(&said));
            Ok(())
        })?;
    }
    Ok(())
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
