//! How it looks.

use super::snapshot::Row;

/// The columns, and their widths; the last has what is left.
const COLUMNS: [(&str, usize); 9] = [
    ("PEER", 16),
    ("ADDRESS", 24),
    ("IKE", 5),
    ("OPENING", 7),
    ("CHILD", 6),
    ("IN", 11),
    ("OUT", 11),
    ("REKEYS", 7),
    ("LAST FAILURE", usize::MAX),
];

/// The lines of a screen of this size, with the rows from the one that is scrolled to. `trouble` stands in place of the keys.
pub fn screen(rows: &[Row], from: usize, trouble: Option<&str>, (width, height): (usize, usize)) -> Vec<String> {
    let sum = |of: fn(&Row) -> u64| rows.iter().map(of).sum::<u64>();
    let totals = format!(
        "ravelin: {} peers, {} IKE SAs, {} Child SAs, {} in, {} out",
        rows.len(),
        sum(|row| row.peer.ike_sas),
        sum(|row| row.peer.children),
        per_second(sum(|row| row.rates[0])),
        per_second(sum(|row| row.rates[1]))
    );
    let mut lines = vec![totals, line(COLUMNS.map(|(name, _)| name.to_owned()))];
    lines.extend(rows.iter().skip(from).take(height.saturating_sub(3)).map(row));
    lines.resize(height.saturating_sub(1).max(1), String::new());
    lines.push(trouble.unwrap_or("q ends, the arrows scroll").to_owned());
    lines.truncate(height);
    lines.iter().map(|line| line.chars().take(width).collect()).collect()
}

fn row(row: &Row) -> String {
    let peer = &row.peer;
    let failure = peer.failure.as_ref().map(|(age, what)| format!("{}: {what}", ago(*age))).unwrap_or_default();
    line([
        row.name.clone(),
        peer.address.clone(),
        peer.ike_sas.to_string(),
        peer.half.to_string(),
        peer.children.to_string(),
        per_second(row.rates[0]),
        per_second(row.rates[1]),
        peer.rekeys.to_string(),
        failure,
    ])
}

fn line(cells: [String; 9]) -> String {
    let mut line = String::new();
    for ((_, width), cell) in COLUMNS.iter().zip(cells) {
        let cell: String = cell.chars().take(*width).collect();
        let blanks = if *width == usize::MAX { 0 } else { width + 1 - cell.chars().count() };
        line.push_str(&cell);
        line.push_str(&" ".repeat(blanks));
    }
    line.trim_end().to_owned()
}

/// Bits in a second, as links are measured.
fn per_second(bytes: u64) -> String {
    let bits = bytes.saturating_mul(8);
    match bits {
        0..1_000 => format!("{bits} b/s"),
        1_000..1_000_000 => format!("{:.1} kb/s", bits as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} Mb/s", bits as f64 / 1e6),
        _ => format!("{:.1} Gb/s", bits as f64 / 1e9),
    }
}

fn ago(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7200 => format!("{} min ago", seconds / 60),
        _ => format!("{} h ago", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::snapshot::{self, tests::moment};
    use super::*;

    #[test]
    fn peers_rates_rekeys_and_failures_are_shown() {
        let start = Instant::now();
        let (before, now) = (moment(start, 0, [0, 0]), moment(start, 1, [1_000_000, 100]));
        let rows = snapshot::rows(&now, Some(&before));
        let shown = screen(&rows, 0, None, (130, 6));
        assert_eq!(shown[0], "ravelin: 2 peers, 1 IKE SAs, 1 Child SAs, 8.0 Mb/s in, 800 b/s out");
        assert!(shown[1].starts_with("PEER             ADDRESS") && shown[1].ends_with("LAST FAILURE"), "{shown:#?}");
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(&shown[2]), "hq 192.0.2.1 1 0 1 8.0 Mb/s 800 b/s 3");
        assert_eq!(words(&shown[3]), "branch 192.0.2.7 0 0 0 0 b/s 0 b/s 0 7 s ago: the peer does not answer");
        assert_eq!((shown.len(), shown[5].as_str()), (6, "q ends, the arrows scroll"));
        let scrolled = screen(&rows, 1, Some("the daemon does not answer"), (130, 6));
        assert!(scrolled[2].starts_with("branch") && scrolled[5] == "the daemon does not answer");
        // Nothing is too small.
        for size in [(0, 0), (1, 1), (5, 2), (3, 3)] {
            let shown = screen(&rows, 0, None, size);
            assert!(shown.len() <= size.1 && shown.iter().all(|line| line.chars().count() <= size.0), "{shown:?}");
        }
    }

    #[test]
    fn units() {
        assert_eq!(
            [0, 124, 125, 125_000, 125_000_000].map(per_second),
            ["0 b/s", "992 b/s", "1.0 kb/s", "1.0 Mb/s", "1.0 Gb/s"]
        );
        assert_eq!([5, 119, 120, 7200].map(ago), ["5 s ago", "119 s ago", "2 min ago", "2 h ago"]);
    }
}
