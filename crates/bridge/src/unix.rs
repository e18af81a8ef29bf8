//! Unix sockets, also with paths that are too long for a socket address.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};

/// The longest path that a socket address holds on every platform.
const PATH_MAX: usize = 100;
/// The longest path that a program can listen on directly.
const LISTEN_MAX: usize = if cfg!(target_os = "macos") { 103 } else { 107 };

/// Why multiclaude cannot listen on a socket of this path; `None` if it can. The bridge
/// itself handles such paths.
pub fn path_fault(socket: &Path) -> Option<String> {
    let length = socket.as_os_str().len();
    (length > LISTEN_MAX).then(|| {
        format!(
            "the path of its socket has {length} bytes, and the system allows {LISTEN_MAX}: {}",
            socket.display()
        )
    })
}

/// Connects to a socket.
///
/// # Errors
/// The connection fails.
pub async fn connect(socket: &Path) -> io::Result<UnixStream> {
    let (_dir, path) = short_path(socket)?;
    UnixStream::connect(path).await
}

/// Listens on a socket that only this user can connect to. The socket of an earlier
/// process is removed: call this under a lock.
///
/// # Errors
/// The socket cannot be created.
pub fn listen(socket: &Path) -> io::Result<UnixListener> {
    crate::dirs::remove(socket)?;
    let (_dir, path) = short_path(socket)?;
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(socket, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// A short path to a socket, which is valid while the returned directory is open.
fn short_path(socket: &Path) -> io::Result<(Option<File>, PathBuf)> {
    if socket.as_os_str().len() <= PATH_MAX {
        return Ok((None, socket.to_owned()));
    }
    let (Some(dir), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let dir = File::open(dir)?;
    // Only Linux has such paths of open directories.
    let path = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name);
    Ok((Some(dir), path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_at_fault_exactly_if_no_program_can_listen_on_it() {
        for length in [LISTEN_MAX, LISTEN_MAX + 1] {
            let dir = tempfile::tempdir().unwrap();
            let rest = length - dir.path().as_os_str().len() - 1;
            let socket = dir.path().join("s".repeat(rest));
            let fault = path_fault(&socket);
            assert_eq!(std::os::unix::net::UnixListener::bind(&socket).is_err(), fault.is_some());
            assert!(fault.is_none_or(|fault| fault.contains(&format!("has {length} bytes"))));
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_socket_with_a_long_path_is_private_and_can_be_reached() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(120));
        fs::create_dir(&deep).unwrap();
        let socket = deep.join("socket");
        for _ in 0..2 {
            // The second time the first socket is still there.
            let listener = listen(&socket).unwrap();
            let (connected, accepted) = tokio::join!(connect(&socket), listener.accept());
            assert!(connected.is_ok() && accepted.is_ok());
        }
        assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
