use std::fs;
use std::path::PathBuf;

use super::*;

/// A folder of one test, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ravelin-script-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    fn text(&self) -> String {
        fs::read_to_string(self.0.join("out")).unwrap_or_default()
    }

    fn job(&self, key: &str, command: &str) -> Job {
        let file = self.0.join("out").display().to_string();
        Job {
            key: key.into(),
            name: key.into(),
            command: command.into(),
            runs: vec![vec![("OUT".into(), file), ("KEY".into(), key.into())]],
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const LONG: Duration = Duration::from_secs(20);

#[test]
fn jobs_of_one_key_keep_their_order() {
    let scratch = Scratch::new("order");
    let runner = Runner::default();
    let slow = "sleep 0.2; echo first >> $OUT";
    for command in [slow, "echo second >> $OUT", "echo third >> $OUT; exit 3"] {
        assert!(runner.add(scratch.job("a", command)));
    }
    runner.finish(LONG);
    assert_eq!(scratch.text(), "first\nsecond\nthird\n");
}

#[test]
fn what_hangs_is_killed_with_what_it_began_and_holds_up_nobody_else() {
    let scratch = Scratch::new("hang");
    let runner = Runner::new(Duration::from_millis(1500));
    let begun = Instant::now();
    assert!(runner.add(scratch.job("a", "sleep 600 & echo $! > $OUT.pid; wait; echo never >> $OUT")));
    assert!(runner.add(scratch.job("a", "echo after >> $OUT")));
    assert!(runner.add(scratch.job("b", "echo beside >> $OUT")));
    while scratch.text().is_empty() {
        assert!(begun.elapsed() < LONG);
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(scratch.text(), "beside\n");
    runner.finish(LONG);
    assert_eq!(scratch.text(), "beside\nafter\n");
    let child = fs::read_to_string(scratch.0.join("out.pid")).unwrap();
    let state = || fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
    let is_over = |state: &str| state.is_empty() || state.contains(") Z");
    // Nobody waits for it: a busy system takes a moment until the signal that it was sent has ended it.
    while !is_over(&state()) {
        assert!(begun.elapsed() < LONG, "{}", state());
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_end_waits_no_longer_than_it_may() {
    let scratch = Scratch::new("end");
    let runner = Runner::default();
    assert!(runner.add(scratch.job("a", "echo begun >> $OUT; sleep 600; echo never >> $OUT")));
    assert!(runner.add(scratch.job("a", "echo never >> $OUT")));
    let begun = Instant::now();
    while scratch.text().is_empty() {
        assert!(begun.elapsed() < LONG);
        thread::sleep(Duration::from_millis(5));
    }
    runner.finish(Duration::from_millis(100));
    thread::sleep(Duration::from_millis(100));
    assert_eq!(scratch.text(), "begun\n");
}

#[test]
fn a_flood_of_words_and_what_is_left_running_end_no_later() {
    let scratch = Scratch::new("flood");
    let runner = Runner::default();
    assert!(runner.add(scratch.job("a", "head -c 1000000 /dev/zero; (sleep 5) & echo done >> $OUT")));
    assert!(runner.add(scratch.job("a", "echo next >> $OUT")));
    let begun = Instant::now();
    runner.finish(LONG);
    assert_eq!(scratch.text(), "done\nnext\n");
    assert!(begun.elapsed() < Duration::from_secs(5), "what is left running is not waited for");
}

#[test]
fn the_queue_is_bounded_but_for_what_undoes() {
    let scratch = Scratch::new("bound");
    let runner = Runner::default();
    assert!(runner.add(scratch.job("a", "sleep 600")));
    let taken = (0..MAX_WAITING + 10).filter(|_| runner.add(scratch.job("a", "echo never >> $OUT"))).count();
    // The first waits, or is under way.
    assert!((MAX_WAITING - 1..=MAX_WAITING).contains(&taken), "{taken}");
    runner.always_add(scratch.job("b", "echo undone >> $OUT"));
    let begun = Instant::now();
    while scratch.text().is_empty() {
        assert!(begun.elapsed() < LONG);
        thread::sleep(Duration::from_millis(5));
    }
    runner.finish(Duration::ZERO);
    assert_eq!(scratch.text(), "undone\n");
}

#[test]
fn no_variable_of_ours_is_inherited() {
    let scratch = Scratch::new("environment");
    let runner = Runner::default();
    assert!(runner.add(scratch.job("$(echo pwned); `id` \"'", "env | sort >> $OUT")));
    runner.finish(LONG);
    let text = scratch.text();
    let names: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    assert_eq!(names, ["KEY", "OUT", "PATH", "PWD"], "{text}");
    assert!(text.contains("KEY=$(echo pwned); `id` \"'\n"), "{text}");
}
