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
# Not reported: tokio's sources say it, the documentation of `try_read` does not.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/src"
cat > "$dir/Cargo.toml" <<'TOML'
[package]
name = "second-read"
version = "0.0.0"
edition = "2021"

[dependencies]
tokio = { version = "=1.54.1", features = ["rt", "net", "io-util"] }
TOML
cat > "$dir/src/main.rs" <<'RUST'
use std::io::{ErrorKind, Read, Write};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

const MESSAGES: u64 = 2000;

/// How many reads this thread has made, by the system's own count.
fn reads() -> u64 {
    let io = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("syscr: ")).unwrap();
    line.parse().unwrap()
}

/// Answers messages of 24 bytes, each after the one before: reads for each.
fn answer(by_readiness: bool) -> f64 {
    let (server, mut client) = std::os::unix::net::UnixStream::pair().unwrap();
    server.set_nonblocking(true).unwrap();
    let asks = std::thread::spawn(move || {
        let mut bytes = [0; 24];
        for _ in 0..MESSAGES {
            client.write_all(&bytes).unwrap();
            client.read_exact(&mut bytes).unwrap();
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let made = runtime.block_on(async {
        let mut server = UnixStream::from_std(server).unwrap();
        let (mut buffer, before) = ([0; 4096], reads());
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
                return reads() - before;
            }
            server.write_all(&buffer[..read]).await.unwrap();
        }
    });
    asks.join().unwrap();
    made as f64 / MESSAGES as f64
}

fn main() {
    let (by_readiness, by_read) = (answer(true), answer(false));
    println!("{by_readiness:.1} reads a message by readable and try_read, {by_read:.1} by read");
}
RUST
cd "$dir"
cargo build --quiet --release
rustc --version
grep -A1 -E '^name = "(tokio)"' Cargo.lock | tr -d '\n'; echo
out=$(target/release/second-read)
printf '%s\n' "$out"
expected='2.0 reads a message by readable and try_read, 1.0 by read'
[ "$out" = "$expected" ] || { echo "FAILED: expected $expected"; exit 1; }
echo "OK: readable and try_read read twice for each message, read once"
