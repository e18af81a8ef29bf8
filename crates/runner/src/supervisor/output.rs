//! The output of a worker in two files of limited size. Its end matters most, so the older
//! file is dropped when the newer one is full.

use multiclaude_hybrid_bridge::lock::locked;
use std::fs::{self, File};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// The output of one worker.
#[derive(Debug)]
pub(super) struct Output {
    path: PathBuf,
    half: u64,
    file: Mutex<(File, u64)>,
    printed: AtomicU64,
}

fn older_file(path: &Path) -> PathBuf {
    path.with_extension("log.1")
}

fn create(path: &Path) -> io::Result<File> {
    File::options().create(true).write(true).truncate(true).mode(0o600).open(path)
}

impl Output {
    /// At most `max` bytes are kept, in `path` and the file beside it.
    pub(super) fn create(path: &Path, max: u64) -> io::Result<Self> {
        let file = Mutex::new((create(path)?, 0));
        let half = (max / 2).max(1);
        Ok(Self { path: path.to_owned(), half, file, printed: AtomicU64::new(0) })
    }

    /// Copies a pipe until its end. On a full disk output is lost, so that the worker does
    /// not have to wait.
    pub(super) fn copy(&self, mut from: impl Read) {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return,
                Ok(count) => {
                    self.printed.fetch_add(count as u64, Ordering::Relaxed);
                    let _ = self.keep(buffer.get(..count).unwrap_or_default());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    fn keep(&self, text: &[u8]) -> io::Result<()> {
        let mut file = locked(&self.file);
        if file.1 + text.len() as u64 > self.half && file.1 > 0 {
            fs::rename(&self.path, older_file(&self.path))?;
            *file = (create(&self.path)?, 0);
        }
        // Of a piece that is larger than the file may be, keep the end.
        let from = text.len().saturating_sub(usize::try_from(self.half).unwrap_or(usize::MAX));
        let text = text.get(from..).unwrap_or_default();
        file.1 += text.len() as u64;
        file.0.write_all(text)
    }

    /// The number of bytes printed, including dropped ones.
    pub(super) fn printed(&self) -> u64 {
        self.printed.load(Ordering::Relaxed)
    }

    /// Frees space on the disk by dropping output.
    pub(super) fn free_space(&self) {
        let _ = fs::remove_file(older_file(&self.path));
        let _ = locked(&self.file).0.set_len(0);
    }
}

/// The last `most` bytes of a worker's output.
pub fn tail(path: &Path, most: u64) -> Vec<u8> {
    let mut text = last_bytes(path, most);
    if (text.len() as u64) < most {
        let mut before = last_bytes(&older_file(path), most - text.len() as u64);
        before.append(&mut text);
        text = before;
    }
    text
}

fn last_bytes(path: &Path, most: u64) -> Vec<u8> {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(most)))?;
        let mut text = Vec::new();
        file.take(most).read_to_end(&mut text)?;
        Ok(text)
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_long_output_is_kept_in_limited_space() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("output.log");
        let output = Output::create(&path, 1000).unwrap();
        let text: Vec<u8> = (0..5000_u32).flat_map(|n| format!("{n}\n").into_bytes()).collect();
        for piece in text.chunks(7) {
            output.copy(piece);
        }
        assert_eq!(output.printed(), text.len() as u64);
        let sizes = [&path, &older_file(&path)].map(|path| fs::metadata(path).unwrap().len());
        assert!(sizes.iter().all(|size| *size <= 500) && sizes.iter().sum::<u64>() > 450);
        assert!(text.ends_with(&tail(&path, 300)));
        assert!(text.ends_with(&tail(&path, 100_000)) && tail(&path, 300).len() == 300);
    }

    #[test]
    fn the_end_of_a_piece_larger_than_all_space_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("output.log");
        let output = Output::create(&path, 100).unwrap();
        output.copy(&[b'a'; 10_000][..]);
        output.copy(&b"the end"[..]);
        assert!(tail(&path, 100).ends_with(b"athe end"));
    }
}
