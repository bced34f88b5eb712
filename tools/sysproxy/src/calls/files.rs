//! Descriptors, and what is read and written through them.

use super::ids::nothing;
use super::{Answer, Call, Done, Malformed, NetBsd};
use crate::file::{self, Access, File, Null, O_NONBLOCK, O_NOSIGPIPE, OpenFile, Zero};
use crate::pipe;
use crate::{Host, MAX_PIPES};
use lwproc::{CloseRange, Entered, Errno, Fd, FdError, FileHandle, OnExec, Signo};
use std::sync::Arc;

type Made = Result<Answer, Malformed>;

/// `O_CLOEXEC`, `sys/sys/fcntl.h`.
const O_CLOEXEC: u32 = 0x0040_0000;

/// The most of a path, its NUL included (`PATH_MAX`, `sys/sys/syslimits.h`).
const PATH_MAX: usize = 1024;

fn descriptor(fd: Result<Fd, FdError>) -> Answer {
    fd.map(|fd| [fd.0.into(), 0]).into()
}

fn fd(call: &Call<'_>, n: usize) -> Result<Fd, Malformed> {
    Ok(Fd(call.int(n)?))
}

pub(super) fn close(k: &mut Entered<'_, Host>, call: &Call<'_>) -> Made {
    Ok(nothing(k.files().close(fd(call, 0)?)))
}

pub(super) fn dup(k: &mut Entered<'_, Host>, call: &Call<'_>) -> Made {
    Ok(descriptor(k.files().dup(fd(call, 0)?)))
}

pub(super) fn dup2(k: &mut Entered<'_, Host>, call: &Call<'_>) -> Made {
    Ok(descriptor(k.files().dup2(fd(call, 0)?, fd(call, 1)?)))
}

/// `dup3(2)` of NetBSD 10: a descriptor onto itself is done, and changes nothing.
pub(super) fn dup3(k: &mut Entered<'_, Host>, call: &Call<'_>) -> Made {
    let (old, new, flags) = (fd(call, 0)?, fd(call, 1)?, call.int(2)?.cast_unsigned());
    if flags & !(O_CLOEXEC | O_NONBLOCK | O_NOSIGPIPE) != 0 {
        return Ok(Answer::Now(Err(Errno::EINVAL)));
    }
    let files = k.files();
    Ok(descriptor(if old == new {
        files.dup2(old, new)
    } else {
        files.dup3(old, new, on_exec(flags))
    }))
}

fn on_exec(flags: u32) -> OnExec {
    if flags & O_CLOEXEC != 0 { OnExec::Close } else { OnExec::Keep }
}

fn open_pipe(calls: &NetBsd, k: &Entered<'_, Host>, flags: u32) -> Result<[Fd; 2], Errno> {
    // Each has a share, and so has the table.
    if Arc::strong_count(&calls.pipes) > MAX_PIPES {
        return Err(Errno::ENFILE);
    }
    let (reader, writer) = pipe::counted(calls.pipes.clone());
    let reader = OpenFile::new(reader, Access::Read, flags);
    let writer = OpenFile::new(writer, Access::Write, flags);
    let reader = k.files().open(reader, on_exec(flags))?;
    match k.files().open(writer, on_exec(flags)) {
        Ok(writer) => Ok([reader, writer]),
        Err(error) => {
            k.files().close(reader)?;
            Err(error.into())
        }
    }
}

/// `pipe(2)`: both descriptors come back in registers.
pub(super) fn pipe(calls: &NetBsd, k: &mut Entered<'_, Host>) -> Answer {
    open_pipe(calls, k, 0).map(|[reader, writer]| [reader.0.into(), writer.0.into()]).into()
}

/// `pipe2(2)`: both descriptors go into the client's memory.
pub(super) fn pipe2(calls: &NetBsd, k: &mut Entered<'_, Host>, call: &Call<'_>) -> Made {
    let (address, flags) = (call.long(0)?, call.int(1)?.cast_unsigned());
    if flags & !(O_CLOEXEC | O_NONBLOCK | O_NOSIGPIPE) != 0 {
        return Ok(Answer::Now(Err(Errno::EINVAL)));
    }
    Ok(nothing(open_pipe(calls, k, flags).map(|fds| {
        let bytes: Vec<u8> = fds.iter().flat_map(|fd| fd.0.to_ne_bytes()).collect();
        call.memory().write(address, &bytes);
    })))
}

/// Commands of `fcntl(2)`: `sys/sys/fcntl.h`.
pub(super) fn fcntl(k: &mut Entered<'_, Host>, call: &Call<'_>) -> Made {
    let (fd, command) = (fd(call, 0)?, call.int(1)?);
    // What the command has no argument for is not looked at.
    let argument = call.int(2);
    let files = k.files();
    let number = |number: u32| Ok([i64::from(number), 0]);
    Ok(match command {
        0 => descriptor(files.dup_from(fd, Fd(argument?), OnExec::Keep)),
        12 => descriptor(files.dup_from(fd, Fd(argument?), OnExec::Close)),
        1 => files.on_exec(fd).map(|flag| [(flag == OnExec::Close).into(), 0]).into(),
        2 => {
            let flag = if argument? & 1 != 0 { OnExec::Close } else { OnExec::Keep };
            nothing(files.set_on_exec(fd, flag))
        }
        3 => files.get(fd).and_then(|file| number(file.status())).into(),
        4 => {
            let flags = argument?.cast_unsigned();
            let changed = file::SETTABLE & !O_NOSIGPIPE;
            nothing(files.get(fd).map(|file| file.set_flags(changed, flags)))
        }
        10 => match fd.0 {
            ..0 => Answer::Now(Err(Errno::EBADF)),
            _ => nothing(files.close_range(fd, Fd(i32::MAX), CloseRange::Close)),
        },
        11 => {
            let last = files.list().last().map_or(-1, |(fd, _)| fd.0);
            Answer::Now(Ok([last.into(), 0]))
        }
        13 => {
            files.get(fd).and_then(|file| number((file.flags() & O_NOSIGPIPE != 0).into())).into()
        }
        14 => {
            let flags = if argument? != 0 { O_NOSIGPIPE } else { 0 };
            nothing(files.get(fd).map(|file| file.set_flags(O_NOSIGPIPE, flags)))
        }
        _ => Answer::Now(Err(Errno::EINVAL)),
    })
}

/// `open(2)` of the devices that there are.
pub(super) fn open(call: &Call<'_>) -> Made {
    let (path, flags) = (call.long(0)?, call.int(1)?.cast_unsigned());
    let memory = call.memory().clone();
    let access = match flags & 3 {
        0 => Access::Read,
        1 => Access::Write,
        2 => Access::Both,
        _ => return Ok(Answer::Now(Err(Errno::EINVAL))),
    };
    Ok(Answer::later(async move {
        let path = memory.read_str(path, PATH_MAX).await?;
        Ok(Done::then(move |k| {
            let opened = match &path[..] {
                b"/dev/null" => OpenFile::new(Null, access, flags),
                b"/dev/zero" => OpenFile::new(Zero, access, flags),
                _ => return Err(Errno::ENOENT),
            };
            Ok([k.files().open(opened, on_exec(flags))?.0.into(), 0])
        }))
    }))
}

/// `read(2)`. A read of more than is held for a client at once gets less than it asked for.
pub(super) fn read(k: &mut Entered<'_, Host>, call: &Call<'_>) -> Made {
    let (fd, address, most) = (fd(call, 0)?, call.long(1)?, call.len(2)?);
    let memory = call.memory().clone();
    let most = most.min(memory.most());
    Ok(match begin_read(k, fd, most) {
        Ok(Began::Done(bytes)) => {
            memory.write(address, &bytes);
            Answer::Now(Ok([bytes.len() as i64, 0]))
        }
        Ok(Began::Sleeps(file)) => Answer::later(async move {
            let reader = file.reader()?;
            let Some(channel) = reader.readable() else { return Err(Errno::EAGAIN) };
            let bytes = channel.wait_until(|| reader.try_read(most)).await??;
            memory.write(address, &bytes);
            Ok(Done::Values([bytes.len() as i64, 0]))
        }),
        Err(errno) => Answer::Now(Err(errno)),
    })
}

enum Began {
    Done(Vec<u8>),
    Sleeps(FileHandle<Host>),
}

fn begin_read(k: &Entered<'_, Host>, fd: Fd, most: usize) -> Result<Began, Errno> {
    let file = k.files().get(fd)?;
    match file.reader()?.try_read(most) {
        Some(read) => Ok(Began::Done(read?)),
        None if file.flags() & O_NONBLOCK != 0 => Err(Errno::EAGAIN),
        None => Ok(Began::Sleeps(file.handle())),
    }
}

/// `write(2)`.
pub(super) fn write(k: &mut Entered<'_, Host>, call: &Call<'_>) -> Made {
    let (fd, address, len) = (fd(call, 0)?, call.long(1)?, call.len(2)?);
    let memory = call.memory().clone();
    let file = k.files().get(fd).map_err(Errno::from);
    let file = match file.and_then(|file| file.writer().map(|_| file.handle())) {
        Ok(file) => file,
        Err(errno) => return Ok(Answer::Now(Err(errno))),
    };
    Ok(Answer::later(async move {
        let mut written = 0;
        while written < len {
            let part = (len - written).min(memory.most());
            let failed = match memory.read(address.wrapping_add(written as u64), part).await {
                Ok(bytes) => {
                    let (put, end) = put(&file, &bytes).await;
                    written += put;
                    end
                }
                Err(errno) => Err(errno),
            };
            match failed {
                Ok(()) => {}
                // What has been written counts.
                Err(_) if written > 0 => break,
                Err(Errno::EPIPE) if file.flags() & O_NOSIGPIPE == 0 => {
                    return Ok(Done::then(|k| {
                        if let Some(own) = k.pin().proc(k.pid()) {
                            own.post(Signo::PIPE);
                        }
                        Err(Errno::EPIPE)
                    }));
                }
                Err(errno) => return Err(errno),
            }
        }
        Ok(Done::Values([written as i64, 0]))
    }))
}

/// Puts bytes into a file, as it takes them: how many, and why no more.
async fn put(file: &OpenFile, bytes: &[u8]) -> (usize, Result<(), Errno>) {
    let mut at = 0;
    while at < bytes.len() {
        match put_some(file, &bytes[at..]).await {
            Ok(some) => at += some,
            Err(errno) => return (at, Err(errno)),
        }
    }
    (at, Ok(()))
}

async fn put_some(file: &OpenFile, bytes: &[u8]) -> Result<usize, Errno> {
    let writer: &dyn File = file.writer()?;
    if let Some(put) = writer.try_write(bytes) {
        return put;
    }
    match writer.writable() {
        Some(channel) if file.flags() & O_NONBLOCK == 0 => {
            channel.wait_until(|| writer.try_write(bytes)).await?
        }
        _ => Err(Errno::EAGAIN),
    }
}
