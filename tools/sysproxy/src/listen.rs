//! Where a server listens, and whom it lets in.

use crate::stream::Stream;
use crate::url::Url;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{env, fs, process};
use tokio::net::{TcpListener, UnixListener, UnixStream};

/// Who may reach a server that listens at an internet address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Admit {
    /// Programs of this machine.
    #[default]
    Local,
    /// Whoever can connect: each is the superuser in the kernel, and nobody is asked for a
    /// secret.
    Anybody,
}

enum Socket {
    Unix(UnixListener, Place),
    Tcp(TcpListener),
}

/// A socket in the file system, which goes with its server.
struct Place {
    path: PathBuf,
    /// Which file it is, by device and number.
    file: (u64, u64),
    /// Whose it is.
    owner: u32,
}

pub(crate) struct Listener {
    socket: Socket,
    url: Url,
}

impl Listener {
    pub(crate) async fn bind(url: &Url, admit: Admit) -> io::Result<Self> {
        match url {
            Url::Unix(path) => {
                // As the client's library does, so that a change of directory is none here.
                let path = env::current_dir()?.join(path);
                let (socket, place) = bind_unix(&path).await?;
                Ok(Self { socket: Socket::Unix(socket, place), url: Url::Unix(path) })
            }
            Url::Tcp(_) if admit == Admit::Local && !url.is_local() => {
                let why = "other machines would reach it, and the protocol has no secret";
                Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
            }
            Url::Tcp(address) => {
                let socket = TcpListener::bind(address).await?;
                let url = Url::Tcp(socket.local_addr()?);
                Ok(Self { socket: Socket::Tcp(socket), url })
            }
        }
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// The next client that may come in.
    pub(crate) async fn accept(&self) -> io::Result<Stream> {
        loop {
            match &self.socket {
                Socket::Unix(socket, place) => {
                    let (stream, _) = socket.accept().await?;
                    let user = stream.peer_cred().map(|peer| peer.uid());
                    if user.is_ok_and(|user| user == place.owner || user == 0) {
                        return Ok(Stream::Unix(stream));
                    }
                }
                Socket::Tcp(socket) => {
                    let (stream, _) = socket.accept().await?;
                    stream.set_nodelay(true)?;
                    return Ok(Stream::Tcp(stream));
                }
            }
        }
    }
}

/// Binds beside the path, closes the socket to others, and then moves it there in one step:
/// so nobody ever finds it open to all, and one that is left of a server that was killed
/// stops nobody.
async fn bind_unix(path: &Path) -> io::Result<(UnixListener, Place)> {
    match fs::symlink_metadata(path) {
        Ok(there) if !there.file_type().is_socket() => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "there is a file that is no socket",
            ));
        }
        Ok(_) if UnixStream::connect(path).await.is_ok() => {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another server listens there"));
        }
        _ => {}
    }
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    // Short, since the whole has 108 bytes.
    let beside =
        path.with_file_name(format!(".{:x}{}", process::id(), name.get(..4).unwrap_or("")));
    let _left_of_another = fs::remove_file(&beside);
    let socket = UnixListener::bind(&beside)?;
    let placed = fs::set_permissions(&beside, fs::Permissions::from_mode(0o600))
        .and_then(|()| fs::rename(&beside, path))
        .and_then(|()| fs::symlink_metadata(path));
    let there = placed.inspect_err(|_| drop(fs::remove_file(&beside)))?;
    let (file, owner) = ((there.dev(), there.ino()), there.uid());
    Ok((socket, Place { path: path.to_owned(), file, owner }))
}

impl Drop for Place {
    fn drop(&mut self) {
        // Another server may have replaced it.
        let own = |there: &fs::Metadata| (there.dev(), there.ino()) == self.file;
        if fs::symlink_metadata(&self.path).as_ref().is_ok_and(own) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
