#!/usr/bin/env bash
# tokio 1.54.1, on Linux: a task that waits with `readable().await` and reads with `try_read`
# makes two reads of the system for each small message. The second one only finds that there is
# nothing more. `AsyncReadExt::read` on the same socket makes one.
#
# The good guess that is wrong: `readable` and `try_read` are the bare form of `read`, and cost
# no more. After a read that has not filled its buffer, `read` takes the socket to be empty and
# clears its readiness; `try_read` clears it at the next EAGAIN only.
#
# Why it matters here: the server of the system call proxy answers small requests, of which a
# read is a large part; and a server that it is measured against must not read twice.
# It needs strace. Not reported: tokio's sources say it, the documentation of `try_read` does not.
set -euo pipefail
command -v strace >/dev/null || { echo "FAILED: there is no strace"; exit 1; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
mkdir src
cat >Cargo.toml <<'END'
[package]
name = "finding"
version = "0.0.0"
edition = "2024"

[dependencies]
tokio = { version = "=1.54.1", features = ["rt", "net", "io-util"] }
END
cat >src/main.rs <<'END'
use std::io::{ErrorKind, Read, Write};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Answers 1,000 messages of 24 bytes, each of which comes after the answer before.
fn main() {
    let by_readiness = std::env::args().nth(1).as_deref() == Some("try_read");
    let (server, mut client) = std::os::unix::net::UnixStream::pair().unwrap();
    server.set_nonblocking(true).unwrap();
    let asks = std::thread::spawn(move || {
        let mut bytes = [0; 24];
        for _ in 0..1000 {
            client.write_all(&bytes).unwrap();
            client.read_exact(&mut bytes).unwrap();
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async {
        let mut server = UnixStream::from_std(server).unwrap();
        let mut buffer = [0; 4096];
        loop {
            let read = if by_readiness {
                server.readable().await.unwrap();
                match server.try_read(&mut buffer) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                    read => read.unwrap(),
                }
            } else {
                server.read(&mut buffer).await.unwrap()
            };
            if read == 0 {
                break;
            }
            server.write_all(&buffer[..read]).await.unwrap();
        }
    });
    asks.join().unwrap();
}
END
cargo build --quiet --release
rustc --version
grep -A1 -E '^name = "(tokio)"' Cargo.lock | tr -d '\n'; echo
# The reads that found nothing, in hundreds.
in_vain() {
    strace -f -qq -e trace=recvfrom,read -o log target/release/finding "$1"
    echo $((($(grep -c EAGAIN log || true) + 50) / 100))
}
try_read=$(in_vain try_read) read=$(in_vain read)
echo "of 1000 messages: $((try_read * 100)) reads in vain by readable and try_read, $((read * 100)) by read"
[ "$try_read" = 10 ] && [ "$read" = 0 ] || { echo "FAILED: expected 1000 and 0"; exit 1; }
echo "OK: readable and try_read read twice for each message, read once"
