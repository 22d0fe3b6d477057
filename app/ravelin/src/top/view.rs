//! How it looks.

use super::snapshot::Row;

/// The columns.
const COLUMNS: [&str; 8] = ["PEER", "ADDRESS", "IKE", "OPENING", "CHILD", "IN", "OUT", "REKEYS"];
/// Those that a narrow terminal can do without, the first to go first.
const DISPENSABLE: [usize; 4] = [3, 7, 4, 2];

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
    let shown: Vec<([String; 8], &Row)> = rows.iter().map(|row| (cells(row), row)).collect();
    let header = COLUMNS.map(str::to_owned);
    let widths = widths(std::iter::once(&header).chain(shown.iter().map(|(cells, _)| cells)), width);
    let mut lines = vec![totals, line(&header, &widths)];
    let below = shown.iter().skip(from).flat_map(|(cells, row)| {
        let failure = row.peer.failure.as_ref().map(|(age, what)| format!("  failed {}: {what}", ago(*age)));
        std::iter::once(line(cells, &widths)).chain(failure)
    });
    lines.extend(below.take(height.saturating_sub(3)));
    lines.resize(height.saturating_sub(1).max(1), String::new());
    lines.push(trouble.unwrap_or("q ends, the arrows scroll").to_owned());
    lines.truncate(height);
    lines.iter().map(|line| line.chars().take(width).collect()).collect()
}

fn cells(row: &Row) -> [String; 8] {
    let peer = &row.peer;
    [
        row.name.clone(),
        peer.address.clone(),
        peer.ike_sas.to_string(),
        peer.half.to_string(),
        peer.children.to_string(),
        per_second(row.rates[0]),
        per_second(row.rates[1]),
        peer.rekeys.to_string(),
    ]
}

/// What each column needs, 0 for one that has no place.
fn widths<'a>(lines: impl Iterator<Item = &'a [String; 8]>, width: usize) -> [usize; 8] {
    let mut widths = [0; 8];
    for cells in lines {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for column in DISPENSABLE {
        // With a blank between each two.
        if widths.iter().filter(|width| **width > 0).map(|width| width + 1).sum::<usize>() > width + 1 {
            widths[column] = 0;
        }
    }
    widths
}

fn line(cells: &[String; 8], widths: &[usize; 8]) -> String {
    let shown = cells.iter().zip(widths).filter(|(_, width)| **width > 0);
    let padded: Vec<String> = shown.map(|(cell, width)| format!("{cell:<width$}")).collect();
    padded.join(" ").trim_end().to_owned()
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
        let shown = screen(&rows, 0, None, (80, 7));
        assert_eq!(shown[0], "ravelin: 2 peers, 1 IKE SAs, 1 Child SAs, 8.0 Mb/s in, 800 b/s out");
        assert_eq!(shown[1], "PEER   ADDRESS   IKE OPENING CHILD IN       OUT     REKEYS");
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(&shown[2]), "hq 192.0.2.1 1 0 1 8.0 Mb/s 800 b/s 3");
        assert_eq!(words(&shown[3]), "branch 192.0.2.7 0 0 0 0 b/s 0 b/s 0");
        assert_eq!(shown[4], "  failed 7 s ago: the peer does not answer");
        assert_eq!((shown.len(), shown[6].as_str()), (7, "q ends, the arrows scroll"));
        let scrolled = screen(&rows, 1, Some("the daemon does not answer"), (130, 6));
        assert!(scrolled[2].starts_with("branch") && scrolled[5] == "the daemon does not answer");
        // A narrow terminal does without the columns that say least.
        let narrow = screen(&rows, 0, None, (40, 7));
        assert_eq!(narrow[1], "PEER   ADDRESS   IKE IN       OUT");
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
