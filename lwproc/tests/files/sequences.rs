//! Random operations against a plain map.
use super::*;
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Op {
    Open(OnExec),
    Reserve(OnExec),
    Fill(u8),
    Unreserve,
    Close(i32),
    Dup(i32),
    DupFrom(i32, i32, OnExec),
    Dup2(i32, i32),
    Dup3(i32, i32, OnExec),
    SetOnExec(i32, OnExec),
    Range(i32, i32, CloseRange),
    Exec,
    Keep(i32),
    LetGo(u8),
    Install(u8, OnExec),
    Fork(Rfork),
}

fn op() -> impl Strategy<Value = Op> {
    let fd = || {
        prop_oneof![
            20 => 0..12i32,
            4 => prop_oneof![Just(15), Just(16), Just(63), Just(64), Just(255), Just(256)],
            2 => prop_oneof![5 => Just(-1), 5 => Just(1 << 20), 1 => Just(1024), 5 => Just(i32::MIN)],
        ]
    };
    let flag = || prop_oneof![Just(Keep), Just(Close)];
    let how = prop_oneof![Just(CloseRange::Close), Just(CloseRange::SetOnExec)];
    let fork = prop_oneof![Just(Rfork::Share), Just(Rfork::Copy), Just(Rfork::Fresh)];
    prop_oneof![
        12 => flag().prop_map(Op::Open),
        3 => flag().prop_map(Op::Reserve),
        2 => any::<u8>().prop_map(Op::Fill),
        2 => Just(Op::Unreserve),
        8 => fd().prop_map(Op::Close),
        4 => fd().prop_map(Op::Dup),
        4 => (fd(), fd(), flag()).prop_map(|(a, b, c)| Op::DupFrom(a, b, c)),
        6 => (fd(), fd()).prop_map(|(a, b)| Op::Dup2(a, b)),
        4 => (fd(), fd(), flag()).prop_map(|(a, b, c)| Op::Dup3(a, b, c)),
        4 => (fd(), flag()).prop_map(|(a, b)| Op::SetOnExec(a, b)),
        2 => (fd(), fd(), how).prop_map(|(a, b, c)| Op::Range(a, b, c)),
        1 => Just(Op::Exec),
        3 => fd().prop_map(Op::Keep),
        2 => any::<u8>().prop_map(Op::LetGo),
        3 => (any::<u8>(), flag()).prop_map(|(a, b)| Op::Install(a, b)),
        2 => fork.prop_map(Op::Fork),
    ]
}

const LIMIT: i32 = 1 << 20;

/// `None` is reserved.
type Table = BTreeMap<i32, Option<(u32, OnExec)>>;

fn lowest(table: &Table, min: i32) -> i32 {
    (min..).find(|fd| !table.contains_key(fd)).unwrap()
}

fn get(table: &Table, fd: i32) -> Result<(u32, OnExec), FdError> {
    table.get(&fd).copied().flatten().ok_or(FdError::BadFd)
}

fn dup3(table: &mut Table, old: i32, new: i32, flag: OnExec) -> Result<Fd, FdError> {
    if !(0..LIMIT).contains(&new) {
        return Err(FdError::BadFd);
    }
    let (name, _) = get(table, old)?;
    if table.get(&new) == Some(&None) {
        return Err(FdError::Busy);
    }
    table.insert(new, Some((name, flag)));
    Ok(Fd(new))
}

fn run(ops: &[Op]) {
    let (host, kernel) = kernel();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let mut table = Table::new();
    // Those of the processes that forked, which share or not.
    let mut behind: Vec<(Lwp<Files>, Option<Table>)> = Vec::new();
    let (mut name, mut handles) = (0, Vec::new());
    for op in ops {
        match *op {
            Op::Open(flag) => {
                name += 1;
                let fd = k.files().open(host.file(name), flag).unwrap();
                assert_eq!(fd.0, lowest(&table, 0));
                table.insert(fd.0, Some((name, flag)));
            }
            // A leaked one: it stays reserved.
            Op::Reserve(flag) => {
                let reservation = k.files().reserve(flag).unwrap();
                let fd = reservation.fd();
                std::mem::forget(reservation);
                assert_eq!(fd.0, lowest(&table, 0));
                table.insert(fd.0, None);
            }
            Op::Fill(flag) => {
                let flag = if flag % 2 == 0 { Keep } else { Close };
                name += 1;
                let reservation = k.files().reserve(flag).unwrap();
                let fd = reservation.fd();
                assert_eq!(k.files().dup2(fd, fd), Err(FdError::BadFd));
                assert_eq!(reservation.fill(host.file(name)), fd);
                assert_eq!(fd.0, lowest(&table, 0));
                table.insert(fd.0, Some((name, flag)));
            }
            Op::Unreserve => {
                let fd = k.files().reserve(Keep).unwrap().fd();
                assert_eq!(fd.0, lowest(&table, 0));
            }
            Op::Close(fd) => {
                let expected = get(&table, fd).map(|_| _ = table.remove(&fd));
                assert_eq!(k.files().close(Fd(fd)), expected);
            }
            Op::Dup(fd) => {
                let expected = get(&table, fd).map(|(name, _)| {
                    let new = lowest(&table, 0);
                    table.insert(new, Some((name, Keep)));
                    Fd(new)
                });
                assert_eq!(k.files().dup(Fd(fd)), expected);
            }
            Op::DupFrom(fd, min, flag) => {
                let expected = get(&table, fd).and_then(|(name, _)| {
                    if !(0..LIMIT).contains(&min) {
                        return Err(FdError::BadMinimum);
                    }
                    let new = lowest(&table, min);
                    if new >= LIMIT {
                        return Err(FdError::TooMany);
                    }
                    table.insert(new, Some((name, flag)));
                    Ok(Fd(new))
                });
                assert_eq!(k.files().dup_from(Fd(fd), Fd(min), flag), expected);
            }
            Op::Dup2(old, new) => {
                let expected = match old == new {
                    true => get(&table, old).map(|_| Fd(new)),
                    false => dup3(&mut table, old, new, Keep),
                };
                assert_eq!(k.files().dup2(Fd(old), Fd(new)), expected);
            }
            Op::Dup3(old, new, flag) => {
                let expected = match old == new {
                    true => Err(FdError::SameFd),
                    false => dup3(&mut table, old, new, flag),
                };
                assert_eq!(k.files().dup3(Fd(old), Fd(new), flag), expected);
            }
            Op::SetOnExec(fd, flag) => {
                let expected = get(&table, fd).map(|(name, _)| {
                    table.insert(fd, Some((name, flag)));
                });
                assert_eq!(k.files().set_on_exec(Fd(fd), flag), expected);
            }
            Op::Range(first, last, how) => {
                let result = k.files().close_range(Fd(first), Fd(last), how);
                if first < 0 || first > last {
                    assert_eq!(result, Err(FdError::BadRange));
                    continue;
                }
                assert_eq!(result, Ok(()));
                table.retain(|fd, entry| match entry {
                    Some((_, flag)) if (first..=last).contains(fd) => {
                        *flag = Close;
                        how == CloseRange::SetOnExec
                    }
                    _ => true,
                });
            }
            Op::Exec => {
                if k.files().table_users() > 1 {
                    // It gets a copy, without what is reserved.
                    let left = behind.iter_mut().rev().find(|(_, table)| table.is_none());
                    left.unwrap().1 = Some(table.clone());
                    table.retain(|_, entry| entry.is_some());
                }
                k.drain();
                k.files_mut().close_on_exec();
                k.reopen();
                table.retain(|_, entry| !matches!(entry, Some((_, Close))));
            }
            Op::Keep(fd) => match k.files().get(Fd(fd)) {
                Ok(file) => {
                    assert_eq!(Ok(file.name), get(&table, fd).map(|(name, _)| name));
                    handles.push(file.handle());
                }
                Err(error) => assert_eq!(Err(error), get(&table, fd)),
            },
            Op::LetGo(i) => {
                if let Some(i) = usize::from(i).checked_rem(handles.len()) {
                    drop(handles.swap_remove(i));
                }
            }
            Op::Install(i, flag) => {
                if let Some(i) = usize::from(i).checked_rem(handles.len()) {
                    let fd = k.files().install(&handles[i], flag).unwrap();
                    assert_eq!(fd.0, lowest(&table, 0));
                    table.insert(fd.0, Some((handles[i].name, flag)));
                }
            }
            Op::Fork(how) => {
                let parent = k.rfork(how).unwrap().unwrap();
                let kept = match how {
                    Rfork::Share => None,
                    Rfork::Copy | Rfork::Fresh => Some(table.clone()),
                };
                behind.push((parent, kept));
                if how != Rfork::Share {
                    table.retain(|_, entry| entry.is_some() && how == Rfork::Copy);
                }
            }
        }
        check(&host, &k, &table, &behind, &handles);
    }
    // Back through those that forked: they have what they had.
    while let Some((parent, kept)) = behind.pop() {
        k.release().unwrap();
        k.switch(parent).unwrap();
        table = kept.unwrap_or(table);
        check(&host, &k, &table, &behind, &handles);
    }
    k.release().unwrap();
    drop((k, handles));
    assert_eq!(host.is_open(), 0);
    assert_eq!(kernel.counts().procs, 2);
    kernel.flush();
    let stats = kernel.reclaim_stats();
    assert_eq!(stats.retired, stats.freed);
}

fn check(
    host: &Files,
    k: &Entered<'_, Files>,
    table: &Table,
    behind: &[(Lwp<Files>, Option<Table>)],
    handles: &[FileHandle<Files>],
) {
    let expected: Vec<_> =
        table.iter().filter_map(|(fd, e)| e.map(|(name, flag)| (*fd, name, flag))).collect();
    assert_eq!(names(k), expected);
    let sharing = behind.iter().rev().take_while(|(_, kept)| kept.is_none()).count();
    assert_eq!(k.files().table_users(), 1 + sharing);
    // Open are those that some table or handle has.
    let tables = behind.iter().filter_map(|(_, table)| table.as_ref()).chain([table]);
    let mut open: Vec<u32> = tables.flat_map(|t| t.values().flatten().map(|e| e.0)).collect();
    open.extend(handles.iter().map(|h| h.name));
    open.sort();
    open.dedup();
    assert_eq!(host.is_open(), open.len() as isize);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn match_a_map(ops in prop::collection::vec(op(), 0..120)) {
        run(&ops);
    }
}
