//! `Errno`: numbers by ABI, and what every error of the library turns into.

use lwproc::*;
use std::error::Error;

/// What `E` turns into, by `?`.
fn errno_of<E: Error>(result: Result<(), E>) -> Errno
where
    Errno: From<E>,
{
    let answer = || -> Result<(), Errno> {
        result?;
        Ok(())
    };
    answer().unwrap_err()
}

#[test]
fn numbers_name_one_error_each_but_where_linux_has_one_for_two() {
    let highest = [(Abi::Linux, 133), (Abi::NetBsd, 98)];
    for (abi, highest) in highest {
        for errno in Errno::ALL.iter().copied() {
            let number = errno.number(abi);
            assert!((1..=highest).contains(&number), "{errno} is {number}");
            let back = Errno::from_number(abi, number).unwrap();
            let twins = abi == Abi::Linux && errno == Errno::ENOTSUP;
            assert_eq!(back, if twins { Errno::EOPNOTSUPP } else { errno }, "{abi:?} {number}");
        }
        for none in [i32::MIN, -1, 0, highest + 1, i32::MAX] {
            assert_eq!(Errno::from_number(abi, none), None);
        }
    }
    // The first 34 are those of Unix, but for the one that BSD moved.
    for number in (1..=34).filter(|number| *number != 11) {
        let of = |abi| Errno::from_number(abi, number);
        assert_eq!(of(Abi::Linux), of(Abi::NetBsd), "{number}");
    }
    assert_eq!(Errno::EWOULDBLOCK, Errno::EAGAIN);
    assert_eq!((Errno::EAGAIN.number(Abi::Linux), Errno::EAGAIN.number(Abi::NetBsd)), (11, 35));
    assert_eq!((Errno::EDEADLK.number(Abi::Linux), Errno::EDEADLK.number(Abi::NetBsd)), (35, 11));
}

/// The standard library has a table of its own of what Linux's numbers mean.
#[cfg(target_os = "linux")]
#[test]
fn linux_numbers_mean_what_the_system_says() {
    use std::io::ErrorKind;
    let known = [
        (Errno::E2BIG, ErrorKind::ArgumentListTooLong),
        (Errno::EACCES, ErrorKind::PermissionDenied),
        (Errno::EADDRINUSE, ErrorKind::AddrInUse),
        (Errno::EADDRNOTAVAIL, ErrorKind::AddrNotAvailable),
        (Errno::EAGAIN, ErrorKind::WouldBlock),
        (Errno::EBUSY, ErrorKind::ResourceBusy),
        (Errno::ECONNABORTED, ErrorKind::ConnectionAborted),
        (Errno::ECONNREFUSED, ErrorKind::ConnectionRefused),
        (Errno::ECONNRESET, ErrorKind::ConnectionReset),
        (Errno::EDEADLK, ErrorKind::Deadlock),
        (Errno::EDQUOT, ErrorKind::QuotaExceeded),
        (Errno::EEXIST, ErrorKind::AlreadyExists),
        (Errno::EFBIG, ErrorKind::FileTooLarge),
        (Errno::EHOSTUNREACH, ErrorKind::HostUnreachable),
        (Errno::EINTR, ErrorKind::Interrupted),
        (Errno::EINVAL, ErrorKind::InvalidInput),
        (Errno::EISDIR, ErrorKind::IsADirectory),
        (Errno::EMLINK, ErrorKind::TooManyLinks),
        (Errno::ENAMETOOLONG, ErrorKind::InvalidFilename),
        (Errno::ENETDOWN, ErrorKind::NetworkDown),
        (Errno::ENETUNREACH, ErrorKind::NetworkUnreachable),
        (Errno::ENOENT, ErrorKind::NotFound),
        (Errno::ENOMEM, ErrorKind::OutOfMemory),
        (Errno::ENOSPC, ErrorKind::StorageFull),
        (Errno::ENOSYS, ErrorKind::Unsupported),
        (Errno::ENOTCONN, ErrorKind::NotConnected),
        (Errno::ENOTDIR, ErrorKind::NotADirectory),
        (Errno::ENOTEMPTY, ErrorKind::DirectoryNotEmpty),
        (Errno::EPERM, ErrorKind::PermissionDenied),
        (Errno::EPIPE, ErrorKind::BrokenPipe),
        (Errno::EROFS, ErrorKind::ReadOnlyFilesystem),
        (Errno::ESPIPE, ErrorKind::NotSeekable),
        (Errno::ESTALE, ErrorKind::StaleNetworkFileHandle),
        (Errno::ETIMEDOUT, ErrorKind::TimedOut),
        (Errno::ETXTBSY, ErrorKind::ExecutableFileBusy),
        (Errno::EXDEV, ErrorKind::CrossesDevices),
    ];
    for (errno, kind) in known {
        let of_system = std::io::Error::from_raw_os_error(errno.number(Abi::Linux));
        assert_eq!(of_system.kind(), kind, "{errno}");
    }
}

/// One of each error: a new one is to be added here.
#[test]
fn every_error_turns_into_its_errno() {
    let (pid, lid) = (Pid(3), Lid(5));
    let kernel = Kernel::new();
    let another = Kernel::new();
    let lwp = || kernel.spawn().start().unwrap();
    let file = another.enter().unwrap().files().open((), OnExec::Keep);
    let table = [
        (errno_of(Err(AloneError::NotDraining)), Errno::EINVAL),
        (errno_of(Err(BigLockError::NotHeld)), Errno::EPERM),
        (errno_of(Err(BuildError::IdCapacity { capacity: 0 })), Errno::EINVAL),
        (errno_of(Err(ClaimError::AlreadyRunning { pid, lid })), Errno::EBUSY),
        (errno_of(Err(CredError::TooManyGroups)), Errno::EINVAL),
        (errno_of(Err(CurrentError::NoContext)), Errno::ESRCH),
        (errno_of(Err(EmulError::NotPermitted)), Errno::EPERM),
        (errno_of(Err(EndError::Permanent)), Errno::EPERM),
        (errno_of(Err(EnterAsError::HasLwp(lwp()))), Errno::EBUSY),
        (errno_of(Err(EnterError::AlreadyEntered)), Errno::EDEADLK),
        (errno_of(Err(ExecError::NotAlone { nlwps: 2 })), Errno::EBUSY),
        (errno_of(Err(ExitedError::TimedOut)), Errno::ETIMEDOUT),
        (errno_of(Err(FdError::TooMany)), Errno::EMFILE),
        (errno_of(Err(ForkError::Limit)), Errno::EAGAIN),
        (errno_of(Err(GroupError::HasExeced)), Errno::EACCES),
        (errno_of(Err(HoldError::Overflow)), Errno::EOVERFLOW),
        (errno_of(Err(HookError::NoSuchHook)), Errno::ENOENT),
        (errno_of(Err(Interrupted::Signal)), Errno::EINTR),
        (errno_of(Err(KillError::BadSignal { signo: 65 })), Errno::EINVAL),
        (errno_of(Err(LimitError::SoftAboveHard)), Errno::EINVAL),
        (errno_of(Err(MaskError::Implicit)), Errno::EINVAL),
        (errno_of(Err(DeathSignalError::Implicit)), Errno::EINVAL),
        (errno_of(Err(DispositionError::BadSignal { signo: 0 })), Errno::EINVAL),
        (errno_of(Err(DispositionError::NotKept)), Errno::ENOSYS),
        (errno_of(Err(NewLwpError::NoSuchProcess)), Errno::ESRCH),
        (errno_of(Err(UnshareError::Implicit)), Errno::EINVAL),
        (errno_of(Err(NumberingError::NotCyclic)), Errno::EOPNOTSUPP),
        (errno_of(Err(QueueError::Full)), Errno::EAGAIN),
        (errno_of(Err(ReleError::NotHeld)), Errno::EINVAL),
        (errno_of(Err(ReleaseError::Held { holds: 1 })), Errno::EBUSY),
        (errno_of(Err(SpawnError::KernelFull)), Errno::EAGAIN),
        (errno_of(Err(SpecificError::WrongKernel)), Errno::EXDEV),
        (errno_of(Err(SwitchError::WrongKernel(lwp()))), Errno::EXDEV),
        (errno_of(Err(TerminalError::NotControlling)), Errno::ENOTTY),
        (errno_of(Err(UnbindError::Exiting)), Errno::EINVAL),
        (errno_of(Err(UnclaimError::AnotherLwp(lwp()))), Errno::EINVAL),
        (errno_of(Err(WaitError::NoChild)), Errno::ECHILD),
    ];
    for (at, (is, expected)) in table.into_iter().enumerate() {
        assert_eq!(is, expected, "row {at}");
    }
    file.unwrap();
    // The LWPs of the refused errors went with them.
    assert_eq!(kernel.counts().procs, 2);
}

/// The source is looked through for errors that the table above does not have.
#[test]
fn no_error_is_missing_above() {
    let root = env!("CARGO_MANIFEST_DIR");
    let here = std::fs::read_to_string(format!("{root}/tests/errno.rs")).unwrap();
    let front = std::fs::read_to_string(format!("{root}/src/lib.rs")).unwrap();
    let words = front.split(|c: char| !c.is_alphanumeric());
    // `OpenError` needs a file to be made, and has a test below.
    let errors =
        words.filter(|word| word.ends_with("Error") && !["Error", "OpenError"].contains(word));
    let missing: Vec<&str> =
        errors.filter(|name| !here.contains(&format!("Err({name}::"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn an_open_that_is_refused_turns_into_its_errno_and_closes_the_file() {
    let kernel = Kernel::new();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.resources().set_limit(Resource::Nofile, Limit::both(0)).unwrap();
    let refused = k.files().open((), OnExec::Keep).map(drop);
    assert_eq!(errno_of(refused), Errno::EMFILE);
}

#[test]
fn an_errno_is_an_error_and_shows_its_name() {
    let boxed: Box<dyn Error> = Errno::ESRCH.into();
    assert_eq!(boxed.to_string(), "ESRCH");
    assert!(Errno::ALL.contains(&Errno::EPERM));
}
