use super::*;
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder that is removed with its content.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("ravelin-store-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn log(&self) -> PathBuf {
        self.0.join("journal")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn records() -> Vec<Record> {
    vec![
        Record::Changing(SystemChange::FilterTable("ravelin".into())),
        Record::Changing(SystemChange::RoutingRules { priority: 5210, table: 29302 }),
        Record::Changing(SystemChange::RoutingRules { priority: 40000, table: 29303 }),
        Record::Changing(SystemChange::FilterTable("other".into())),
        Record::Undone(SystemChange::RoutingRules { priority: 5210, table: 29302 }),
    ]
}

fn load(store: &mut FileStore) -> Vec<Record> {
    let mut all = Vec::new();
    store.load(&mut |record| all.push(record)).unwrap();
    all
}

fn written(folder: &Folder) -> Vec<u8> {
    let mut store = FileStore::open(folder.log()).unwrap();
    for record in records() {
        store.append(&record).unwrap();
    }
    drop(store);
    std::fs::read(folder.log()).unwrap()
}

#[test]
fn records_survive_and_the_file_is_private() {
    let folder = Folder::new();
    written(&folder);
    std::fs::set_permissions(folder.log(), Permissions::from_mode(0o644)).unwrap();
    assert_eq!(load(&mut FileStore::open(folder.log()).unwrap()), records());
    assert_eq!(std::fs::metadata(folder.log()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_log_cut_at_any_byte_keeps_the_whole_records_and_takes_new_ones() {
    let folder = Folder::new();
    let bytes = written(&folder);
    let mut ends = vec![MAGIC.len()];
    for record in records() {
        ends.push(ends[ends.len() - 1] + codec::encode(&record).unwrap().len());
    }
    let extra = Record::Changing(SystemChange::FilterTable("extra".into()));
    for length in 0..=bytes.len() {
        std::fs::write(folder.log(), &bytes[..length]).unwrap();
        let whole = ends.iter().filter(|&&end| end <= length).count().saturating_sub(1);
        let mut expected = records()[..whole].to_vec();
        let mut store = FileStore::open(folder.log()).unwrap();
        assert_eq!(load(&mut store), expected, "cut at {length}");
        store.append(&extra).unwrap();
        expected.push(extra.clone());
        drop(store);
        assert_eq!(load(&mut FileStore::open(folder.log()).unwrap()), expected, "cut at {length}, then appended");
    }
}

#[test]
fn an_end_that_was_made_longer_but_not_written_is_left_out() {
    let folder = Folder::new();
    let mut bytes = written(&folder);
    bytes.extend_from_slice(&[0; 40]);
    std::fs::write(folder.log(), &bytes).unwrap();
    assert_eq!(load(&mut FileStore::open(folder.log()).unwrap()), records());
}

#[test]
fn a_flipped_bit_before_the_last_record_is_an_error_with_file_and_offset() {
    let folder = Folder::new();
    let bytes = written(&folder);
    let last = bytes.len() - codec::encode(&records()[4]).unwrap().len();
    for at in 0..last {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        std::fs::write(folder.log(), &damaged).unwrap();
        let error = FileStore::open(folder.log()).unwrap_err().0;
        assert!(error.contains("journal is damaged at offset "), "flipped {at}: {error}");
        assert_eq!(std::fs::read(folder.log()).unwrap(), damaged, "a damaged log is left as it is");
    }
}

#[test]
fn when_all_is_undone_opening_empties_the_log() {
    let folder = Folder::new();
    let mut store = FileStore::open(folder.log()).unwrap();
    let table = SystemChange::FilterTable("ravelin".into());
    store.append(&Record::Changing(table.clone())).unwrap();
    store.append(&Record::Undone(table)).unwrap();
    drop(store);
    assert_eq!(load(&mut FileStore::open(folder.log()).unwrap()), []);
    assert_eq!(std::fs::read(folder.log()).unwrap(), MAGIC);
}

#[test]
fn two_daemons_do_not_share_a_log() {
    let folder = Folder::new();
    let first = FileStore::open(folder.log()).unwrap();
    assert!(FileStore::open(folder.log()).unwrap_err().0.contains("is in use by another ravelin daemon"));
    drop(first);
    assert!(FileStore::open(folder.log()).is_ok());
}

#[test]
fn a_foreign_file_is_refused_and_left_alone() {
    let folder = Folder::new();
    std::fs::write(folder.log(), "nothing of ours\n").unwrap();
    assert!(FileStore::open(folder.log()).unwrap_err().0.contains("not a log of this version"));
    assert_eq!(std::fs::read(folder.log()).unwrap(), b"nothing of ours\n");
}

#[test]
fn a_name_too_long_for_the_log_is_refused() {
    let folder = Folder::new();
    let mut store = FileStore::open(folder.log()).unwrap();
    let error = store.append(&Record::Changing(SystemChange::FilterTable("x".repeat(5000)))).unwrap_err();
    assert!(error.0.contains("longer than"), "{error}");
    assert_eq!(load(&mut store), []);
}
